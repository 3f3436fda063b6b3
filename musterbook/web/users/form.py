"""The forms of one user: the columns of a file's row as fields, with each problem at its field."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.policy import Operator
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.directory import models
from musterbook.directory.users import new_users
from musterbook.directory.users.editing import Conflict, EditResult, Row
from musterbook.directory.users.marks import ENDS_ON, EXEMPT, FLAGS, NO_FILES, SOURCE, SOURCE_LONGEST
from musterbook.web.field_labels import LABELS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

GROUPS: "tuple[tuple[StrOrPromise, tuple[str, ...]], ...]" = (
    (gettext_lazy("Person"), ("FIRST_NAME", "LAST_NAME", "EXTERNAL_ID", "BADGE_NUMBER", "EMAIL", "PHONE")),
    (gettext_lazy("Access"), ("USERNAME", "ROLE", "STATUS", ENDS_ON)),
    (gettext_lazy("Organization"), ("SUPERVISOR_EMAIL", "RANK", "EVIDENCE_GROUP_EXT_ID", "LOCATION")),
    (gettext_lazy("Imports"), (EXEMPT, NO_FILES, SOURCE)),
)
"""The groups of fields, each with its title and its headings."""

HARMLESS = frozenset({
    "FIRST_NAME", "LAST_NAME", "BADGE_NUMBER", "SUPERVISOR_EMAIL", "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE",
})  # fmt: skip
"""The only columns that change without a recent sign-in.

None of them affects who signs in, with what, for how long, or what they may do.
"""

_HINTS: "dict[str, StrOrPromise]" = {
    "EXTERNAL_ID": gettext_lazy("The ID that your organization uses. Files identify the user by it."),
    "USERNAME": gettext_lazy("The user signs in with it, or with the email address."),
    "SUPERVISOR_EMAIL": gettext_lazy("The supervisor’s email address."),
    "PHONE": gettext_lazy("With the country code, such as +1 202 555 0143."),
    ENDS_ON: gettext_lazy("For a temporary account. After this day the user becomes Inactive."),
    SOURCE: gettext_lazy(
        "The files that list the user, such as hr-sworn. Leave it blank if you manage the user by hand."
    ),
}
_REQUIRED: "dict[str, StrOrPromise]" = {
    "EXTERNAL_ID": gettext_lazy("Enter an external ID."),
    "FIRST_NAME": gettext_lazy("Enter a first name."),
    "LAST_NAME": gettext_lazy("Enter a last name."),
    "EMAIL": gettext_lazy("Enter an email address."),
    "USERNAME": gettext_lazy("Enter a username."),
    "BADGE_NUMBER": gettext_lazy("Enter a badge number."),
    "STATUS": gettext_lazy("Choose a status."),
    "ROLE": gettext_lazy("Choose a role."),
}
"""What a blank field asks for."""
_STATUSES = [
    ("Active", gettext_lazy("Active: will be invited, and can sign in")),
    ("Inactive", gettext_lazy("Inactive: cannot sign in until reactivated")),
]
_FLAGS: "dict[str, StrOrPromise]" = {
    EXEMPT: gettext_lazy("Exempt from synchronize: stays Active if missing from a synchronize file"),
    NO_FILES: gettext_lazy(
        "Not changed by files: imports skip this user, who stays Active if missing from a synchronize file"
    ),
}


class CellField(forms.CharField):
    """The text of one cell, not validated. The plan checks all cells together."""

    def validate(self, value: Any) -> None:
        """Accept any text."""


class UserForm(forms.Form):
    """All columns of a row, and the values that were shown, to detect what was edited. The fields are in groups."""

    template_name = "grouped_form.html"
    shown = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(
        self, now: Row, words: Vocabulary, groups: Iterable[models.Group], operator: Operator | None, sent: Any = None,
        *, left_out: Iterable[str], suggests: bool,
    ) -> None:  # fmt: skip
        """Build the fields. `now`: the values that are shown, or the defaults of a new user."""
        initial = {heading.lower(): value for heading, value in now.items()} | {"shown": json.dumps(dict(now))}
        super().__init__(sent, initial=initial)
        self._now = now
        self._choices = _list_choices(now, words, groups, operator)
        for heading, label in LABELS.items():
            if heading not in left_out:
                self.fields[heading.lower()] = self._field(heading, label, suggests=suggests)

    def get_context(self) -> dict[str, Any]:
        """Return the context of the template: the library's, and the groups of fields."""
        names = [(title, [heading.lower() for heading in headings]) for title, headings in GROUPS]
        groups = [(title, [self[name] for name in some if name in self.fields]) for title, some in names]
        return {**super().get_context(), "groups": [(title, fields) for title, fields in groups if fields]}

    def _field(self, heading: str, label: "StrOrPromise", *, suggests: bool) -> forms.Field:
        if heading in FLAGS:
            return forms.BooleanField(label=_FLAGS[heading], required=False)
        hint = _HINTS.get(heading, "")
        if heading == SOURCE:
            plain = forms.TextInput({"autocomplete": "off", "maxlength": str(SOURCE_LONGEST)})
            return CellField(label=label, widget=plain, help_text=hint, required=False)
        if heading == ENDS_ON:
            # With this type, a browser shows a calendar, and sends the day in the format that is stored.
            return CellField(label=label, widget=forms.TextInput({"type": "date"}), help_text=hint, required=False)
        column = columns.BY_HEADING[heading]
        widget = self._widget(column, suggests=suggests)
        field = CellField(label=label, widget=widget, help_text=hint, required=column.required)
        if widget.is_hidden is False and isinstance(widget, forms.RadioSelect):
            field.initial = "Active"
        return field

    def _widget(self, column: Column, *, suggests: bool) -> forms.Widget:
        if column is columns.STATUS:
            return forms.RadioSelect(choices=_STATUSES)
        if column.heading in self._choices:
            return forms.Select(choices=self._choices[column.heading])
        plain = {"autocomplete": "off", "maxlength": "1000"}
        if column is columns.EMAIL:
            return forms.EmailInput(plain)
        if column is columns.PHONE:
            return forms.TextInput(plain | {"inputmode": "tel"})
        return forms.TextInput(
            plain | (_make_suggest_attrs() if column is columns.SUPERVISOR_EMAIL and suggests else {})
        )

    @property
    def row(self) -> dict[str, str]:
        """Return what was typed, as a row. Fields that the form lacks are not in it."""
        cells = {heading: self.cleaned_data[heading.lower()] for heading in LABELS if heading.lower() in self.fields}
        return cells | {mark: "yes" if cells[mark] else "" for mark in FLAGS if mark in cells}

    @property
    def base(self) -> dict[str, str]:
        """Return the values that were shown, or an empty row if they cannot be read."""
        try:
            values = json.loads(self.cleaned_data["shown"])
        except (ValueError, RecursionError):
            return {}
        return {name: str(value) for name, value in values.items()} if isinstance(values, dict) else {}

    @property
    def is_sensitive(self) -> bool:
        """Return whether a sensitive column changes, that is, one that is not in HARMLESS."""
        return any(value != self.base.get(name, "") for name, value in self.row.items() if name not in HARMLESS)

    def add_errors(self, result: EditResult) -> None:
        """Add each problem and conflict to its field."""
        for problem in result.problems:
            self._add_error(problem.column, describe_problem(problem))
        for conflict in result.conflicts:
            self._add_error(conflict.heading, _describe_conflict(conflict))

    def _add_error(self, heading: str, sentence: str) -> None:
        self.add_error(heading.lower() if heading.lower() in self.fields else None, sentence)

    def add_saved_values(self, data: QueryDict) -> QueryDict:
        """Return what was sent, combined with what others have saved in the meantime.

        The values of others become the values shown, and replace the fields that were left unchanged.
        """
        mixed = data.copy()
        mixed["shown"] = json.dumps(dict(self._now))
        for heading, value in self.row.items():
            if value == self.base.get(heading, "") and heading not in FLAGS:
                mixed[heading.lower()] = self._now[heading]
        return mixed


