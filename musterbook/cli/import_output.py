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

from musterbook.cli.language import gettext_noop
from musterbook.cli.output import escape_text, make_console
from musterbook.core.domain.labels import EMAIL_TITLES, PLAN_ENDS, count_emails, describe_protection, format_state_title
from musterbook.core.domain.texts import Labels
from musterbook.core.domain.texts import translate as _

if TYPE_CHECKING:
    from musterbook.core.domain.problems import Problem
    from musterbook.core.reporting.report import Report, ReportRow
    from musterbook.directory.imports.bulk import BulkChange
    from musterbook.directory.imports.history import Entry

GROUPS_LISTED = 10
LISTED = 50
"""The maximum number of entries in a list. A line below the list says how to get the others."""

_MODES = Labels(
    {
        "update": gettext_noop("update"),
        "sync": gettext_noop("synchronize"),
        "rekey": gettext_noop("change external IDs"),
    }
)
_FILES = Labels(
    {
        "groups": gettext_noop("groups"),
        "members": gettext_noop("members of groups"),
        "roles": gettext_noop("roles"),
        "ranks": gettext_noop("ranks"),
    }
)
_STYLES = {
    "applied": "bold green",
    "previewed": "bold cyan",
    "held": "bold yellow",
    "waiting": "bold cyan",
    "running": "bold cyan",
}
_FAILED = "bold red"


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Facts about an import in addition to its report.

    `noted`: the notes of its rows; `names`: external ID → name; `errors`: the requested errors file; `apply`: the command
    that applies a preview. `mails`: the first emails (`external_id`, `kind`, `to`). `ended`: how
    its plan ended, "" if it can be applied. `change`: the bulk change, None for a
    file; `reason`: the reason for it, "" for none.
    """

    noted: "Sequence[tuple[str, Problem]]"
    names: Mapping[str, str]
    errors: Path | None
    apply: str
    mails: Sequence[Mapping[str, str]] = ()
    ended: str = ""
    change: "BulkChange | None" = None
    reason: str = ""

    @property
    def words(self) -> Mapping[str, str]:
        """The labels of the outcomes whose label is not their name."""
        words = {**self.change.words, "rows": _("chosen users")} if self.change else {}
        return {**dict(_LABELS.items()), **words}


_LABELS = Labels(
    {
        "rows": gettext_noop("rows"),
        "added": gettext_noop("added"),
        "updated": gettext_noop("updated"),
        "deactivated": gettext_noop("deactivated"),
        "unchanged": gettext_noop("unchanged"),
        "errored": gettext_noop("errored"),
        "skipped": gettext_noop("skipped"),
        "protected": gettext_noop("protected"),
        "reactivated": gettext_noop("of these, reactivated"),
        "losing_access": gettext_noop("losing access"),
        "privileges": gettext_noop("gaining a permission"),
        "handovers": gettext_noop("taking another user's address or username"),
        "cleared": gettext_noop("losing a value to a blank column"),
        "released": gettext_noop("losing their badge"),
        "marked": gettext_noop("marked with the source of the file, or as leaving"),
        "identity_changes": gettext_noop("of these, identity changes"),
        "removed": gettext_noop("removed, because the file does not list them"),
        "losses": gettext_noop("losing a group or a permission"),
    }
)


def print_report(report: "Report", facts: ReportFacts) -> None:
    """Print the report."""
    out = make_console()
    _print_headline(out, report, facts)
    if report.state not in _WITHOUT_COUNTS:
        _print_counts(out, report, facts)
    _print_file(out, report)
    _print_groups(out, report, facts)
    _print_errored(out, report, facts)
    _print_rows(out, report, facts)
    _print_removed(out, report)
    _print_notes(out, facts.noted)
    _print_leavers(out, report, facts.names)
    _print_mails(out, report, facts.mails)
    _print_next(out, report, facts)


_WITHOUT_COUNTS = ("failed", "running", "waiting")


def _print_headline(out: Console, report: "Report", facts: ReportFacts) -> None:
    from musterbook.core.reporting.summary import describe_hold, summarize

    line = Text(
        format_state_title(report.state, ", ", ended=bool(facts.ended)), style=_STYLES.get(report.state, _FAILED)
    )
    action = facts.change.title if facts.change else _MODES[report.mode]
    action = f"{_FILES[report.what]}, {action}" if report.what else action
    action += f" ({facts.reason})" if facts.reason else ""
    action += _(", source {source}").format(source=report.source) if report.source else ""
    place = _(": {agency}, {action}, import {number}")
    line.append(
        place.format(agency=report.agency, action=escape_text(action), number=report.number), style="not bold default"
    )
    out.print(line, soft_wrap=True)
    if report.message:
        from musterbook.directory.storage import database_errors

        out.print(_make_text(database_errors.translate_message(report.message)))
    if facts.ended:
        out.print(_make_text(facts.ended))
    if report.state not in _WITHOUT_COUNTS and not facts.change:
        out.print(_make_text(f"{summarize(report.counts, report.mails, done=report.state == 'applied')}."))
    for hold in report.holds:
        out.print(_make_text(describe_hold(hold)))
        _print_users(out, hold.external_ids, facts.names)


def _print_counts(out: Console, report: "Report", facts: ReportFacts) -> None:
    """Print the counts that are not 0, and always the rows."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(justify="right")
    for name, number in report.counts.items():
        label = facts.words.get(name, name)
        if name == "rows" or (number and not (facts.change and name == "reactivated")):
            style = (
                "red" if name == "errored" else "yellow" if name == "deactivated" or label == _("deactivated") else ""
            )
            table.add_row(f"{number:,}", label, style=style)
    out.print(table)


