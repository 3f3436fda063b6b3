"""The forms of one user: the columns of a file's row as fields, with each problem at its field."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.policy import Operator
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.directory import models
from musterbook.directory.users.editing import Conflict, EditResult, Row
from musterbook.directory.users.marks import ENDS_ON, EXEMPT, FLAGS, NO_FILES, SOURCE, SOURCE_LONGEST

LABELS = {
    "EXTERNAL_ID": "External id",
    "FIRST_NAME": "First name",
    "LAST_NAME": "Last name",
    "EMAIL": "Email address",
    "USERNAME": "Username",
    "BADGE_NUMBER": "Badge number",
    "STATUS": "Status",
    "ROLE": "Role",
    "SUPERVISOR_EMAIL": "Supervisor",
    "LOCATION": "Location",
    "RANK": "Rank",
    "EVIDENCE_GROUP_EXT_ID": "Group",
    "PHONE": "Phone",
    ENDS_ON: "Last day of access",
    EXEMPT: "Exempt from synchronize",
    NO_FILES: "Not changed by files",
    SOURCE: "Source",
}
"""The label of each heading, in the order in which pages show them."""

HARMLESS = frozenset({
    "FIRST_NAME", "LAST_NAME", "BADGE_NUMBER", "SUPERVISOR_EMAIL", "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE",
})  # fmt: skip
"""The only columns that change without a recent sign-in.

None of them affects who signs in, with what, until when, or what they may do.
"""

_HINTS = {
    "EXTERNAL_ID": "As your organization assigns it. Files name the user by it.",
    "USERNAME": "What the user signs in with.",
    "SUPERVISOR_EMAIL": "The supervisor's email address.",
    "PHONE": "With the country code, such as +1 202 555 0143.",
}
_STATUSES = [
    ("Active", "Active: is invited, may register and sign in."),
    ("Inactive", "Inactive: may not come in until reactivated."),
]
_FLAGS = {
    EXEMPT: "Exempt from synchronize: stays Active when a synchronize file does not mention them",
    NO_FILES: "Not changed by files: rows of files leave the user unchanged, and the user stays Active without a row",
}


class CellField(forms.CharField):
    """The text of one cell, not validated. The plan checks all cells together."""

    def validate(self, value: Any) -> None:
        """Accept any text."""


class UserForm(forms.Form):
    """All columns of a row, and the values that were shown, to detect what was edited."""

    shown = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(
        self, now: Row, words: Vocabulary, groups: Iterable[models.Group], operator: Operator | None, sent: Any = None,
        *, left_out: Iterable[str], suggests: bool,
    ) -> None:  # fmt: skip
        initial = {heading.lower(): value for heading, value in now.items()} | {"shown": json.dumps(dict(now))}
        super().__init__(sent, initial=initial)
        self._now = now
        self._choices = _list_choices(now, words, groups, operator)
        for heading, label in LABELS.items():
            if heading not in left_out:
                self.fields[heading.lower()] = self._field(heading, label, suggests=suggests)

    def _field(self, heading: str, label: str, *, suggests: bool) -> forms.Field:
        if heading in FLAGS:
            return forms.BooleanField(label=_FLAGS[heading], required=False)
        if heading == SOURCE:
            hint = "The files that list the user, such as hr-sworn. Leave it blank for a user who is managed by hand."
            plain = forms.TextInput({"autocomplete": "off", "maxlength": str(SOURCE_LONGEST)})
            return CellField(label=label, widget=plain, help_text=hint, required=False)
        if heading == ENDS_ON:
            hint = "For a temporary account. After this day the user becomes Inactive. Leave it blank for no end."
            # With this type, a browser shows a calendar, and sends the day in the format that is stored.
            return CellField(label=label, widget=forms.TextInput({"type": "date"}), help_text=hint, required=False)
        column = columns.BY_HEADING[heading]
        widget = self._widget(column, suggests=suggests)
        field = CellField(label=label, widget=widget, help_text=_HINTS.get(heading, ""), required=column.required)
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
        "ROLE": [("", "Choose a role"), *((name, name) for name in roles)],
        "RANK": [("", "None"), *((rank.name, rank.name) for rank in vocabulary.ranks)],
        "EVIDENCE_GROUP_EXT_ID": [("", "None"), *active],
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
    if problem.code == "required":
        return "This is blank. Every user needs one."
    labeled = replace(problem, column=LABELS.get(problem.column, problem.column))
    sentence = labeled.message.replace("The row ", "This ").replace("SUPERVISOR_EMAIL", "Supervisor")
    return f"{sentence} {labeled.remedy}".strip()


def _describe_conflict(conflict: Conflict) -> str:
    was, now = (f"“{value}”" if value else "blank" for value in (conflict.shown, conflict.now))
    return f"Somebody has changed this meanwhile, from {was} to {now}. Save again if yours is right, or write theirs."
