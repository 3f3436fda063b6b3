"""`muster import`, `imports`, `apply` and `undo`: imports done, looked at, applied as they were previewed, and taken back."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musterbook.cli import exits, options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import save, say, writable, write_json
from musterbook.cli.session import opened

if TYPE_CHECKING:
    from musterbook.core.planning.plan import Plan
    from musterbook.directory import models
    from musterbook.directory.imports.file_import import Upload
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.runner import Done

app = typer.Typer(invoke_without_command=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to print of an import, and which files to write."""

    output: str
    rows: str
    results: Path | None = None
    errors: Path | None = None

    def check(self) -> None:
        """Raise WrongCall for a file that cannot be written, before anything is done."""
        writable(self.results)
        writable(self.errors)


def import_file(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A CSV file or a workbook (.xlsx, .ods); - is standard input.")
    ],
    agency: options.Agency,
    mode: Annotated[
        Literal["update", "sync"],
        typer.Option(
            "--mode", help="update: add or update users; sync: also make active users Inactive who are not in the file."
        ),
    ] = "update",
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be done, and change nothing.")] = False,
    confirm_deactivations: options.Confirm = None,
    strict: Annotated[bool, typer.Option("--strict", help="Any problem in any row, and nothing is written.")] = False,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Send no invitations and no notices.")] = False,
    act_as: options.As = "",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="Heading=COLUMN", help="Read that heading as that column; repeatable."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Such as windows-1252; otherwise detected.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option("--delimiter", help="comma, semicolon, tab or pipe; otherwise detected from the header row."),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option("--sheet", help="The sheet of a workbook, where several could be meant.")
    ] = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="Sent twice with one key, it is one import.")
    ] = None,
) -> None:
    """Import a file: add and update users, or synchronize all.

    Rows with problems change nothing and are listed; all others are applied, in one transaction. Exit status: 0 done;
    1 done, some rows errored; 2 called wrongly; 3 refused; 4 held; 5 failed. From 2 on nothing was changed.

    Example: muster import roster.csv --agency springfield-pd --mode sync --preview
    """
    wanted = Wanted(output, rows, results, errors)
    with opened():
        from musterbook.core.domain.policy import Mode
        from musterbook.directory.agency import agencies
        from musterbook.directory.imports import file_import

        wanted.check()
        asked = file_import.Options(
            mode=Mode(mode), preview=preview, strict=strict, confirmed=confirm_deactivations, mails=False if no_mail else None,
            mapping=_mapping(mapping or []), encoding=encoding, delimiter=delimiter, sheet=sheet,
        )  # fmt: skip
        found, upload = agencies.find(agency), _upload(file)

        def work(at: datetime, progress: "Progress") -> "Done":
            return file_import.run(
                found, upload, asked, at=at, by=act_as, through="cli", key=idempotency_key or None, progress=progress
            )

        _carry_out(work, wanted)


def _mapping(given: list[str]) -> dict[str, str]:
    parted = [pair.rpartition("=") for pair in given]
    for heading, sign, column in parted:
        if not sign or not heading:
            raise WrongCall(f'--map is “{heading}{sign}{column}”. Write it like --map "Badge No=BADGE_NUMBER".')
    return {heading: column.strip().upper() for heading, _, column in parted}


def _upload(file: str) -> "Upload":
    from django.conf import settings

    from musterbook.directory.imports.file_import import Upload

    # One byte over the limit is enough for the refusal.
    most = settings.MUSTER_MAX_FILE_MB * 1024 * 1024 + 1
    if file == "-":
        return Upload(sys.stdin.buffer.read(most), "standard input")
    try:
        with Path(file).open("rb") as stream:
            return Upload(stream.read(most), Path(file).name)
    except OSError as error:
        raise WrongCall(f"{file} cannot be read: {error.strerror}.") from None


def apply(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import that was previewed, or held.")],
    confirm_deactivations: options.Confirm = None,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
) -> None:
    """Do what a preview showed, of a file or of chosen users, as it was seen.

    If the directory has moved so that the plan differs, the new plan is shown and nothing is done.
    A plan that deactivates more users than the agency allows needs their exact number.

    Example: muster apply 01J9ZKQ4M5V7N8P2R3S4T5W6X7
    """
    wanted = Wanted(output, rows, results, errors)
    with opened():
        from musterbook.directory.audit.trail import Act
        from musterbook.directory.imports import file_import, history, queue
        from musterbook.directory.models import ImportKind

        wanted.check()
        record = history.find(number)
        of_chosen = record.kind == ImportKind.BULK
        if of_chosen and (results or errors):
            raise WrongCall("--results and --errors are for files. Use --rows all: it lists the chosen users.")
        if record.kind == ImportKind.UNDO:
            raise WrongCall(
                f"Import {record.number} is the preview of an undo: run `muster undo` again, without --preview."
            )
        if record.held and confirm_deactivations != record.held["deactivations"]:
            say(exits.confirm(record.held["deactivations"]))
            raise typer.Exit(Exit.HELD)

        def work(at: datetime, progress: "Progress") -> "Done":
            if of_chosen:
                act = Act(at, act_as, "cli")
                return queue.apply_bulk(
                    record.agency, record.number, act=act, confirmed=confirm_deactivations, progress=progress
                )
            return file_import.apply_previewed(
                record.agency,
                record.number,
                at=at,
                by=act_as,
                through="cli",
                confirmed=confirm_deactivations,
                progress=progress,
            )

        _carry_out(work, wanted)


