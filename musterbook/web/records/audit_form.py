"""The filters of the audit trail as a form. All values are in the address of the page."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from musterbook.core.domain.labels import CHANNELS, capitalize_label
from musterbook.directory.audit import event_kinds, filters
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.imports import event_search, file_import
from musterbook.directory.models import Agency
from musterbook.directory.users import user_list
from musterbook.web import parsers

Found = TypeVar("Found")
_CATEGORY = "all of "


def _list_kinds() -> list[tuple[str, Any]]:
    """Return all kinds of events, by category."""
    categories = [
        (
            gettext(category),
            [
                (f"{_CATEGORY}{category}", gettext("%(category)s: all") % {"category": gettext(category)}),
                *((kind.value, gettext(kind.label)) for kind in kinds),
            ],
        )
        for category, kinds in event_kinds.CATEGORIES.items()
    ]
    return [("", gettext("Everything")), *categories]


def _make_time_field(label: Any) -> parsers.TimeField:
    widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    wrong = gettext_lazy("Enter a date and time, such as 2026-05-01 08:30.")
    return parsers.TimeField(label=label, required=False, widget=widget, error_messages={"invalid": wrong})


class AuditFilterForm(forms.Form):
    """The filters. Their fields are limited to what fits in an address."""

    by = forms.CharField(label=gettext_lazy("Done by"), required=False, max_length=255)
    about = forms.CharField(label=gettext_lazy("Done to"), required=False, max_length=255)
    of = forms.CharField(label=gettext_lazy("Import number"), required=False, max_length=26)
    kind = forms.ChoiceField(label=gettext_lazy("What"), required=False, choices=_list_kinds)
    through = forms.ChoiceField(
        label=gettext_lazy("Through"),
        required=False,
        choices=[
            ("", gettext_lazy("Anything")),
            *((code, capitalize_label(label)) for code, label in CHANNELS.items()),
        ],
    )
    outcome = forms.ChoiceField(
        label=gettext_lazy("Outcome"),
        required=False,
        choices=[("", gettext_lazy("Any")), *event_kinds.OUTCOMES.items()],
    )
    since = _make_time_field(gettext_lazy("From"))
    until = _make_time_field(gettext_lazy("To"))

    def __init__(self, agency: Agency, data: QueryDict, now: datetime) -> None:
        super().__init__(data, auto_id="filter_%s")
        self._agency, self._now = agency, now

    def clean_by(self) -> tuple[str, ...] | None:
        """Return the external IDs of the users who match, now and before, or None if the field is empty.

        The system has the external ID "".
        """
        return self._find(event_search.find_actors, "by")

    def clean_about(self) -> tuple[int, ...] | None:
        """Return the ids of the users who match, or None if the field is empty."""
        return self._find(event_search.find_subjects, "about")

    def _find(self, find: Callable[[Agency, str, datetime], Found], name: str) -> Found:
        try:
            return find(self._agency, self.cleaned_data[name], self._now)
        except user_list.TooManyUsers:
            message = gettext("More than %(most)s users match this. Enter an email address or an external ID.")
            raise forms.ValidationError(message % {"most": event_search.MOST}) from None
        except event_search.NobodyFound:
            raise forms.ValidationError(gettext("No user matches this.")) from None

    def clean_of(self) -> int | None:
        """Return the id of the import, or None if the field is empty."""
        try:
            return event_search.find_import(self._agency, self.cleaned_data["of"])
        except file_import.UnknownImport:
            raise forms.ValidationError(gettext("There is no import with this number.")) from None

    def clean_until(self) -> datetime | None:
        """Return the end of the minute or of the day that was entered."""
        until: datetime | None = self.cleaned_data["until"]
        whole_day = ":" not in self.data.get("until", "")
        return until + (timedelta(days=1) if whole_day else timedelta(minutes=1)) if until else None

    def read_filters(self) -> EventFilters:
        """Return the filters. The form must be valid."""
        data = self.cleaned_data
        kind: str = data["kind"]
        kinds = event_kinds.CATEGORIES.get(kind.removeprefix(_CATEGORY), ())
        return filters.EventFilters(
            actors=data["by"],
            subjects=data["about"],
            import_id=data["of"],
            kinds=kinds or ((kind,) if kind else ()),
            through=data["through"],
            outcome=data["outcome"],
            since=data["since"],
            until=data["until"],
        )

    def filled(self) -> dict[str, str]:
        """Return the name and the text of each filter that is set."""
        return {name: text for name in self.fields if (text := str(self.data.get(name, "")).strip())}

    def describe_filters(self) -> list[tuple[str, str]]:
        """Return the label and the text in words of each filter that is set."""
        return [
            (str(self.fields[name].label), _describe_value(self.fields[name], text))
            for name, text in self.filled().items()
        ]


def _describe_value(field: forms.Field, text: str) -> str:
    """Return what was typed or chosen, in words."""
    if isinstance(field, forms.DateTimeField):
        return text.replace("T", " ")
    return _map_labels(field.choices).get(text, text) if isinstance(field, forms.ChoiceField) else text


def _map_labels(choices: Any) -> dict[str, str]:
    """Return the label of each value of the choices, including those in groups."""
    flat: dict[str, str] = {}
    for value, label in choices:
        flat |= _map_labels(label) if isinstance(label, list) else {value: str(label)}
    return flat
