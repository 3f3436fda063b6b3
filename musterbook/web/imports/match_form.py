"""The form of *Match columns and values*: a column for each heading, and the agency's value for each unknown value."""

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from musterbook.core.checking import meanings
from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column, Layout
from musterbook.core.domain.file_values import DEFAULTED
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.reading import headings, suggestions
from musterbook.core.reading.suggestions import Reason
from musterbook.directory.agency import missing_names
from musterbook.directory.imports.plan_files import FileHeader
from musterbook.directory.imports.unknown_values import UnknownValue
from musterbook.web import default_fields

LEAVE_OUT = "-"
_CREATE, _BLANK, _NAME = "+", "-", "="
"""How a choice for a value begins: create it, read it as blank, or read it as the name that follows."""
_IDENTIFYING = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "USERNAME")
"""The columns that one heading often serves two of: the addresses are the user names, the employee ids the badges."""
_MOST_OPTIONS = 20_000
"""The most options of all lists together: a page of more would be slow to send and to read."""
_FEWEST_LISTED = 20
_FAR_MORE_ROWS = 3
"""How many times as many rows the right spelling of a value has as a wrong one."""
_NEAREST = 15
"""The number of names that are offered for a value if the agency has too many for a list."""

_REASONS: Mapping[Reason, Promise] = {
    Reason.SYNONYM: gettext_lazy("Other systems use this name."),
    Reason.CONTENT: gettext_lazy("Its values look like those of this column."),
    Reason.SPELLING: gettext_lazy("The spelling is similar."),
}
_CREATE_LABELS: Mapping[Column, Promise] = {
    columns.ROLE: gettext_lazy("Create the role “%(name)s”"),
    columns.RANK: gettext_lazy("Create the rank “%(name)s”"),
    columns.EVIDENCE_GROUP_EXT_ID: gettext_lazy("Create the group “%(name)s”"),
}


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One heading of the file on the page: its first values, its field, and why its column is chosen."""

    heading: str
    samples: Sequence[str]
    field: BoundField
    reason: str


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A required column that no heading has: the heading that is likely to mean it ("" for none), and its default."""

    column: Column
    guess: str
    default: BoundField | None


@dataclass(frozen=True, slots=True)
class ValueLine:
    """An unknown value on the page, with its field."""

    unknown: UnknownValue
    field: BoundField


class _Select(forms.Select):
    """A list without the attribute `required`: the page says itself what is missing."""

    use_required_attribute = staticmethod(lambda *_: False)  # type: ignore[assignment]  # Django has a method


