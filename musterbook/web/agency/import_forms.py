"""The forms of an agency's settings about imports: the limits, and the rest."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.agency.agency_file import IMPORT_FLAGS, IMPORTS
from musterbook.directory.agency.agency_settings import LIMITS, StaleSettings
from musterbook.web.agency.forms import SectionForm, make_number_field

_LIMITED = {
    LimitKind.DEACTIVATIONS: gettext_lazy("Users who lose access"),
    LimitKind.PRIVILEGES: gettext_lazy("Users who gain permissions"),
    LimitKind.HANDOVERS: gettext_lazy("Users who take another user’s email address or username"),
    LimitKind.CLEARED: gettext_lazy("Users who lose a value because the column is blank in every row"),
    LimitKind.LOSSES: gettext_lazy("Users who lose a group or a permission through a file of groups, members or roles"),
    LimitKind.REKEYS: gettext_lazy("Users who get another external ID"),
    LimitKind.UPDATES: gettext_lazy("Users who are updated"),
    LimitKind.ADDITIONS: gettext_lazy("Users who are added"),
}
"""What each kind of limit counts."""
NUMBER_LABELS = {
    "users": gettext_lazy("number of users"),
    "percent": gettext_lazy("percent of active users"),
    "most": gettext_lazy("maximum"),
}


def name_limit(limit: Limit) -> str:
    """Return what the limit counts, and in which role or group if not in the whole agency."""
    if limit.whole:
        return str(_LIMITED[limit.kind])
    if limit.role:
        return _("%(counted)s: role %(name)s") % {"counted": _LIMITED[limit.kind], "name": limit.role}
    return _("%(counted)s: group %(name)s") % {"counted": _LIMITED[limit.kind], "name": limit.group}


class ImportsForm(SectionForm):
    """What imports do, apart from the limits."""

    settings = (*IMPORTS, *IMPORT_FLAGS)
    grace_days = make_number_field(
        "grace_days",
        gettext_lazy("Users missing from synchronize files keep access for"),
        gettext_lazy("days"),
        gettext_lazy(
            "0 = no days. A missing user is shown as leaving, and is deactivated after this many days and imports."
        ),
    )
    replaced_addresses_days = make_number_field(
        "replaced_addresses_days",
        gettext_lazy("Accept a supervisor’s old email address for"),
        gettext_lazy("days"),
        gettext_lazy("0 = no days. Files often have a supervisor’s old address for weeks."),
    )
    preview_days = make_number_field(
        "preview_days",
        gettext_lazy("Previews and imports on hold expire after"),
        gettext_lazy("days"),
    )
    release_badges = forms.BooleanField(
        label=gettext_lazy("Badge numbers of Inactive users can be given to others"),
        required=False,
        help_text=gettext_lazy(
            "The previous user’s badge number then shows how long they had it, such as 1039 (until 2026-11-28)."
        ),
    )
    scim_refuses_held = forms.BooleanField(
        label=gettext_lazy("Refuse SCIM requests whose changes are on hold"),
        required=False,
        help_text=gettext_lazy(
            "An identity provider that sends many changes at once gets the answer 409 (conflict) instead of 202 (accepted) "
            "while its changes wait for confirmation. They can be confirmed either way."
        ),
    )


class LimitsForm(SectionForm):
    """The number of users of each kind that an import may concern without confirmation, as a table. Blank: the default."""

    template_name = "agency_limits_form.html"
    settings = LIMITS
    second_approver = forms.BooleanField(
        label=gettext_lazy("Another user must confirm imports on hold"),
        required=False,
        help_text=gettext_lazy("The user who started the import cannot confirm it."),
    )

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        self._named = [one for one in agency.limits if one["role"] is not None or one["group"] is not None]
        super().__init__(agency, sent)
        for default in DEFAULT_LIMITS:
            counted = _LIMITED[default.kind]
            for name, label in NUMBER_LABELS.items():
                self.fields[f"{default.kind}_{name}"] = make_limit_field(name, f"{counted} ({label})")
            off = _("%(counted)s: no limit") % {"counted": counted}
            self.fields[f"{default.kind}_off"] = forms.BooleanField(label=off, required=False)

    def get_context(self) -> dict[str, Any]:
        """Return the context of the template, with the rows of the table."""
        return {**super().get_context(), "rows": [self._make_row(default) for default in DEFAULT_LIMITS]}

    def _make_row(self, default: Limit) -> tuple[Any, list[BoundField], str]:
        """Return a row: what the limit counts, its fields, and its default in words."""
        names = (*NUMBER_LABELS, "off")
        return _LIMITED[default.kind], [self[f"{default.kind}_{name}"] for name in names], limits.explain_limit(default)

    def make_initial(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the limits of the whole agency as the fields show them."""
        whole = [one for one in settings["limits"] if one["role"] is None and one["group"] is None]
        shown = {f"{one['kind']}_off": one["off"] for one in whole}
        for one in (one for one in whole if not one["off"]):
            shown |= {f"{one['kind']}_{name}": one[name] for name in ("users", "most")}
            shown |= {f"{one['kind']}_percent": f"{one['percent']:g}" if one["percent"] else None}
        return shown | {"second_approver": settings["second_approver"]}

    def read_values(self) -> dict[str, Any]:
        """Return the limits as they are stored, those of roles and groups included."""
        whole = [one for one in (self._read_limit(default) for default in DEFAULT_LIMITS) if one]
        return {"limits": [*self._named, *whole], "second_approver": self.cleaned_data["second_approver"]}

    def _read_limit(self, default: Limit) -> dict[str, Any] | None:
        """Return one limit, or None if its fields are blank."""
        numbers = {name: self.cleaned_data.get(f"{default.kind}_{name}") for name in NUMBER_LABELS}
        off = self.cleaned_data[f"{default.kind}_off"]
        if not off and all(number is None for number in numbers.values()):
            return None
        filled = {"users": numbers["users"] or 0, "percent": numbers["percent"] or 0, "most": numbers["most"]}
        return {"kind": default.kind.value, **filled, "off": off, "role": None, "group": None}

    def add_stale_errors(self, by: StaleSettings) -> None:
        """Add an error if another user has changed the limits meanwhile. If the form is sent again, it is saved."""
        text = _("Someone else changed these settings while you were editing. Save again to keep your values.")
        self.add_error(None, text)
        shown = json.dumps(self.read_original() | dict(by.now))
        self.data = {**{name: self[name].value() for name in self.fields}, "shown": shown}