class NewUserForm(UserForm):
    """The same for a user who is added. A user without a username gets the first part of their email address."""

    def _field(self, heading: str, label: "StrOrPromise", *, suggests: bool) -> forms.Field:
        field = super()._field(heading, label, suggests=suggests)
        if heading == columns.USERNAME.heading:
            field.required, field.help_text = (
                False,
                _("Leave it blank to use the part of the email address before the @."),
            )
        return field

    def clean(self) -> dict[str, Any]:
        """Return the cells."""
        cells: dict[str, Any] = super().clean() or self.cleaned_data
        cells["username"] = new_users.derive_username(
            {name.upper(): cells.get(name, "") for name in ("username", "email")}
        )
        return cells


def _make_suggest_attrs() -> dict[str, str]:
    """Return the attributes that make a field suggest supervisors while the user types."""
    return {"list": "supervisors", "data-suggest": reverse("supervisors")}


def _list_choices(
    now: Row, vocabulary: Vocabulary, groups: Iterable[models.Group], operator: Operator | None
) -> Mapping[str, list[tuple[str, str]]]:
    """Return the choices of each heading. They include the user's present value, even if it can no longer be chosen."""
    roles = [role.name for role in vocabulary.roles if operator is None or role.permissions <= operator.permissions]
    active = [(group.external_id, f"{group.name} ({group.external_id})") for group in groups if group.active]
    choices = {
        "ROLE": [("", _("Choose a role")), *((name, name) for name in roles)],
        "RANK": [("", _("None")), *((rank.name, rank.name) for rank in vocabulary.ranks)],
        "EVIDENCE_GROUP_EXT_ID": [("", _("None")), *active],
    }
    for heading, options in choices.items():
        has = now.get(heading, "")
        if has not in dict(options):
            options.append((has, has))
    if now.get("ROLE"):
        del choices["ROLE"][0]
    return choices


def describe_problem(problem: Problem) -> str:
    """Return a problem or a note as a form shows it, without mention of a file or a row."""
    if problem.code == "required" and problem.column in _REQUIRED:
        return str(_REQUIRED[problem.column])
    labeled = replace(problem, column=str(LABELS.get(problem.column, problem.column)))
    sentence = labeled.describe(_IN_FORM[problem.code]) if problem.code in _IN_FORM else labeled.message
    return f"{sentence} {labeled.remedy}".strip()


_IN_FORM = {
    "last-administrator": gettext_noop("This would leave the agency without an active administrator."),
    "own-supervisor": gettext_noop("The supervisor is the user themselves. The supervisor stays {kept}."),
    "replaced-supervisor-address": gettext_noop(
        "The supervisor’s address “{value}” is a former address. It was read as the same person, {person}."
    ),
    "address-changed-hands": gettext_noop(
        "The supervisor’s address “{value}” passed from {people}, so it is not clear who is meant. The supervisor stays {kept}."
    ),
}
"""The sentences of a form for problems whose own sentences name a row or a heading of a file."""


def _describe_conflict(conflict: Conflict) -> str:
    was, now = (f"“{value}”" if value else _("blank") for value in (conflict.shown, conflict.now))
    return _(
        "Someone else changed this from %(was)s to %(now)s while you were editing. Save again to keep your value, or enter"
        " theirs."
    ) % {"was": was, "now": now}