def undo(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import to take back.")],
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be done, and change nothing.")] = False,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Take an applied import back, by an import of its own.

    Values that have not changed since are restored. Users that it added become Inactive: no user is ever deleted.

    Example: muster undo 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --preview
    """
    with opened():
        from musterbook.directory.imports import history
        from musterbook.directory.imports import undo as undoing

        record = history.find(number)

        def work(at: datetime, progress: "Progress") -> "Done":
            return undoing.run(record, at=at, by=act_as, through="cli", preview=preview, progress=progress)

        _carry_out(work, Wanted(output, rows))


@app.callback()
def list_(
    context: typer.Context,
    agency: Annotated[str, typer.Option("--agency", metavar="SLUG", help="The agency, by its slug.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="The latest so many.")] = 50,
    output: options.Output = "text",
) -> None:
    """List the imports of an agency, the latest first.

    Example: muster imports --agency springfield-pd
    """
    if context.invoked_subcommand:
        return
    with opened():
        from dataclasses import asdict

        from musterbook.cli import printed
        from musterbook.directory.agency import agencies
        from musterbook.directory.imports import history

        if not agency:
            raise WrongCall("Name the agency: `muster imports --agency SLUG`; or an import: `muster imports show ID`.")
        entries = history.entries(agencies.find(agency))[:limit]
        if output == "json":
            write_json([{"import": entry.number, **asdict(entry), "at": entry.at.isoformat()} for entry in entries])
        else:
            printed.imports(entries)


@app.command()
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import.")],
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Show the result of an import, as far as it is kept.

    Rows that changed a user, and rows with problems or notes, are kept; of a preview all rows, as long as it is kept.

    Example: muster imports show 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --rows changed
    """
    with opened():
        from musterbook.directory.imports import history

        _print(history.find(number), None, Wanted(output, rows))


def _carry_out(work: "Callable[[datetime, Progress], Done]", wanted: Wanted) -> None:
    """Run it, print the result, and end with its status."""
    from musterbook.cli.progress import told
    from musterbook.directory.imports import history
    from musterbook.directory.imports.runner import Failed

    try:
        with told() as progress:
            done = work(datetime.now(UTC), progress)
    except Failed as failed:
        if wanted.output == "json":
            write_json(history.failure(failed).as_json())
        raise
    if done.plan is None:
        say(f"This is import {done.record.number}, sent with this idempotency key before. It was not done again.")
    _print(done.record, done.plan, wanted)


def _print(record: "models.Import", plan: "Plan | None", wanted: Wanted) -> None:
    """Print the result of an import, and end the command with its status."""
    from musterbook.cli import printed
    from musterbook.core.reporting.report import Rows
    from musterbook.directory.imports import bulk, history

    told = history.report_of(record, plan, Rows(wanted.rows))
    _save_files(plan, wanted)
    if wanted.output == "json":
        write_json(told.as_json())
    else:
        change = bulk.change_of(record)
        around = printed.Around(
            noted=history.noted(record, plan),
            names=history.names(record, printed.LISTED),
            errors=wanted.errors,
            change=change,
            reason=bulk.reason(record, change) if change else "",
            apply=_apply_command(record, called=plan is not None),
        )
        printed.report(told, around)
    raise typer.Exit(exits.of_import(told.state, told.counts["errored"]))


def _apply_command(record: "models.Import", *, called: bool) -> str:
    """Return the command that applies a preview or a held import. `called`: the command that runs now has made it."""
    from musterbook.cli import printed
    from musterbook.directory.imports import bulk
    from musterbook.directory.imports import undo as undoing
    from musterbook.directory.models import ImportKind

    number = record.held["deactivations"] if record.held else bulk.to_agree(record)
    confirm = "" if number is None else f" --confirm-deactivations {number}"
    if called and record.state == "held":
        return f"{printed.again()}{confirm}"
    if record.kind == ImportKind.UNDO:
        return printed.without_preview() if called else f"muster undo {undoing.undone(record).number}"
    return f"muster apply {record.number}{confirm}"


def _save_files(plan: "Plan | None", wanted: Wanted) -> None:
    """Write the results file and the errors file. The import is done, even if they cannot be written."""
    from musterbook.core.reporting import report, results_file

    for path, made in ((wanted.results, results_file.results_file), (wanted.errors, results_file.errors_file)):
        if path is None:
            continue
        if plan is None or plan.table.problems:
            say(f"{path} was not written: no rows were read.")
            continue
        try:
            save([made(plan.table, report.outcomes(plan))], path)
        except OSError as error:
            say(f"{path} could not be written: {error.strerror}. The import itself is done as told.")