def _print_file(out: Console, report: "Report") -> None:
    if report.problems:
        _print_heading(out, _("The file"))
        for problem in report.problems:
            out.print(_format_problem(problem), soft_wrap=True)
    if report.notes:
        _print_heading(out, _("Warnings about the file"))
        for note in report.notes:
            out.print(_format_problem(note), soft_wrap=True)


def _print_groups(out: Console, report: "Report", facts: ReportFacts) -> None:
    """Print the problems that several rows share, the most rows first (A7)."""
    shared = [group for group in report.groups if group.rows > 1]
    if not shared:
        return
    _print_heading(out, _("Problems by kind"))
    for group in shared[:GROUPS_LISTED]:
        problem = group.problem
        line = f"{group.rows:,} × {_name_cell(problem)}"
        meant = _("did you mean {name}?").format(name=group.suggestion) if group.suggestion else problem.message
        out.print(_make_text(f"{line}: {meant}"), soft_wrap=True)
    if len(shared) > GROUPS_LISTED:
        out.print(_make_text(_count_more(len(shared) - GROUPS_LISTED)))
    mapped = next((group for group in shared if group.can_map and group.suggestion), None)
    if mapped and not facts.change:
        problem = mapped.problem
        example = shlex.quote(f"{problem.column}:{problem.value}={mapped.suggestion}")
        out.print(
            _make_text(
                _("To read a value as one of yours, add it to the command, such as --value {example}.").format(
                    example=example
                )
            ),
            soft_wrap=True,
        )


def _name_cell(problem: "Problem") -> str:
    value = f"“{problem.value}”" if problem.value else _("blank")
    return f"{problem.column} {value}" if problem.column else _("rows")


def _print_errored(out: Console, report: "Report", facts: ReportFacts) -> None:
    rows = [row for row in report.rows if row.outcome == "errored"]
    if not rows:
        return
    title = _("Left out: these users do not change") if facts.change else _("Errors: these rows change nothing")
    _print_heading(out, title)
    _print_problems(
        out, [(str(row.row), row.external_id, problem) for row in rows[:LISTED] for problem in row.problems]
    )
    if len(rows) > LISTED:
        more = _("… and {number} more rows; --errors PATH writes all of them to a file.")
        more = _("… and {number} more rows; all are in {path}.") if facts.errors else more
        more = _("… and {number} more; --output json lists all of them.") if facts.change else more
        out.print(_make_text(more.format(number=f"{len(rows) - LISTED:,}", path=facts.errors)))


