"""The forms of feeds, one for each section of the settings.

Each turns its part of a feed, in the form of a `[[feeds]]` table of the agency file, into fields and back.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain.policy import DEFAULT_LIMITS
from musterbook.directory import models
from musterbook.directory.agency import feed_form, feeds, limits
from musterbook.directory.agency.feeds import InvalidFeed
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.feeds.overview import SENT_KINDS
from musterbook.web.agency.forms import MeasureInput
from musterbook.web.agency.import_forms import NUMBER_LABELS, make_limit_field, name_limit
from musterbook.web.feeds import settings_shown, words

Table = Mapping[str, Any]
"""A feed as one `[[feeds]]` table of the agency file has it. A setting that it does without is ""."""


class SectionForm(forms.Form):
    """A section of the settings, with the mark of the feed when it was shown."""

    shown = forms.CharField(widget=forms.HiddenInput, required=False)
    aliases: ClassVar[Mapping[str, str]] = {}
    """The names of settings that a field with another name holds."""

    def __init__(self, feed: models.Feed | None, sent: Any = None) -> None:
        """Build the fields, with the settings of the feed. None: it is to be added."""
        self.feed, self.table = feed, feed_form.read_table(feed) if feed else {}
        super().__init__(sent, initial=self.make_initial(self.table) | {"shown": feeds.mark(feed) if feed else ""})

    def make_initial(self, table: Table) -> dict[str, Any]:
        """Return the values of the fields."""
        return {name: table.get(name) for name in self.base_fields}

    def read_values(self) -> dict[str, Any]:
        """Return the settings that were typed or chosen."""
        return {name: value for name, value in self.cleaned_data.items() if name != "shown"}

    def place_errors(self, unfit: InvalidValue) -> None:
        """Add the errors of the use case, each to the field that holds the setting, or to the whole form."""
        errors = unfit.errors if isinstance(unfit, InvalidFeed) else [(unfit.field, unfit.sentence)]
        for name, sentence in errors:
            last = name.rpartition(".")[2]
            found = next((one for one in (self.aliases.get(name), name, last) if one in self.fields), None)
            self.add_error(found, sentence)


def choose(label: Any, choices: Iterable[tuple[str, Any]], hint: Any = "", **more: Any) -> forms.ChoiceField:
    """Return a field with one radio button for each choice."""
    return forms.ChoiceField(label=label, choices=list(choices), widget=forms.RadioSelect, help_text=hint, **more)


_EITHER = (("", gettext_lazy("As the agency")), ("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No")))
_FLAGS = {"yes": True, "no": False}


def _show_flag(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else ""


class WhatForm(SectionForm):
    """What the feed does with its files, and for which users."""

    aliases: ClassVar = {"source": "other_source"}
    mode = choose(gettext_lazy("Import option"), words.MODES.items())
    whose = choose(
        gettext_lazy("Users that the files list"),
        (
            ("own", gettext_lazy("Only some: those from this feed")),
            ("all", gettext_lazy("All users of the agency")),
            ("other", gettext_lazy("Only some: those of another source")),
        ),
        gettext_lazy("Synchronize deactivates missing users only among these."),
    )
    other_source = forms.CharField(
        label=gettext_lazy("Name of the other source"), max_length=63, required=False,
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip
    strict = forms.BooleanField(label=gettext_lazy("If any row has a problem, change nothing at all"), required=False)
    together = forms.BooleanField(
        label=gettext_lazy("All files that wait are one snapshot"), required=False,
        help_text=gettext_lazy("For exports that are split into several files. Otherwise, each file is one import."),
    )  # fmt: skip
    mails = choose(gettext_lazy("Send invitations and other emails to users"), _EITHER, required=False)
    release_badges = choose(
        gettext_lazy("Badge numbers of Inactive users can be given to others"), _EITHER, required=False
    )

    def make_initial(self, table: Table) -> dict[str, Any]:
        """Return the values of the fields."""
        source = table["source"]
        whose = "all" if not source else "own" if source == table["name"] else "other"
        shown = {name: _show_flag(table.get(name)) for name in ("mails", "release_badges")}
        return {
            **super().make_initial(table),
            **shown,
            "whose": whose,
            "other_source": source if whose == "other" else "",
        }

    def clean(self) -> dict[str, Any]:
        """Check that another source has a name."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("whose") == "other" and not data.get("other_source"):
            self.add_error("other_source", _("Enter the name of the other source."))
        return data

    def read_values(self) -> dict[str, Any]:
        """Return the settings."""
        data = self.cleaned_data
        source = {"own": self.table["name"], "all": "", "other": data["other_source"]}[data["whose"]]
        flags = {name: _FLAGS.get(data[name], "") for name in ("mails", "release_badges")}
        return {name: data[name] for name in ("mode", "strict", "together")} | flags | {"source": source}


