"""Text output of an import: its state, its counts, its problems, and the next command."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from musterbook.cli.output import console, shown
from musterbook.core.domain.labels import HELD, PROTECTIONS, state_title

if TYPE_CHECKING:
    from musterbook.core.domain.problems import Problem
    from musterbook.core.reporting.report import Report, Row
    from musterbook.directory.imports.bulk import Change
    from musterbook.directory.imports.history import Entry

LISTED = 50
"""The maximum number of entries in a list. A line below the list says how to get the others."""

_MODES = {"update": "update", "sync": "synchronize"}
_STYLES = {
    "applied": "bold green",
    "previewed": "bold cyan",
    "held": "bold yellow",
    "waiting": "bold cyan",
    "running": "bold cyan",
}
_FAILED = "bold red"


@dataclass(frozen=True, slots=True)
class Around:
    """Facts about an import in addition to its report.

    `noted`: the notes of its rows; `names`: external id → name; `errors`: the requested errors file; `apply`: the command
    that applies a preview. `change`: the bulk change, None for a file; `reason`: the reason for it, "" for none.
    """

    noted: "Sequence[tuple[str, Problem]]"
    names: Mapping[str, str]
    errors: Path | None
    apply: str
    change: "Change | None" = None
    reason: str = ""

    @property
    def words(self) -> Mapping[str, str]:
        """The labels of the outcomes whose label is not their name."""
        return self.change.words | {"rows": "chosen users"} if self.change else {"reactivated": "of these, reactivated"}


def report(told: "Report", around: Around) -> None:
    """Print the report."""
    out = console()
    _headline(out, told, around)
    if told.state not in ("failed", "running", "waiting"):
        _counts(out, told, around)
    _of_file(out, told)
    _errored(out, told, around)
    _listed(out, told, around)
    _noted(out, around.noted)
    _leavers(out, told, around.names)
    _next(out, told, around)


def _headline(out: Console, told: "Report", around: Around) -> None:
    line = Text(state_title(told.state, ", "), style=_STYLES.get(told.state, _FAILED))
    does = around.change.label if around.change else _MODES[told.mode]
    does += f" ({around.reason})" if around.reason else ""
    line.append(f": {told.agency}, {shown(does)}, import {told.number}", style="not bold default")
    out.print(line, soft_wrap=True)
    if told.message:
        out.print(_plain(told.message))
    if told.held:
        held = told.held
        out.print(_plain(
            f"{HELD[str(held['code'])]} It would deactivate {held['deactivations']:,} of {held['active']:,} active users."
            f" The limit is {held['limit']:,}."
        ))  # fmt: skip


def _counts(out: Console, told: "Report", around: Around) -> None:
    """Print the counts that are not 0, and always the rows."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(justify="right")
    for name, number in told.counts.items():
        label = around.words.get(name, name)
        if name == "rows" or (number and not (around.change and name == "reactivated")):
            style = "red" if name == "errored" else "yellow" if label == "deactivated" else ""
            table.add_row(f"{number:,}", label, style=style)
    out.print(table)


def _of_file(out: Console, told: "Report") -> None:
    if told.problems:
        _heading(out, "The file")
        for problem in told.problems:
            out.print(_sentence(problem), soft_wrap=True)
    if told.notes:
        _heading(out, "Notes on the file")
        for note in told.notes:
            out.print(_sentence(note), soft_wrap=True)


def _errored(out: Console, told: "Report", around: Around) -> None:
    rows = [row for row in told.rows if row.outcome == "errored"]
    if not rows:
        return
    _heading(out, "Left out: these users do not change" if around.change else "Errors: these rows change nothing")
    _table(out, [(str(row.row), row.external_id, problem) for row in rows[:LISTED] for problem in row.problems])
    if len(rows) > LISTED:
        there = f"all are in {around.errors}" if around.errors else "--errors PATH writes all of them to a file"
        there = "--output json lists all of them" if around.change else there
        out.print(_plain(f"… and {len(rows) - LISTED:,} more rows; {there}."))


def _listed(out: Console, told: "Report", around: Around) -> None:
    """Print the other rows, if --rows asks for them."""
    rows = [row for row in told.rows if row.outcome != "errored"]
    if not rows:
        return
    _heading(out, "Rows")
    table = _grid("row", "external id", "outcome", "changes")
    for row in rows:
        table.add_row(str(row.row), shown(row.external_id), _outcome(row, around), _changes(row))
    out.print(table)


def _outcome(row: "Row", around: Around) -> str:
    return around.words.get(row.outcome, row.outcome)


def _changes(row: "Row") -> Text:
    lines = [
        f"{heading}: {before or '(blank)'} → {after or '(blank)'}" for heading, (before, after) in row.changes.items()
    ]
    return _plain("\n".join(lines))


