"""The search of All Users: words and filters, as an address has them."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from musterbook.directory import models
from musterbook.directory.agency import vocabularies
from musterbook.directory.imports import file_import
from musterbook.directory.users import editing, states
from musterbook.directory.users.filters import UserFilters
from musterbook.web import parsers

FIELDS = (
    "q", "status", "role", "rank", "group", "supervisor", "signed_in_from", "signed_in_before", "never", "import",
)  # fmt: skip
"""The names of the parameters in an address."""
_LONGEST = 255


class SearchForm(forms.Form):
    """The words, and the advanced search."""

    q = forms.CharField(label="Name, email, username, badge or external id", required=False, max_length=_LONGEST)
    status = forms.ChoiceField(label="Status", required=False)
    role = forms.ChoiceField(label="Role", required=False)
    rank = forms.ChoiceField(label="Rank", required=False)
    group = forms.ChoiceField(label="Group", required=False)
    supervisor = forms.CharField(
        label="Supervisor", required=False, max_length=_LONGEST, help_text="Email address or external id"
    )
    signed_in_from = parsers.DayField(
        label="Signed in last on or after", required=False, widget=forms.DateInput({"type": "date"})
    )
    signed_in_before = parsers.DayField(
        label="Signed in last on or before", required=False, widget=forms.DateInput({"type": "date"})
    )
    never = forms.BooleanField(label="Has never signed in", required=False)

    def __init__(self, agency: models.Agency, data: Any) -> None:
        super().__init__(data)
        self._agency = agency
        self.fields["import"] = forms.CharField(
            label="Added or changed by import",
            required=False,
            max_length=26,
            help_text="Its number, from the import history",
        )
        self._choose("status", [(name, name) for name in states.STATES])
        self._choose("role", vocabularies.list_names(agency, "role"))
        self._choose("rank", vocabularies.list_names(agency, "rank"))
        self._choose("group", vocabularies.list_names(agency, "group"))

    def _choose(self, name: str, choices: list[tuple[Any, str]]) -> None:
        self.fields[name].choices = [("", "Any"), *choices]  # type: ignore[attr-defined]  # a choice field
        self.fields[name].error_messages["invalid_choice"] = "There is no such one any more. Choose another."

    def clean_supervisor(self) -> int | None:
        """Return the id of the user who is named, or None if the field is empty."""
        name = self.cleaned_data["supervisor"].strip()
        if not name:
            return None
        try:
            return int(editing.find_named(self._agency, name, parsers.parse_number(name)).pk)
        except editing.UnknownUser:
            raise forms.ValidationError("Nobody has that email address or external id.") from None

    def clean_import(self) -> int | None:
        """Return the id of the import that is named, or None if the field is empty."""
        number = self.cleaned_data["import"].strip().upper()
        if not number:
            return None
        try:
            return int(file_import.find_import(self._agency, number).pk)
        except file_import.UnknownImport:
            raise forms.ValidationError("There is no import of that number.") from None

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def read_filters(self) -> UserFilters:
        """Return the filters. Fields that are not valid are ignored."""
        data = self.cleaned_data if self.is_bound and self.is_valid() else getattr(self, "cleaned_data", {})
        before = data.get("signed_in_before")
        return UserFilters(
            text=data.get("q", ""),
            status=data.get("status", ""),
            role=_parse_id(data.get("role")),
            rank=_parse_id(data.get("rank")),
            group=_parse_id(data.get("group")),
            supervisor=data.get("supervisor"),
            signed_in_from=_find_midnight(data.get("signed_in_from")),
            signed_in_before=_find_midnight(before + timedelta(days=1)) if before else None,
            never_signed_in=data.get("never", False),
            touched_by=data.get("import"),
        )

    def chips(self) -> list[tuple[str, str, str]]:
        """Return the filters that are set: name, label, and value."""
        entries = []
        for name in FIELDS[1:]:
            value = self.data.get(name, "") if name not in self.errors else ""
            if value:
                field = self.fields[name]
                choices = dict(getattr(field, "choices", ()))
                text = str(choices.get(_parse_id(value) or value, value)) if name != "never" else "yes"
                entries.append((name, str(field.label), text))
        return entries


def _parse_id(value: Any) -> int | None:
    return parsers.parse_number(value)


def _find_midnight(day: Any) -> datetime | None:
    """Return when a day begins in the reader's time zone."""
    return timezone.make_aware(datetime.combine(day, time())) if day else None
