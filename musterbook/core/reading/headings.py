"""The column that each heading of a file means, and the problems of a header row."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from musterbook.core.domain.columns import EMAIL, USERNAME, USERS, Column, Layout
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import COLUMN_SEPARATOR
from musterbook.core.reading import suggestions
from musterbook.core.values.text import TRIMMED

OWN_PREFIX = "X_"
_MAP_BY_HAND = "If a heading of the file means it, map that heading by hand."
_MAX_EDITS = 2
_SHOWN_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Headings:
    """The contents of a header row.

    - `pairs`: each position with a column that it has. A heading may serve several columns.
    - `own_columns`, `ignored`, `blank`: the positions of our own (`X_…`), ignored and blank headings.
    - `problems`: everything that is wrong with the header row.
    - `layout`: the columns that a file of its kind has.
    - `suggested`: the headings that probably mean a required column which is missing, each with that column.

    Positions count from 0.
    """

    pairs: tuple[tuple[int, Column], ...]
    own_columns: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()
    suggested: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = USERS

    @property
    def columns(self) -> dict[Column, int]:
        """Return the position of each column, in the order of the file."""
        positions: dict[Column, int] = {}
        for index, column in self.pairs:
            positions.setdefault(column, index)
        return positions

    @property
    def complete(self) -> bool:
        """Return whether every required column is present."""
        return set(self.layout.required) <= self.columns.keys()


def normalize_heading(heading: str) -> str:
    """Return a heading in the form that is compared (rule F4): ` Badge-number ` is `BADGE_NUMBER`."""
    text = heading.strip(TRIMMED)
    if text[:2] in ("'=", "'+", "'-", "'@"):
        text = text[1:]
    return re.sub(r"[\s_-]+", "_", text).casefold().upper()


def count_known(cells: Iterable[str], mapping: Mapping[str, str], layout: Layout = USERS) -> int:
    """Return how many of the cells name a column."""
    mapped = {normalize_heading(heading) for heading, columns in mapping.items() if columns}
    known = layout.by_heading
    return len({name for cell in cells if (name := normalize_heading(cell)) in known or name in mapped})


def has_required(cells: Sequence[str], mapping: Mapping[str, str], layout: Layout = USERS) -> bool:
    """Return whether the cells name every required column, as written or as mapped."""
    if not mapping and len(cells) < len(layout.required):
        return False
    names = [normalize_heading(cell) for cell in cells]
    targets = {normalize_heading(heading): split_columns(columns) for heading, columns in mapping.items()}
    found = {column for name in names for column in _resolve_name(name, names, targets, strict=False)}
    return {column.heading for column in layout.required} <= found


def format_position(index: int) -> str:
    """Return the position of a column in a form that people can find: `14 (N)`."""
    letters, rest = "", index + 1
    while rest:
        rest, letter = divmod(rest - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{index + 1} ({letters})"


def quote_text(heading: str) -> str:
    """Return a heading in quotation marks, cut to a length that fits into a sentence."""
    text = heading.strip(TRIMMED)
    return f"“{text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + '…'}”"


def merge_mappings(remembered: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return two mappings as one.

    A given entry takes precedence over a remembered one with the same heading or column.
    """
    names = {normalize_heading(heading) for heading in given}
    taken = {column for joined in given.values() for column in split_columns(joined)}
    remaining = {
        heading: column
        for heading, column in remembered.items()
        if normalize_heading(heading) not in names and not taken & set(split_columns(column))
    }
    return remaining | dict(given)


def split_columns(joined: str) -> list[str]:
    """Return the columns that a mapping names for one heading. There are none if the heading is left out."""
    return [name for part in joined.split(COLUMN_SEPARATOR) if (name := normalize_heading(part))]


def resolve_headings(
    cells: Sequence[str],
    given: Mapping[str, str],
    remembered: Mapping[str, str],
    layout: Layout = USERS,
    samples: Sequence[Sequence[str]] = (),
) -> Headings:
    """Find the columns of a header row of a file of that layout.

    Both mappings are heading → columns, joined by commas, "" for a heading to be left out. Mappings in `given` are for
    this file and must match it. Mappings in `remembered` are from another file, and are skipped where this file has no
    such heading or does not need it. `samples` holds some cells below each heading.
    """
    names = [normalize_heading(cell) for cell in cells]
    mapping = {
        normalize_heading(heading): split_columns(columns)
        for heading, columns in merge_mappings(remembered, given).items()
    }
    strict = {normalize_heading(heading) for heading in given}
    known = layout.by_heading
    problems = [
        *_check_mappings(names, given, known, strict=True),
        *_check_mappings(names, remembered, known, strict=False),
    ]
    targets = [_resolve_name(name, names, mapping, name in strict) for name in names]
    pairs = tuple((index, known[name]) for index, columns in enumerate(targets) for name in columns if name in known)
    read = {index for index, _ in pairs}
    rest = [index for index in range(len(names)) if index not in read]
    ours = tuple(
        index for index in rest if names[index].startswith(OWN_PREFIX) or (names[index] and not targets[index])
    )
    blank = tuple(index for index in rest if not names[index])
    unknown = [index for index in rest if index not in ours and index not in blank]
    present = [column for _, column in pairs]
    suggested = _suggest_headings(
        [column for column in layout.required if column not in present], cells, unknown, samples
    )
    problems += [*_find_missing(cells, pairs, suggested, layout), *_find_duplicates(cells, pairs)]
    misspelt = dict(_find_misspelt(cells, present, unknown, layout))
    ignored = tuple(index for index in unknown if index not in misspelt)
    by_heading = {heading: column.heading for column, heading in suggested.items()}
    return Headings(pairs, ours, ignored, blank, (*problems, *misspelt.values()), by_heading, layout)


