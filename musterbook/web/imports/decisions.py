"""The decisions on rows that are errors until someone says that they are meant (C12, M12, M13), as buttons of the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_lazy, ngettext_lazy

from musterbook.core.domain.decisions import DAMAGE, IDENTITY, OTHER, SAME, TAKEN
from musterbook.core.domain.problems import Problem
from musterbook.directory.imports import plan_changes
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_changes import RowDecision
from musterbook.web.imports import sentences

ALL = "all"
"""The row of a decision about all rows with that problem."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button that makes a decision: its value and its label."""

    value: str
    label: str


_LABELS = {
    DAMAGE: (("", gettext_lazy("Keep all of these as written")),),
    IDENTITY: ((SAME, gettext_lazy("All are the same person")), (OTHER, gettext_lazy("All are another person"))),
}
"""The code of a problem → the choices for all rows that have it, with their labels."""


def list_for_kind(problem: Problem) -> list[Button]:
    """Return the buttons that decide about all rows with this kind of problem."""
    if problem.releasable:
        return [Button(f"{TAKEN} {ALL}", gettext("Give all of these badges to users of the file"))]
    return [
        Button(" ".join(filter(None, (problem.code, ALL, choice))), str(label))
        for choice, label in _LABELS.get(problem.code, ())
    ]


def read_changes(text: str, options: Options) -> Mapping[str, Any]:
    """Return the options that the value of a button changes: `looks-damaged 4 LOCATION`, `identity-change all same`.

    Return none for a text that no button of ours has.
    """
    code, row, choice = (*text.split(" "), "", "", "")[:3]
    if row == ALL and choice in dict(_LABELS.get(code, ())):
        return {"accepted": {**options.accepted, code: choice}}
    if (code, row, choice) == (TAKEN, ALL, ""):
        return {"release_badges": True}
    if not (row.isascii() and row.isdecimal() and len(row) < 9):
        return {}
    decision = RowDecision(int(row), code, choice)
    is_known = plan_changes.is_decision(decision)
    return {"decided": plan_changes.decide(options, [decision]).decided} if is_known else {}


def describe(options: Options) -> list[str]:
    """Return what has been decided, a sentence each."""
    rows = options.decided.values()
    cells = sum(len(columns.split(",")) for by in rows if (columns := by.get(DAMAGE)))
    said = []
    if DAMAGE in options.accepted:
        said.append(gettext("All cells that look damaged are kept as written."))
    elif cells:
        said.append(_count(_KEPT, cells))
    if choice := options.accepted.get(IDENTITY):
        said.append(str(_ALL_PERSONS[choice]))
    badges = sum(TAKEN in by for by in rows)
    if options.release_badges:
        said.append(gettext("Badges of inactive users are given to users of the file."))
    elif badges:
        said.append(_count(_RELEASED, badges))
    persons = {choice: sum(by.get(IDENTITY) == choice for by in rows) for choice in (SAME, OTHER)}
    said += [_count(_PERSONS[choice], number) for choice, number in persons.items() if number]
    return said


_KEPT = ngettext_lazy(
    "%(count)s cell is kept as written, although it looks damaged.",
    "%(count)s cells are kept as written, although they look damaged.",
    "number",
)
_RELEASED = ngettext_lazy(
    "%(count)s badge of an inactive user is given to a user of the file.",
    "%(count)s badges of inactive users are given to users of the file.",
    "number",
)
_ALL_PERSONS = {
    SAME: gettext_lazy("In each row that changes a name and an address, it is the same person."),
    OTHER: gettext_lazy("In each row that changes a name and an address, it is another person."),
}
_PERSONS = {
    SAME: ngettext_lazy(
        "In %(count)s row, it is the same person.", "In %(count)s rows, it is the same person.", "number"
    ),
    OTHER: ngettext_lazy(
        "In %(count)s row, it is another person.", "In %(count)s rows, it is another person.", "number"
    ),
}


def _count(text: Any, number: int) -> str:
    return str(text % {"number": number, "count": sentences.count(number)})