class ReadingForm(SectionForm):
    """How files are read, and which headings and values are remembered."""

    encoding = forms.CharField(
        label=gettext_lazy("Encoding"), max_length=40, required=False,
        help_text=gettext_lazy("Such as utf-8 or windows-1252. Blank: found in each file."),
    )  # fmt: skip
    delimiter = forms.ChoiceField(
        label=gettext_lazy("Delimiter"), required=False,
        choices=[("", gettext_lazy("Found in each file")), *settings_shown.DELIMITERS.items()],
    )  # fmt: skip
    sheet = forms.CharField(label=gettext_lazy("Sheet of a workbook"), max_length=255, required=False)
    header_row = forms.IntegerField(
        label=gettext_lazy("Row with the headings"), min_value=1, max_value=10_000, required=False,
        widget=MeasureInput(), help_text=gettext_lazy("Blank: found in each file."),
    )  # fmt: skip
    expect_rows = forms.IntegerField(
        label=gettext_lazy("Expected number of rows"), min_value=0, max_value=100_000_000, required=False,
        widget=MeasureInput(), help_text=gettext_lazy("If a file has another number of rows, nothing is imported."),
    )  # fmt: skip

    def __init__(self, feed: models.Feed | None, sent: Any = None) -> None:
        super().__init__(feed, sent)
        self._remembered = _list_remembered(self.table)
        if self._remembered:
            keys = list(self._remembered)
            self.fields["keep"] = forms.MultipleChoiceField(
                label=_("Remembered headings and values"), required=False, initial=keys,
                choices=[(key, label) for key, (label, *_rest) in self._remembered.items()],
                widget=forms.CheckboxSelectMultiple, help_text=_("Clear what is to be forgotten. The next file asks again."),
            )  # fmt: skip

    def read_values(self) -> dict[str, Any]:
        """Return the settings. What was cleared is forgotten."""
        data = super().read_values()
        keep = set(data.pop("keep", ()))
        parts: dict[str, Any] = {name: dict(self.table[name]) for name in ("mapping", "values", "defaults")}
        parts["values"] = {column: dict(meanings) for column, meanings in parts["values"].items()}
        for key, (_label, part, *path) in self._remembered.items():
            if key not in keep:
                _forget(parts[part], path)
        return {name: "" if value is None else value for name, value in data.items()} | parts


def _list_remembered(table: Table) -> dict[str, tuple[Any, ...]]:
    """Return what can be forgotten: a key, and for it the label, the part of the table, and the path in that part."""
    ignored = _("ignored")
    found: list[tuple[Any, ...]] = [
        (f"{heading} = {column or ignored}", "mapping", heading) for heading, column in table["mapping"].items()
    ]
    for column, meanings in table["values"].items():
        found += [(f"{column}: {value} = {meaning}", "values", column, value) for value, meaning in meanings.items()]
    found += [(f"{column} = {value}", "defaults", column) for column, value in table["defaults"].items()]
    return {str(place): one for place, one in enumerate(found)}


def _forget(part: dict[str, Any], path: list[str]) -> None:
    if len(path) == 1:
        part.pop(path[0], None)
        return
    part[path[0]].pop(path[1], None)
    if not part[path[0]]:
        del part[path[0]]