def _suggest_headings(
    missing: Sequence[Column], cells: Sequence[str], unknown: Sequence[int], samples: Sequence[Sequence[str]]
) -> dict[Column, str]:
    if not missing:
        return {}
    below = [samples[index] if index < len(samples) else () for index in unknown]
    return suggestions.suggest_columns(missing, [cells[index] for index in unknown], below)


def _resolve_name(name: str, names: Sequence[str], mapping: Mapping[str, list[str]], strict: bool) -> list[str]:
    """Return the columns that a heading means.

    There are none for a heading to be left out. Any other heading means its own name.
    """
    columns = mapping.get(name, [name])
    if strict or name not in mapping or not columns:
        return columns
    # A remembered mapping gives way to the column itself.
    needed = [column for column in columns if column == name or column not in names or column in mapping]
    return needed or [name]


def _check_mappings(
    names: Sequence[str], mapping: Mapping[str, str], known: Mapping[str, Column], *, strict: bool
) -> Iterable[Problem]:
    for heading, joined in mapping.items():
        pair = f"{heading}={joined}"
        wrong = [name for name in split_columns(joined) if name not in known]
        if wrong:
            yield Problem.of("unknown-mapping", value=pair, cause=f"there is no column {quote_text(wrong[0])}")
        elif strict and normalize_heading(heading) not in names:
            yield Problem.of("unknown-mapping", value=pair, cause=f"the file has no heading {quote_text(heading)}")


def _find_missing(
    cells: Sequence[str], pairs: Sequence[tuple[int, Column]], suggested: Mapping[Column, str], layout: Layout
) -> Iterable[Problem]:
    present = {column: index for index, column in pairs}
    for column in layout.required:
        if column in present:
            continue
        near = suggested.get(column)
        guess = f"{quote_text(near)}: did you mean {column.heading}?" if near else ""
        if near:
            advice = f"Or map the heading by hand: “{near.strip(TRIMMED)}={column.heading}”."
        elif column is USERNAME:
            advice = _advise_sharing(cells, present, suggested)
        else:
            advice = _MAP_BY_HAND
        yield Problem.of("missing-column", column=column.heading, guess=guess, advice=advice)


def _advise_sharing(cells: Sequence[str], present: Mapping[Column, int], suggested: Mapping[Column, str]) -> str:
    """Return how to read the addresses as user names too: one heading may serve two columns (rule F5)."""
    heading = (suggested.get(EMAIL) or (cells[present[EMAIL]] if EMAIL in present else "")).strip(TRIMMED)
    if not heading:
        return _MAP_BY_HAND
    return f"Or let the email addresses be the usernames: map “{heading}=EMAIL,USERNAME”."


def _find_duplicates(cells: Sequence[str], pairs: Sequence[tuple[int, Column]]) -> Iterable[Problem]:
    for column in dict.fromkeys(column for _, column in pairs):
        indexes = [index for index, other in pairs if other is column]
        if len(indexes) > 1:
            where = " and ".join(
                f"column {format_position(index)}, {quote_text(cells[index])}" for index in indexes[:5]
            )
            yield Problem.of("duplicate-column", column=column.heading, places=where)


def _find_misspelt(
    cells: Sequence[str], present: Sequence[Column], unknown: Sequence[int], layout: Layout
) -> Iterable[tuple[int, Problem]]:
    absent = [column for column in layout.optional if column not in present]
    for index in unknown:
        for column in absent:
            if edit_distance(normalize_heading(cells[index]), column.heading) <= _MAX_EDITS:
                yield index, Problem.of("misspelt-column", column=column.heading, value=cells[index].strip(TRIMMED))
                break


def edit_distance(one: str, other: str) -> int:
    """Return how many letters to add, drop or change to turn one word into the other.

    Any number above 2 is returned as 3.
    """
    if abs(len(one) - len(other)) > _MAX_EDITS:
        return _MAX_EDITS + 1
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, opposite in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != opposite))
    return min(row[-1], _MAX_EDITS + 1)