def make_limit_field(name: str, label: Any) -> forms.Field:
    """Return a field for one number of a limit, which may be blank."""
    field = make_number_field(name, label)
    field.required = False
    return field


class NamedLimitForm(forms.Form):
    """A limit for the users of one role or group, in addition to the agency's."""

    kind = forms.ChoiceField(
        label=gettext_lazy("What it counts"), choices=[(kind.value, label) for kind, label in _LIMITED.items()]
    )
    of = forms.ChoiceField(label=gettext_lazy("Role or group"))

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        super().__init__(sent)
        self.fields["of"].choices = [("", _("Choose one")), *limits.list_names(agency)]  # type: ignore[attr-defined]  # a choice field
        texts = {
            "users": _("Number of users"),
            "percent": _("Or percent of active users, if that is more"),
            "most": _("Maximum"),
        }
        for name, label in texts.items():
            self.fields[name] = make_limit_field(name, label)

    def read_limit(self) -> dict[str, Any]:
        """Return the limit as it is stored."""
        data = self.cleaned_data
        noun, _mark, number = data["of"].partition("-")
        named = {"role": None, "group": None, noun: int(number)}
        numbers = {"users": data["users"] or 0, "percent": data["percent"] or 0, "most": data["most"]}
        return {"kind": data["kind"], **numbers, "off": False, **named}