def _print_rows(out: Console, report: "Report", facts: ReportFacts) -> None:
    """Print the other rows, if --rows asks for them."""
    rows = [row for row in report.rows if row.outcome != "errored"]
    if not rows:
        return
    _print_heading(out, _("Rows"))
    table = _make_grid(_("row"), _("external ID"), _("outcome"), _("changes"))
    for row in rows:
        table.add_row(str(row.row), escape_text(row.external_id), _label_outcome(row, facts), _format_changes(row))
    out.print(table)


def _print_removed(out: Console, report: "Report") -> None:
    """Print what is removed because the file does not list it."""
    if not report.removed:
        return
    done = report.state == "applied"
    _print_heading(out, _("Removed: the file does not list them") if done else _("Will be removed: not in the file"))
    table = _make_grid(_("external ID"), _("changes"))
    for one in report.removed[:LISTED]:
        table.add_row(escape_text(one.external_id), _format_changes(one))
    out.print(table)
    if len(report.removed) > LISTED:
        out.print(_make_text(_count_more(len(report.removed) - LISTED)))


def _label_outcome(row: "ReportRow", facts: ReportFacts) -> str:
    return facts.words.get(row.outcome, row.outcome)


def _format_changes(row: "ReportRow") -> Text:
    blank = _("(blank)")
    lines = [f"{heading}: {before or blank} → {after or blank}" for heading, (before, after) in row.changes.items()]
    return _make_text("\n".join(lines))


def _print_notes(out: Console, notes: "Sequence[tuple[str, Problem]]") -> None:
    if not notes:
        return
    _print_heading(out, _("Warnings"))
    _print_problems(out, [(str(note.row), external_id, note) for external_id, note in notes[:LISTED]])
    if len(notes) > LISTED:
        out.print(_make_text(_count_more(len(notes) - LISTED, rows=True)))


def _count_more(number: int, *, rows: bool = False) -> str:
    """Return how many entries are not listed, and how to list them."""
    with_rows = _("… and {number} more; --output json --rows all lists all of them.")
    return (with_rows if rows else _("… and {number} more; --output json lists all of them.")).format(
        number=f"{number:,}"
    )


def _print_users(out: Console, external_ids: Sequence[str], names: Mapping[str, str]) -> None:
    if not external_ids:
        return
    table = _make_grid(_("external ID"), _("name"))
    for external_id in external_ids[:LISTED]:
        table.add_row(escape_text(external_id), escape_text(names.get(external_id, "")))
    out.print(table)
    if len(external_ids) > LISTED:
        out.print(_make_text(_count_more(len(external_ids) - LISTED)))


def _print_leavers(out: Console, report: "Report", names: Mapping[str, str]) -> None:
    if report.deactivated:
        done = report.state == "applied"
        will, was = _("Will be deactivated: users not in the file"), _("Deactivated: users not in the file")
        _print_heading(out, was if done else will)
        _print_users(out, report.deactivated, names)
    if report.protected:
        _print_heading(out, _("Protected: kept although they are not in the file"))
        table = _make_grid(_("external ID"), _("name"), _("why"))
        for one in report.protected[:LISTED]:
            external_id = str(one["external_id"])
            table.add_row(escape_text(external_id), escape_text(names.get(external_id, "")), _describe_protection(one))
        out.print(table)
        if len(report.protected) > LISTED:
            out.print(_make_text(_count_more(len(report.protected) - LISTED)))


def _print_mails(out: Console, report: "Report", mails: Sequence[Mapping[str, str]]) -> None:
    """Print the number of emails of each kind, and of a plan that is not applied yet, who gets which."""
    if not report.mails:
        return
    pending = report.state in ("previewed", "held")
    title = _("Will be sent: {emails}") if pending else _("Emails: {emails}")
    _print_heading(out, title.format(emails=count_emails(report.mails)))
    if not pending:
        return
    table = _make_grid(_("external ID"), _("email"), _("to"))
    for mail in mails[:LISTED]:
        title = EMAIL_TITLES.get(mail["kind"], mail["kind"])
        table.add_row(escape_text(mail["external_id"]), title, escape_text(mail["to"]))
    out.print(table)
    more = sum(report.mails.values()) - LISTED
    if more > 0:
        out.print(_make_text(_count_more(more, rows=True)))
    out.print(_make_text(_("To send none of them, add --no-mail.")))


