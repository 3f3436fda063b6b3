"""The report of an import as text that a person likes to read."""

import os
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from musterbook.core.problems import Problem
from musterbook.core.report import Report, Row
from musterbook.directory.history import Entry

_LISTED = 50
"""So many rows of each kind are shown; who needs more takes JSON or the results file."""

_LOG_WIDTH = 140
_HEADLINES = {
    "applied": ("green", "Applied"),
    "previewed": ("cyan", "Previewed, nothing changed"),
    "held": ("yellow", "Held, nothing changed"),
    "refused": ("red", "Refused, nothing changed"),
    "failed": ("red", "Failed, nothing changed"),
}
_MODES = {"update": "add or update", "sync": "synchronize all"}
_PROTECTED = {
    "exempt": "exempt from synchronize",
    "own-account": "your own account",
    "above-your-role": "has permissions that you have not",
    "last-administrator": "the last administrator",
}


def _console() -> Console:
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _LOG_WIDTH
    return console


def report(told: Report, people: Mapping[str, str]) -> None:
    """Prints the report; `people` names those who are deactivated or protected."""
    console = _console()
    colour, headline = _HEADLINES[told.state]
    console.print(Text.assemble((headline, f"bold {colour}"), f" · {told.agency} · {_MODES[told.mode]} · import {told.number}"))
    if told.message:
        console.print(Padding(told.message, (0, 2), expand=False))
    _about_file(console, told)
    if any(told.counts.values()):
        console.print(_counts(told))
    _rows(console, told)
    _leavers(console, told, people)
    for hint in _next(told):
        console.print(hint)


def _about_file(console: Console, told: Report) -> None:
    for problem in told.problems:
        console.print(Padding(Text.assemble((problem.message, "red"), f" {problem.remedy}"), (0, 2), expand=False))
    for note in told.notes:
        console.print(Padding(Text(f"Note: {note.message} {note.remedy}".strip(), "dim"), (0, 2), expand=False))


def _counts(told: Report) -> Padding:
    names = ["rows", "added", "updated", "unchanged", "errored", "skipped"]
    if told.mode == "sync":
        names += ["deactivated", "protected"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right", style="red" if name == "errored" and told.counts[name] else "")
    cells = {name: f"{told.counts[name]:,}" for name in names}
    if told.counts["reactivated"]:
        cells["updated"] += f" ({told.counts['reactivated']:,} reactivated)"
    table.add_row(*cells.values())
    return Padding(table, (0, 2), expand=False)


def _rows(console: Console, told: Report) -> None:
    errored = [row for row in told.rows if row.outcome == "errored"]
    changed = [row for row in told.rows if row.changes]
    wrong = [(row.external_id, problem) for row in errored for problem in row.problems]
    _problems(console, "Problems", wrong, len(wrong), "--errors PATH writes every row in error")
    _problems(console, "Notes", told.noted, told.noted_in_all, "--output json --rows all lists them")
    if changed:
        console.print(_titled(_changes(changed[:_LISTED]), "Changes"))
        _more(console, len(changed) - _LISTED, "changed rows")
    unchanged = sum(row.outcome == "unchanged" for row in told.rows)
    if unchanged:
        console.print(Padding(f"{unchanged:,} rows are as they were.", (0, 2), expand=False))


def _problems(console: Console, title: str, found: Sequence[tuple[str, Problem]], number: int, rest: str) -> None:
    """A table of problems or notes, each with the external id of its row; `number` is how many there are in all."""
    if not found:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", justify="right")
    table.add_column("external id", overflow="fold")
    table.add_column("column")
    table.add_column("what, and how to mend it", overflow="fold")
    for external_id, problem in found[:_LISTED]:
        told = Text.assemble(problem.message, (f" {problem.remedy}", "dim"))
        table.add_row(str(problem.row), external_id, problem.column, told)
    console.print(_titled(table, title))
    _more(console, number - _LISTED, f"{title.lower()}; {rest}")


def _titled(table: Table, title: str) -> Padding:
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    return Padding(table, (0, 2), expand=False)


def _more(console: Console, more: int, what: str) -> None:
    if more > 0:
        console.print(Padding(f"… and {more:,} more {what}", (0, 2), expand=False))


def _changes(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("row", "external id", "outcome", "before → after"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        pairs = (f"{heading}: {before or 'blank'} → {after or 'blank'}" for heading, (before, after) in row.changes.items())
        new = (f"{heading}: {after}" for heading, (_, after) in row.changes.items())
        table.add_row(str(row.row), row.external_id, row.outcome, "\n".join(pairs) if row.outcome == "updated" else ", ".join(new))
    return table


def _leavers(console: Console, told: Report, people: Mapping[str, str]) -> None:
    if told.deactivated:
        done = told.state == "applied"
        console.print(Padding(Text("Deactivated" if done else "Would be deactivated", "bold"), (1, 2, 0, 2), expand=False))
        names = [f"{people.get(one, '')} ({one})".strip() for one in told.deactivated[:_LISTED]]
        console.print(Padding(", ".join(names), (0, 2), expand=False))
        _more(console, len(told.deactivated) - _LISTED, "users; --output json lists all")
    if told.protected:
        console.print(Padding(Text("Protected: not in the file, and kept Active", "bold"), (1, 2, 0, 2), expand=False))
        for one in told.protected[:_LISTED]:
            reason = _PROTECTED[one["code"]]
            console.print(Padding(f"{people.get(one['external_id'], '')} ({one['external_id']}): {reason}", (0, 2), expand=False))
        _more(console, len(told.protected) - _LISTED, "users; --output json lists all")


def _next(told: Report) -> list[str]:
    """What the person will want to do now."""
    hints = []
    if told.held:
        hints.append(_why_held(told))
    if told.state == "previewed" and not told.held:
        hints.append(f"To do this: muster apply {told.number}")
    if told.state == "applied" and any(told.counts[name] for name in ("added", "updated", "deactivated")):
        hints.append(f"To take it back: muster undo {told.number}")
    return ["", *hints] if hints else []


def _why_held(told: Report) -> str:
    held = told.held or {}
    number = held["deactivations"]
    why = {
        "deactivation-limit": f"{number} of {held['active']} active users would be deactivated; unasked, at most {held['limit']} are.",
        "unreadable-rows": "A row in error can be tied to nobody, so somebody may be missing only because of it.",
    }[str(held["code"])]
    return f"{why} If that is right, say so: --confirm-deactivations {number}"


def entries(found: Sequence[Entry]) -> None:
    """Prints the list of imports."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("import", "when (UTC)", "mode", "state", "by", "file", "added", "updated", "errored", "deactivated"):
        table.add_column(heading, overflow="fold")
    for entry in found:
        counts = (str(entry.counts.get(name, "")) for name in ("added", "updated", "errored", "deactivated"))
        what = f"undo of {entry.undoes}" if entry.undoes else entry.file_name
        table.add_row(
            entry.number, f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.mode, entry.state, entry.actor or "system", what, *counts
        )
    _console().print(table if found else "No imports yet.")