def _noted(out: Console, noted: "Sequence[tuple[str, Problem]]") -> None:
    if not noted:
        return
    _heading(out, "Notes")
    _table(out, [(str(note.row), external_id, note) for external_id, note in noted[:LISTED]])
    if len(noted) > LISTED:
        out.print(_plain(f"… and {len(noted) - LISTED:,} more; --output json --rows all tells them all."))


def _leavers(out: Console, told: "Report", names: Mapping[str, str]) -> None:
    if told.deactivated:
        done = told.state == "applied"
        _heading(out, f"{'Deactivated' if done else 'Would be deactivated'}: the file does not mention them")
        table = _grid("external id", "name")
        for external_id in told.deactivated[:LISTED]:
            table.add_row(shown(external_id), shown(names.get(external_id, "")))
        out.print(table)
        if len(told.deactivated) > LISTED:
            out.print(_plain(f"… and {len(told.deactivated) - LISTED:,} more; --output json lists all of them."))
    if told.protected:
        _heading(out, "Protected: kept although the file does not mention them")
        table = _grid("external id", "name", "why")
        for one in told.protected[:LISTED]:
            external_id, code = one["external_id"], one["code"]
            table.add_row(shown(external_id), shown(names.get(external_id, "")), PROTECTIONS.get(code, code))
        out.print(table)
        if len(told.protected) > LISTED:
            out.print(_plain(f"… and {len(told.protected) - LISTED:,} more; --output json lists all of them."))


def _next(out: Console, told: "Report", around: Around) -> None:
    """Print what to do next, if there is something to do."""
    if told.state == "previewed" and around.change:
        _next_of_chosen(out, told, around)
    elif told.state == "previewed":
        _command(out, "To apply it", around.apply)
    elif told.state == "held":
        _command(out, "To apply it anyway", around.apply)
    elif told.state == "applied" and told.counts["errored"] and not around.change:
        out.print(_plain("\nCorrect the errored rows and import them again. All other rows were applied."))


def _next_of_chosen(out: Console, told: "Report", around: Around) -> None:
    if not told.counts["updated"]:
        out.print(_plain("\nNo chosen user would change."))
        return
    if not any(row.outcome == "updated" for row in told.rows):
        _command(out, "To see the users", f"muster imports show {told.number} --rows changed")
    _command(out, "To apply it", around.apply)


def without_preview() -> str:
    """Return the command as it was called, without --preview."""
    return shlex.join(["muster", *(argument for argument in sys.argv[1:] if argument != "--preview")])


def again() -> str:
    """Return the command as it was called, without a number confirmed before and without an idempotency key."""
    kept, skip = [], False
    for argument in sys.argv[1:]:
        if not skip and not argument.startswith(("--confirm-deactivations", "--idempotency-key")):
            kept.append(argument)
        skip = not skip and argument in ("--confirm-deactivations", "--idempotency-key")
    return shlex.join(["muster", *kept])


def _command(out: Console, when: str, command: str) -> None:
    line = Text(f"\n{when}: ")
    line.append(shown(command), style="bold")
    out.print(line, soft_wrap=True)


def _heading(out: Console, title: str) -> None:
    out.print()
    out.print(Text(title, style="bold"))


def _grid(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading == "row" else "left", no_wrap=heading == "row", overflow="fold"
        )
    return table


def _table(out: Console, found: "Sequence[tuple[str, str, Problem]]") -> None:
    table = _grid("row", "external id", "column", "")
    for row, external_id, problem in found:
        table.add_row(row, _plain(external_id), _plain(problem.column), _sentence(problem))
    out.print(table)


def _sentence(problem: "Problem") -> Text:
    text = _plain(problem.message)
    return text.append(f" {shown(problem.remedy)}", style="dim") if problem.remedy else text


def _plain(text: str) -> Text:
    """Return the text without markup and without control characters."""
    return Text(shown(text))


def imports(entries: "Sequence[Entry]") -> None:
    """Print the list of an agency's imports."""
    out = console()
    if not entries:
        out.print("There is no import yet.")
        return
    table = _grid("import", "when (UTC)", "mode", "state", "by", "file", "added", "updated", "errored", "deactivated")
    for entry in entries:
        counts = dict(entry.counts)
        if entry.act == "deactivate":
            counts |= {"updated": 0, "deactivated": counts.get("updated", 0)}
        numbers = [f"{counts.get(name, 0):,}" for name in ("added", "updated", "errored", "deactivated")]
        file = f"undo of {entry.undoes}" if entry.undoes else shown(entry.file_name)
        when = f"{entry.at:%Y-%m-%d %H:%M}"
        table.add_row(entry.number, when, entry.mode, entry.state, shown(entry.actor) or "system", file, *numbers)
    out.print(table)