def _describe_protection(one: Mapping[str, object]) -> str:
    row = one.get("row")
    return describe_protection(str(one["code"]), row if isinstance(row, int) else None, str(one.get("leaving_on", "")))


def _print_next(out: Console, report: "Report", facts: ReportFacts) -> None:
    """Print what to do next, if there is something to do."""
    if facts.ended:
        return
    if report.state in ("previewed", "held") and facts.change:
        _print_next_bulk(out, report, facts)
    elif report.state == "previewed" and not any(
        report.counts.get(name) for name in ("added", "updated", "deactivated", "marked", "removed")
    ):
        out.print(_make_text("\n" + _("Nothing will change.")))
    elif report.state == "previewed":
        _print_command(out, _("To apply it"), facts.apply)
    elif report.state == "held":
        _print_command(out, _("To apply it anyway"), facts.apply)
    elif report.state == "applied" and report.counts["errored"] and not facts.change:
        out.print(_make_text("\n" + _("Fix the errored rows and import them again. All other rows were applied.")))


def _print_next_bulk(out: Console, report: "Report", facts: ReportFacts) -> None:
    if not report.counts["updated"]:
        out.print(_make_text("\n" + _("No chosen user will change.")))
        return
    if not any(row.outcome == "updated" for row in report.rows):
        _print_command(out, _("To see the users"), f"muster imports show {report.number} --rows changed")
    _print_command(out, _("To apply it"), facts.apply)


_NOT_REPEATED = ("--confirm", "--confirm-deactivations", "--idempotency-key")


def repeat_command() -> str:
    """Return the command as it was called, without what was confirmed before and without an idempotency key."""
    arguments, skip = [], False
    for argument in sys.argv[1:]:
        if not skip and argument.partition("=")[0] not in _NOT_REPEATED:
            arguments.append(argument)
        skip = not skip and argument in _NOT_REPEATED
    return shlex.join(["muster", *arguments])


def _print_command(out: Console, when: str, command: str) -> None:
    line = Text(f"\n{when}: ")
    line.append(escape_text(command), style="bold")
    out.print(line, soft_wrap=True)


def _print_heading(out: Console, title: str) -> None:
    out.print()
    out.print(Text(title, style="bold"))


def _make_grid(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading == _("row") else "left", no_wrap=heading == _("row"), overflow="fold"
        )
    return table


def _print_problems(out: Console, rows: "Sequence[tuple[str, str, Problem]]") -> None:
    table = _make_grid(_("row"), _("external ID"), _("column"), "")
    for row, external_id, problem in rows:
        table.add_row(row, _make_text(external_id), _make_text(problem.column), _format_problem(problem))
    out.print(table)


def _format_problem(problem: "Problem") -> Text:
    text = _make_text(problem.message)
    return text.append(f" {escape_text(problem.remedy)}", style="dim") if problem.remedy else text


def _make_text(text: str) -> Text:
    """Return the text without markup and without control characters."""
    return Text(escape_text(text))


def print_imports(entries: "Sequence[Entry]") -> None:
    """Print the list of an agency's imports."""
    out = make_console()
    if not entries:
        out.print(_("There are no imports yet."))
        return
    table = _make_grid(
        _("import"),
        _("when (UTC)"),
        _("mode"),
        _("state"),
        _("by"),
        _("file"),
        _("added"),
        _("updated"),
        _("errored"),
        _("deactivated"),
    )
    for entry in entries:
        counts = dict(entry.counts)
        if entry.act == "deactivate":
            counts |= {"updated": 0, "deactivated": counts.get("updated", 0)}
        numbers = [f"{counts.get(name, 0):,}" for name in ("added", "updated", "errored", "deactivated")]
        file = _("undo of {number}").format(number=entry.undoes) if entry.undoes else escape_text(entry.file_name)
        when = f"{entry.at:%Y-%m-%d %H:%M}"
        state = f"{entry.state}, {PLAN_ENDS[entry.ended]}" if entry.ended else entry.state
        table.add_row(entry.number, when, entry.mode, state, escape_text(entry.actor) or _("system"), file, *numbers)
    out.print(table)