_ROWS = 20
"""The most windows, and the most times, that the form has."""


def ask_days(label: Any) -> forms.MultipleChoiceField:
    """Return a field for days of the week."""
    return forms.MultipleChoiceField(
        label=label, required=False, choices=list(settings_shown.DAYS.items()), widget=forms.CheckboxSelectMultiple
    )


def ask_time(label: Any, hint: Any = "") -> forms.CharField:
    """Return a field for a time of the day."""
    widget = forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "maxlength": "5"})
    return forms.CharField(label=label, required=False, max_length=5, widget=widget, help_text=hint)


class ScheduleForm(SectionForm):
    """When the location is checked, and when a file is expected. There is always room for one more line.

    A feed to which files are brought is not checked, so its form asks only for the second.
    """

    aliases: ClassVar = {"windows": "window_0_from", "expected_by": "expected_0_at"}

    every_minutes = forms.IntegerField(
        label=gettext_lazy("Look for files every (minutes)"), min_value=1, max_value=1440,
        widget=MeasureInput(gettext_lazy("minutes")),
    )  # fmt: skip
    blackout = forms.CharField(
        label=gettext_lazy("Days without files"), required=False, max_length=10_000,
        help_text=gettext_lazy("Dates such as 2026-12-25, one on a line. On these days nothing is taken, and nothing is late."),
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip

    def __init__(self, feed: models.Feed | None, sent: Any = None) -> None:
        super().__init__(feed, sent)
        windows, deadlines = self.table["windows"], self.table["expected_by"]
        self._windows, self._deadlines = min(len(windows) + 1, _ROWS), min(len(deadlines) + 1, _ROWS)
        if self.table["location"].get("kind") in SENT_KINDS:
            self._windows = 0
            del self.fields["every_minutes"]
        for place in range(self._deadlines):
            one = deadlines[place] if place < len(deadlines) else {}
            self.fields[f"expected_{place}_days"] = ask_days(_("A file is expected on"))
            self.fields[f"expected_{place}_at"] = ask_time(_("By this time (such as 06:00)"))
            self.initial.update(
                {f"expected_{place}_days": one.get("days", []), f"expected_{place}_at": one.get("at", "")}
            )
        for place in range(self._windows):
            one = windows[place] if place < len(windows) else {}
            self.fields[f"window_{place}_days"] = ask_days(_("Look for files only on"))
            self.fields[f"window_{place}_from"] = ask_time(_("From (such as 01:00)"))
            self.fields[f"window_{place}_to"] = ask_time(_("To (such as 06:00)"))
            self.initial[f"window_{place}_days"] = one.get("days", [])
            self.initial.update({f"window_{place}_{name}": one.get(name, "") for name in ("from", "to")})
        last = ("blackout",)
        self.order_fields([*(name for name in self.fields if name not in last), *last])

    def make_initial(self, table: Table) -> dict[str, Any]:
        """Return the values of the fields."""
        return {"every_minutes": table["every_minutes"], "blackout": "\n".join(table["blackout"])}

    def read_values(self) -> dict[str, Any]:
        """Return the settings. Lines without a day and a time are left out."""
        data = self.cleaned_data
        deadlines = [(data[f"expected_{n}_days"], data[f"expected_{n}_at"]) for n in range(self._deadlines)]
        windows = [[data[f"window_{n}_{name}"] for name in ("days", "from", "to")] for n in range(self._windows)]
        checked = {"every_minutes": data["every_minutes"]} if "every_minutes" in data else {}
        if self._windows:
            checked["windows"] = [dict(zip(("days", "from", "to"), one, strict=True)) for one in windows if any(one)]
        return checked | {
            "expected_by": [{"days": days, "at": at} for days, at in deadlines if days or at],
            "blackout": data["blackout"].split(),
        }


class LimitsForm(SectionForm):
    """The limits of the feed's imports. Blank: the agency's."""

    template_name = "feed_limits_form.html"
    least_percent = forms.IntegerField(
        label=gettext_lazy("Hold a file that has less than this percentage of the rows of the last file"),
        min_value=0, max_value=100, widget=MeasureInput("%"),
        help_text=gettext_lazy("0 = never. It holds a file that was cut off."),
    )  # fmt: skip

    def __init__(self, feed: models.Feed, sent: Any = None) -> None:
        super().__init__(feed, sent)
        whole = {limit.kind: limit for limit in limits.read_limits(feed.agency) if limit.whole}
        self._usual = {default.kind: whole[default.kind] for default in DEFAULT_LIMITS}
        for limit in self._usual.values():
            counted = name_limit(limit)
            for name, label in NUMBER_LABELS.items():
                self.fields[f"{limit.kind}_{name}"] = make_limit_field(name, f"{counted} ({label})")
            off = _("%(counted)s: no limit") % {"counted": counted}
            self.fields[f"{limit.kind}_off"] = forms.BooleanField(label=off, required=False)

    def get_context(self) -> dict[str, Any]:
        """Return the context of the template, with the rows of the table."""
        names = (*NUMBER_LABELS, "off")
        rows = [
            (name_limit(one), [self[f"{one.kind}_{name}"] for name in names], limits.explain_limit(one))
            for one in self._usual.values()
        ]
        return {**super().get_context(), "rows": rows}

    def make_initial(self, table: Table) -> dict[str, Any]:
        """Return the values of the fields."""
        shown: dict[str, Any] = {"least_percent": table["least_percent"]}
        for one in table["limits"]:
            if not _is_named(one):
                shown |= {f"{one['kind']}_{name}": one.get(name) for name in (*NUMBER_LABELS, "off")}
                shown[f"{one['kind']}_percent"] = f"{one['percent']:g}" if one.get("percent") else None
        return shown

    def read_values(self) -> dict[str, Any]:
        """Return the settings. Limits of roles and groups stay."""
        named = [one for one in self.table["limits"] if _is_named(one)]
        whole = [one for one in (self._read_limit(kind.value) for kind in self._usual) if one]
        return {"limits": [*named, *whole], "least_percent": self.cleaned_data["least_percent"]}

    def _read_limit(self, kind: str) -> dict[str, Any] | None:
        """Return one limit, or None if its fields are blank."""
        if self.cleaned_data[f"{kind}_off"]:
            return {"kind": kind, "off": True}
        numbers = {name: self.cleaned_data.get(f"{kind}_{name}") for name in NUMBER_LABELS}
        given = {name: number for name, number in numbers.items() if number is not None}
        return {"kind": kind, "users": 0} | given if given else None


def _is_named(limit: Mapping[str, Any]) -> bool:
    return bool(limit.get("role") or limit.get("group"))


class NotifyForm(SectionForm):
    """Who gets an email, for each kind of notice."""

    def __init__(self, feed: models.Feed, sent: Any = None) -> None:
        super().__init__(feed, sent)
        for name, label in settings_shown.NOTIFIED.items():
            self.fields[name] = forms.CharField(
                label=label, required=False, max_length=10_000,
                widget=forms.Textarea({"rows": 2, "spellcheck": "false", "autocomplete": "off"}),
            )  # fmt: skip
            self.initial[name] = "\n".join(self.table["notify"].get(name, []))

    def read_values(self) -> dict[str, Any]:
        """Return the settings."""
        typed = {name: self.cleaned_data[name].replace(",", "\n").splitlines() for name in settings_shown.NOTIFIED}
        cleaned = {name: [text.strip() for text in lines if text.strip()] for name, lines in typed.items()}
        return {"notify": {name: list(dict.fromkeys(lines)) for name, lines in cleaned.items() if lines}}


SECTIONS: Mapping[str, type[SectionForm]] = {
    "what": WhatForm,
    "reading": ReadingForm,
    "schedule": ScheduleForm,
    "limits": LimitsForm,
    "notify": NotifyForm,
}
"""The form of each section but that of the location, which depends on its kind."""
