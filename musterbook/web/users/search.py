"""The search of All Users: words and filters, as an address has them."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, npgettext_lazy, pgettext

from musterbook.directory import models
from musterbook.directory.agency import vocabularies
from musterbook.directory.imports import applied_imports, file_import
from musterbook.directory.imports.applied_imports import AppliedImport
from musterbook.directory.models import ImportKind
from musterbook.directory.users import editing, states
from musterbook.directory.users.filters import UserFilters
from musterbook.web import parsers

FIELDS = (
    "q", "status", "role", "rank", "group", "supervisor", "signed_in_from", "signed_in_before", "never", "import",
)  # fmt: skip
"""The names of the parameters in an address."""
_LONGEST = 255
STATE_LABELS = {
    "Active": gettext_lazy("Active"),
    states.INVITED: gettext_lazy("Invited"),
    states.EXPIRED: gettext_lazy("Invitation expired"),
    "Locked": gettext_lazy("Locked"),
    "Password reset": gettext_lazy("Password reset"),
    "Inactive": gettext_lazy("Inactive"),
}

_COUNTED = {
    "Active": npgettext_lazy("state", "Active", "Active", "number"),
    states.INVITED: npgettext_lazy("state", "Invited", "Invited", "number"),
    states.EXPIRED: npgettext_lazy("state", "Invitation expired", "Invitation expired", "number"),
    "Locked": npgettext_lazy("state", "Locked", "Locked", "number"),
    "Password reset": npgettext_lazy("state", "Password reset", "Password reset", "number"),
    "Inactive": npgettext_lazy("state", "Inactive", "Inactive", "number"),
}


def label_state(name: str, number: int | None) -> str:
    """Return the name of a state next to the number of users who have it. None: the number is not known."""
    return str(_COUNTED[name] % {"number": 2 if number is None else number})


class SearchForm(forms.Form):
    """The words, and the advanced search.

    `with_imports`: whether the imports are offered by name, which only users who may see them need.
    """

    q = forms.CharField(
        label=gettext_lazy("Name, email, username, badge or external ID"), required=False, max_length=_LONGEST
    )
    status = forms.ChoiceField(label=gettext_lazy("Status"), required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"), required=False)
    rank = forms.ChoiceField(label=gettext_lazy("Rank"), required=False)
    group = forms.ChoiceField(label=gettext_lazy("Group"), required=False)
    supervisor = forms.CharField(
        label=gettext_lazy("Supervisor"),
        required=False,
        max_length=_LONGEST,
        help_text=gettext_lazy("Email address or external ID"),
    )
    signed_in_from = parsers.DayField(
        label=gettext_lazy("Last signed in on or after"), required=False, widget=forms.DateInput({"type": "date"})
    )
    signed_in_before = parsers.DayField(
        label=gettext_lazy("Last signed in on or before"), required=False, widget=forms.DateInput({"type": "date"})
    )
    never = forms.BooleanField(label=gettext_lazy("Has never signed in"), required=False)

    def __init__(self, agency: models.Agency, data: Any, *, with_imports: bool = False) -> None:
        super().__init__(data)
        self._agency = agency
        self.fields["import"] = forms.CharField(
            label=_("Added or changed by import"), required=False, max_length=26, widget=forms.Select()
        )
        self._choose("status", list(STATE_LABELS.items()))
        self._choose("role", vocabularies.list_names(agency, "role"))
        self._choose("rank", vocabularies.list_names(agency, "rank"))
        self._choose("group", vocabularies.list_names(agency, "group"))
        imports = applied_imports.list_latest(agency) if with_imports else []
        self._imports = {one.number: _describe_import(one) for one in imports}

    def _choose(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        self.fields[name].choices = [("", _("Any")), *choices]  # type: ignore[attr-defined]  # a choice field
        self.fields[name].error_messages["invalid_choice"] = _("This value does not exist any more. Choose another.")

    def clean_supervisor(self) -> int | None:
        """Return the id of the user who is named, or None if the field is empty."""
        name = self.cleaned_data["supervisor"].strip()
        if not name:
            return None
        try:
            return int(editing.find_named(self._agency, name, parsers.parse_number(name)).pk)
        except editing.UnknownUser:
            raise forms.ValidationError(_("No user has this email address or external ID.")) from None

    def clean_import(self) -> int | None:
        """Return the id of the import that is named, or None if the field is empty."""
        number = self.cleaned_data["import"].strip().upper()
        if not number:
            return None
        try:
            record = file_import.find_import(self._agency, number)
        except file_import.UnknownImport:
            raise forms.ValidationError(_("There is no import with this number.")) from None
        # An older import than those offered, or that of a user who may not see the history.
        self._imports.setdefault(number, _("Import %(number)s") % {"number": number})
        return int(record.pk)

    def offer_imports(self) -> bool:
        """Let the field offer the imports, and return whether there are any."""
        field = self.fields["import"]
        field.widget.choices = [("", _("Any")), *self._imports.items()]
        return bool(self._imports)

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def read_filters(self) -> UserFilters | None:
        """Return the filters, or None if one of them cannot be read: then it is not clear which users match."""
        if not self.is_valid():
            return None
        data = self.cleaned_data
        before = data["signed_in_before"]
        return UserFilters(
            text=data["q"],
            status=data["status"],
            role=_parse_id(data["role"]),
            rank=_parse_id(data["rank"]),
            group=_parse_id(data["group"]),
            supervisor=data["supervisor"],
            signed_in_from=_find_midnight(data["signed_in_from"]),
            signed_in_before=_find_midnight(before + timedelta(days=1)) if before else None,
            never_signed_in=data["never"],
            touched_by=data["import"],
        )

    @staticmethod
    def label_status(name: str) -> str:
        """Return the label of a status."""
        return str(STATE_LABELS.get(name, name))

    def chips(self) -> list[tuple[str, str, str]]:
        """Return the filters that are set, but the status, which the tabs show: name, label, and value."""
        entries = []
        for name in FIELDS[1:]:
            value = str(self.data.get(name, ""))
            if not value or (name == "status" and name not in self.errors):
                continue
            choices: dict[Any, Any] = (
                self._imports if name == "import" else dict(getattr(self.fields[name], "choices", ()))
            )
            text = choices.get(_parse_id(value) or value.strip().upper(), value) if name != "never" else _("yes")
            entries.append((name, str(self.fields[name].label), str(text)))
        return entries


def _describe_import(one: AppliedImport) -> str:
    """Return the import as one line of a list."""
    name = _("Undo") if one.kind == ImportKind.UNDO else one.name
    users = ngettext("%(number)s user", "%(number)s users", one.changed) % {"number": f"{one.changed:,}"}
    at = date_format(timezone.localtime(one.at), pgettext("date", "j M Y, H:i"))
    return _("%(time)s: %(name)s (%(users)s)") % {"time": at, "name": name, "users": users}


def _parse_id(value: Any) -> int | None:
    return parsers.parse_number(value)


def _find_midnight(day: Any) -> datetime | None:
    """Return when a day begins in the reader's time zone."""
    return timezone.make_aware(datetime.combine(day, time())) if day else None
