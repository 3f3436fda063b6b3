"""The decisions on rows that are errors until someone says that they are meant (C12, M12, M13), as buttons of the page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from musterbook.core.domain.columns import BADGE_NUMBER, HEADINGS
from musterbook.core.domain.decisions import DAMAGE, IDENTITY, OTHER, SAME, TAKEN, merge_by_row
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_pages import PlanRow

ALL = "all"
"""The row of a decision about all rows with that problem."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button that makes a decision: its value and its label."""

    value: str
    label: str


_LABELS = {
    DAMAGE: (("", "Keep all such cells as written"),),
    IDENTITY: ((SAME, "All are the same person"), (OTHER, "All are another person")),
}
"""The code of a problem → the choices for all rows that have it, with their labels."""


def list_buttons(lines: Iterable[PlanRow]) -> list[Button]:
    """Return the buttons that decide about all rows, for the problems that the lines of a page have."""
    cells = [cell for line in lines for cell in line.cells]
    problems = [problem for cell in cells for problem in cell.problems]
    codes = {problem.code for problem in problems}
    releasing = [Button(f"{TAKEN} {ALL}", "Release all such badges")] if any(p.releasable for p in problems) else []
    buttons = [
        Button(" ".join(filter(None, (code, ALL, choice))), label)
        for code, choices in _LABELS.items()
        if code in codes
        for choice, label in choices
    ]
    return buttons + releasing


def read_changes(text: str, options: Options) -> Mapping[str, Any]:
    """Return the options that the value of a button changes: `looks-damaged 4 LOCATION`, `identity-change all same`.

    Return none for a text that no button of ours has.
    """
    code, row, choice = (*text.split(" "), "", "", "")[:3]
    if row == ALL and choice in dict(_LABELS.get(code, ())):
        return {"accepted": {**options.accepted, code: choice}}
    if (code, row, choice) == (TAKEN, ALL, ""):
        return {"release_badges": True}
    is_row = row.isascii() and row.isdecimal() and len(row) < 9
    choices = {DAMAGE: tuple(HEADINGS), IDENTITY: (SAME, OTHER), TAKEN: (BADGE_NUMBER.heading,)}
    is_choice = choice in choices.get(code, ())
    return {"decided": merge_by_row(options.decided, {row: {code: choice}})} if is_row and is_choice else {}


def describe(options: Options) -> list[str]:
    """Return what has been decided, a sentence each."""
    rows = options.decided.values()
    cells = sum(len(columns.split(",")) for by in rows if (columns := by.get(DAMAGE)))
    persons = {choice: sum(by.get(IDENTITY) == choice for by in rows) for choice in (SAME, OTHER)}
    said = {SAME: "the same person", OTHER: "another person"}
    sentences = []
    if DAMAGE in options.accepted:
        sentences.append("All cells that look damaged are kept as written.")
    elif cells:
        sentences.append(f"Cells kept as written although they look damaged: {cells:,}.")
    if choice := options.accepted.get(IDENTITY):
        sentences.append(f"Rows that change who an account belongs to mean {said[choice]}.")
    badges = sum(TAKEN in by for by in rows)
    if options.release_badges:
        sentences.append("Badges of inactive users are given to users of the file.")
    elif badges:
        sentences.append(f"Badges of inactive users that are given to users of the file: {badges:,}.")
    sentences += [f"Rows that mean {said[choice]}: {number:,}." for choice, number in persons.items() if number]
    return sentences