class ColumnsForm(forms.Form):
    """A choice of columns for each heading of the file, and a default for each required column that has no heading.

    `lines` are the headings that need a look. `known_lines` are the names of columns, which can be left out or serve a
    second column. `given` is the mapping of the import's options, heading → columns. `defaults` are its defaults.
    """

    def __init__(
        self,
        file: FileHeader,
        given: Mapping[str, str],
        layout: Layout,
        words: Vocabulary,
        defaults: Mapping[str, str],
        data: Any = None,
    ) -> None:
        super().__init__(data, prefix="map")
        self._file, self._given, self._layout = file, given, layout
        present = {name for joined in file.mapped.values() for name in headings.split_columns(joined)}
        self._absent = [column for column in layout.columns if column.heading not in present]
        self._required = [column for column in layout.required if column in self._absent]
        self._strange = [(heading, samples) for heading, samples in self._list_headings() if self._is_strange(heading)]
        self._known = [
            (heading, samples)
            for heading, samples in self._list_headings()
            if headings.normalize_heading(heading) in layout.by_heading
        ]
        self._guesses, self._reasons = self._guess_columns()
        free = self._list_free_columns()
        for index, (heading, _samples) in enumerate(self._strange):
            choices = [("", _("Ignore this column")), *((name, name) for name in free), *_pair_columns(free, free)]
            self._add_choice(str(index), heading, choices, self._guesses.get(heading, ""))
        for index, (heading, _samples) in enumerate(self._known):
            self._add_known(index, heading, free)
        with_default = [column for column in self._required if column in DEFAULTED]
        for heading, field in default_fields.make_fields(with_default, words, defaults).items():
            self.fields[f"default-{heading}"] = field
            self.initial[f"default-{heading}"] = defaults.get(heading, "")

    def _list_headings(self) -> list[tuple[str, Sequence[str]]]:
        return [*zip(self._file.headings, self._file.samples, strict=False)]

    def _is_strange(self, heading: str) -> bool:
        """Return whether the heading is neither the name of a column nor one of our own headings."""
        name = headings.normalize_heading(heading)
        return bool(name) and name not in self._layout.by_heading and not name.startswith(headings.OWN_PREFIX)

    def _guess_columns(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the columns that are preselected for each heading, and the reason of each."""
        guesses: dict[str, str] = {}
        reasons: dict[str, str] = {}
        for heading, _samples in self._strange:
            chosen, read = self._given.get(heading), self._file.mapped.get(heading, "")
            guesses[heading] = chosen or read
            if chosen is not None:
                reasons[heading] = _("You chose this.") if chosen else _("You chose to ignore it.")
            else:
                reasons[heading] = _("Remembered from an earlier file.") if read else _("No likely column.")
        open_lines = [(heading, samples) for heading, samples in self._strange if not guesses[heading]]
        likely = suggestions.suggest_columns(
            self._absent, [heading for heading, _samples in open_lines], [samples for _heading, samples in open_lines]
        )
        for column, heading in likely.items():
            # Without a required column nothing can be read, so it is suggested again.
            if column in self._required or heading not in self._given:
                reason = suggestions.find_reason(column, heading, dict(open_lines)[heading])
                guesses[heading], reasons[heading] = column.heading, str(_REASONS[reason]) if reason else ""
        self._share_addresses(guesses, reasons)
        return guesses, reasons

    def _share_addresses(self, guesses: dict[str, str], reasons: dict[str, str]) -> None:
        """Let the addresses be the usernames, if the file has no other column for them."""
        email, username = columns.EMAIL.heading, columns.USERNAME.heading
        if columns.USERNAME not in self._required or username in guesses.values():
            return
        for heading, _samples in (*self._strange, *self._known):
            now = guesses.get(heading) or self._file.mapped.get(heading, "")
            if now == email and self._given.get(heading) != email:
                guesses[heading] = f"{email},{username}"
                reasons[heading] = _("The file has no usernames, so users sign in with their addresses.")

    def _list_free_columns(self) -> list[str]:
        """Return the columns that no heading of the file has as its own name."""
        own = {headings.normalize_heading(heading) for heading in self._file.mapped}
        return [column.heading for column in self._layout.columns if column.heading not in own]

    def _add_known(self, index: int, heading: str, free: Sequence[str]) -> None:
        """Add the field of a heading that is the name of a column, if there is something to choose."""
        name = headings.normalize_heading(heading)
        now = self._file.mapped.get(heading, LEAVE_OUT)
        others = [*free, *(one for one in headings.split_columns(now) if one in self._layout.by_heading)]
        choices = [("", name), *_pair_columns([name], [other for other in others if other != name])]
        if self._layout.by_heading[name] in self._layout.optional or now == LEAVE_OUT:
            choices.append((LEAVE_OUT, _("Ignore this column")))
        if len(choices) > 1:
            initial = self._guesses.get(heading, "") or ("" if now == name else now)
            self._add_choice(f"known-{index}", heading, choices, initial)

    def _add_choice(self, name: str, heading: str, choices: list[tuple[str, Any]], initial: str) -> None:
        self.fields[name] = forms.ChoiceField(
            label=heading, choices=choices, required=False, initial=initial, widget=_Select
        )

    @property
    def has_headings(self) -> bool:
        """Return whether there is anything to match. A file that cannot be read has no headings."""
        return bool(self._file.headings)

    @property
    def lines(self) -> list[ColumnLine]:
        """Return the headings that need a look: those with a suggestion first, and those to be ignored last."""
        lines = [
            ColumnLine(heading, samples, self[str(index)], self._reasons.get(heading, ""))
            for index, (heading, samples) in enumerate(self._strange)
        ]
        changed = [line for line in self._make_known_lines() if line.heading in self._guesses]
        required = [column.heading for column in self._required]

        def rank(line: ColumnLine) -> tuple[bool, bool]:
            guess = headings.split_columns(self._guesses.get(line.heading, ""))
            return not set(guess) & set(required), not guess

        return sorted([*changed, *lines], key=rank)

    @property
    def known_lines(self) -> list[ColumnLine]:
        """Return the headings that are names of columns, if there is something to choose, and not in `lines`."""
        return [line for line in self._make_known_lines() if line.heading not in self._guesses]

    def _make_known_lines(self) -> list[ColumnLine]:
        return [
            ColumnLine(heading, samples, self[f"known-{index}"], self._reasons.get(heading, ""))
            for index, (heading, samples) in enumerate(self._known)
            if f"known-{index}" in self.fields
        ]

    @property
    def missing(self) -> list[MissingColumn]:
        """Return the required columns that the file as it was read does not have."""
        by_column = {
            name: heading for heading, joined in self._guesses.items() for name in headings.split_columns(joined)
        }
        return [
            MissingColumn(
                column,
                by_column.get(column.heading, ""),
                self[f"default-{column.heading}"] if f"default-{column.heading}" in self.fields else None,
            )
            for column in self._required
        ]

    @property
    def unfound(self) -> list[MissingColumn]:
        """Return those of `missing` for which no heading is likely."""
        return [one for one in self.missing if not one.guess]

    def clean(self) -> dict[str, Any]:
        """Refuse one column for two headings, and a required column that has neither a heading nor a default."""
        fields: dict[str, list[str]] = {}
        for name, joined in self._read_targets().items():
            for column in headings.split_columns(joined):
                fields.setdefault(column, []).append(name)
        for column, names in fields.items():
            if len(names) > 1:
                both = " · ".join(str(self.fields[name].label) for name in names[:5] if name in self.fields)
                message = _("%(column)s is chosen for more than one column of your file: %(headings)s.")
                self.add_error(
                    next((name for name in reversed(names) if name in self.fields), None),
                    message % {"column": column, "headings": both},
                )
        for required in self._layout.required:
            if required.heading not in fields and not self.cleaned_data.get(f"default-{required.heading}"):
                self.add_error(None, _("%(column)s is required. Choose its column.") % {"column": required.heading})
        return self.cleaned_data

    def _read_targets(self) -> dict[str, str]:
        """Return the columns of each field, and of each heading without a field, joined by commas."""
        targets = {str(index): self.cleaned_data.get(str(index), "") for index in range(len(self._strange))}
        for index, (heading, _samples) in enumerate(self._known):
            choice = self.cleaned_data.get(f"known-{index}", "") or headings.normalize_heading(heading)
            targets[f"known-{index}"] = "" if choice == LEAVE_OUT else choice
        return targets

    def read_mapping(self) -> dict[str, str]:
        """Return the columns of each heading that is chosen by hand, or "" for a heading that is not read."""
        chosen = {heading: self.cleaned_data[str(index)] for index, (heading, _samples) in enumerate(self._strange)}
        for index, (heading, _samples) in enumerate(self._known):
            name = headings.normalize_heading(heading)
            choice = self.cleaned_data.get(f"known-{index}", "") or name
            if choice != self._file.mapped.get(heading, LEAVE_OUT) or heading in self._given:
                chosen[heading] = "" if choice == LEAVE_OUT else choice
        return chosen

    def read_defaults(self) -> dict[str, str]:
        """Return the defaults that were chosen, by column."""
        found = {column.heading: self.cleaned_data.get(f"default-{column.heading}", "") for column in self._required}
        return {heading: text for heading, text in found.items() if text}


def _pair_columns(ones: Iterable[str], others: Sequence[str]) -> list[tuple[str, str]]:
    """Return the choices of two identifying columns, one of each."""
    names = {one: others for one in ones if one in _IDENTIFYING}
    pairs = {frozenset((one, other)) for one in names for other in others if other in _IDENTIFYING and other != one}
    ordered = sorted(
        (sorted(pair, key=_IDENTIFYING.index) for pair in pairs), key=lambda pair: _IDENTIFYING.index(pair[0])
    )
    return [(",".join(pair), _("%(one)s and %(other)s") % {"one": pair[0], "other": pair[1]}) for pair in ordered]


class ValuesForm(forms.Form):
    """The agency's value for each unknown value of the file. `creatable`: the columns whose names can be created.

    `prefers_create`: whether names without a near one are to be created, unless the user chooses something else.
    """

    def __init__(
        self,
        unknown: Sequence[UnknownValue],
        words: Vocabulary,
        creatable: Iterable[Column],
        data: Any = None,
        *,
        prefers_create: bool = False,
    ) -> None:
        super().__init__(data, prefix="value")
        names = {
            column: list(dict.fromkeys(meanings.list_names(column, words).values())) for column in _columns_of(unknown)
        }
        number = Counter(one.column for one in unknown)
        # A column with more names than an agency has is another column.
        creatable = {column for column in creatable if number[column] <= missing_names.MOST}
        self._shown: dict[str, UnknownValue] = {}
        options = 0
        for one in unknown:
            offered = _offer_names(one, names[one.column])
            options += len(offered) + 3
            if options > _MOST_OPTIONS and len(self._shown) >= _FEWEST_LISTED:
                continue
            key = hashlib.sha256(f"{one.column.heading} {one.value}".encode()).hexdigest()[:16]
            can_create = one.column in creatable and one.can_create
            self._shown[key] = one
            self.fields[key] = forms.ChoiceField(
                label=f"{one.column.heading}: {one.value}", required=False, widget=_Select,
                choices=_list_choices(one, offered, can_create=can_create),
                initial=_preselect(one, words, can_create=can_create and prefers_create and not _is_typo(one, unknown)),
            )  # fmt: skip
        self.more = len(unknown) - len(self._shown)

    @property
    def lines(self) -> list[ValueLine]:
        """Return the values with their fields, in the order of the columns."""
        return [ValueLine(one, self[key]) for key, one in self._shown.items()]

    def read_meanings(self) -> dict[str, dict[str, str]]:
        """Return what the values mean, by column: the agency's value, "" for blank."""
        found: dict[str, dict[str, str]] = {}
        for key, one in self._shown.items():
            choice = self.cleaned_data.get(key, "")
            if choice == _BLANK or choice.startswith(_NAME):
                found.setdefault(one.column.heading, {})[one.value] = choice[1:]
        return found

    def list_created(self) -> list[UnknownValue]:
        """Return the values that are to be created."""
        return [one for key, one in self._shown.items() if self.cleaned_data.get(key) == _CREATE]


def _columns_of(unknown: Iterable[UnknownValue]) -> set[Column]:
    return {one.column for one in unknown}


def _offer_names(one: UnknownValue, names: Sequence[str]) -> list[str]:
    """Return the names that are offered for a value: all, or the nearest if they are too many for a list."""
    if len(names) <= default_fields.MOST_NAMES:
        return list(names)
    return difflib.get_close_matches(one.value, names, n=_NEAREST, cutoff=0.3)


def _list_choices(one: UnknownValue, names: Iterable[str], *, can_create: bool) -> list[tuple[str, Any]]:
    choices: list[tuple[str, Any]] = [("", _("Decide later: these rows keep their problem"))]
    if can_create:
        choices.append((_CREATE, str(_CREATE_LABELS[one.column]) % {"name": one.value}))
    if not one.column.required:
        choices.append((_BLANK, pgettext_lazy("a value of a file that is read as blank", "Leave it blank")))
    return [*choices, *((f"{_NAME}{name}", name) for name in names)]


def _is_typo(one: UnknownValue, unknown: Iterable[UnknownValue]) -> bool:
    """Return whether the value is probably another one of its column, far more frequent, with a letter wrong."""
    return any(
        other.column is one.column
        and other.rows >= _FAR_MORE_ROWS * one.rows
        and _is_one_letter_apart(one.value.casefold(), other.value.casefold())
        for other in unknown
    )


def _is_one_letter_apart(one: str, other: str) -> bool:
    """Return whether a letter is missing, too many, wrong, or swapped with the next one.

    The last letters of a word do not count: *Sergeant I* is not *Sergeant II*.
    """
    start = _count_shared(one, other)
    one, other = one[start:], other[start:]
    end = _count_shared(one[::-1], other[::-1])
    theirs, ours, rest = one[: len(one) - end], other[: len(other) - end], one[len(one) - end :]
    is_near = max(len(theirs), len(ours)) == 1 or (len(theirs) == 2 and theirs == ours[::-1])
    return is_near and (theirs + ours).isalpha() and rest[:2].isalpha() and len(rest) >= 2


def _count_shared(one: str, other: str) -> int:
    """Return how many letters two texts share at their beginnings."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _preselect(one: UnknownValue, words: Vocabulary, *, can_create: bool) -> str:
    near = meanings.suggest_value(one.column.heading, one.value, words)
    return f"{_NAME}{near}" if near else _CREATE if can_create else ""
