"""`muster import`, `apply`, `undo`, `imports`: an import, and what came of it."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import ending, opened
from musterbook.cli.ending import Ended
from musterbook.cli.words import AgencyOption, Output
from musterbook.core.policy import Mode
from musterbook.core.rows import Rows

if TYPE_CHECKING:
    from musterbook.directory.imports import Done, Progress

history = typer.Typer(help="The imports so far, and the report of each.", invoke_without_command=True)

_STATUS = {"refused": ending.REFUSED, "held": ending.HELD, "failed": ending.FAILED}
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}

OutputOption = Annotated[Output, typer.Option("--output", help="Text for a person, or one JSON object.")]
RowsOption = Annotated[Rows, typer.Option("--rows", help="Which rows the output lists.")]
ResultsOption = Annotated[Path | None, typer.Option(help="Write all rows, each with what became of it, to this CSV file.")]
ErrorsOption = Annotated[Path | None, typer.Option(help="Write the rows in error, alone, to this CSV file.")]
AsOption = Annotated[
    str, typer.Option("--as", metavar="EXTERNAL_ID", help="Act as this user, with their permissions and protections.")
]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Show the plan and change nothing.")]


def import_(  # noqa: PLR0913  (each is an option of the contract)
    file: Annotated[str, typer.Argument(metavar="FILE", help="A CSV file or a workbook (.xlsx, .ods); - is standard input.")],
    agency: AgencyOption,
    mode: Annotated[Mode, typer.Option(help="Add or update users; or also deactivate whom the file does not list.")] = Mode.UPDATE,
    preview: PreviewOption = False,
    confirm_deactivations: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Do it although it deactivates this many users, exactly.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing while any row has a problem.")] = False,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Send no invitations and no notices.")] = False,
    as_: AsOption = "",
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="HEADING=COLUMN", help="Read a heading as a column.")] = None,
    encoding: Annotated[str | None, typer.Option(help="The file's encoding, where it is not told rightly.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="comma, semicolon, tab or pipe, where it is not told rightly.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook, where several could be meant.")] = None,
    output: OutputOption = Output.TEXT,
    rows: RowsOption = Rows.ERRORED,
    results: ResultsOption = None,
    errors: ErrorsOption = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Sent twice with one key, it is one import.")
    ] = None,
) -> None:
    """Import users from a file.

    Example: `muster import roster.csv --agency riverton-pd --mode sync --preview`
    """
    content, name = _content(file)
    opened.database()
    from musterbook.directory import imports
    from musterbook.directory.agencies import find

    options = imports.Options(
        mode=mode,
        preview=preview,
        strict=strict,
        confirmed=confirm_deactivations,
        mails=False if no_mail else None,
        mapping=_mapping(map_ or []),
        encoding=encoding,
        delimiter=_DELIMITERS.get(delimiter or "", delimiter),
        sheet=sheet,
    )
    upload = imports.Upload(content, name)
    with _progress() as progress:
        done = _done(
            lambda: imports.run(
                find(agency), upload, options, at=datetime.now(UTC), by=as_, through="cli", key=idempotency_key, progress=progress
            )
        )
    _files(done, results, errors)
    _tell(done, output, rows)


def apply(
    number: Annotated[str, typer.Argument(metavar="ID", help="The number of a previewed import.")],
    as_: AsOption = "",
    output: OutputOption = Output.TEXT,
    rows: RowsOption = Rows.ERRORED,
) -> None:
    """Do what a preview showed, or nothing if the directory has moved since.

    Example: `muster apply 01J9ZK5V3M8Q2X4T6R7B8C9D0E`
    """
    opened.database()
    from musterbook.directory import history, imports

    record = history.find(number)
    with _progress() as progress:
        done = _done(lambda: imports.apply_previewed(record, at=datetime.now(UTC), by=as_, through="cli", progress=progress))
    _tell(done, output, rows)


def undo(
    number: Annotated[str, typer.Argument(metavar="ID", help="The number of an applied import.")],
    preview: PreviewOption = False,
    as_: AsOption = "",
    output: OutputOption = Output.TEXT,
    rows: RowsOption = Rows.ERRORED,
) -> None:
    """Take an import back, by an import of its own.

    Values return where nobody has changed them since; added users become Inactive, deactivated ones Active.
    Example: `muster undo 01J9ZK5V3M8Q2X4T6R7B8C9D0E --preview`
    """
    opened.database()
    from musterbook.directory import history
    from musterbook.directory import undo as undoing

    record = history.find(number)
    with _progress() as progress:
        done = _done(
            lambda: undoing.run(record, at=datetime.now(UTC), by=as_, through="cli", preview=preview, progress=progress)
        )
    _tell(done, output, rows)


@history.callback()
def list_imports(
    context: typer.Context,
    agency: Annotated[str, typer.Option(help="The agency's slug.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """List the imports so far, the latest first.

    Example: `muster imports --agency riverton-pd`
    """
    if context.invoked_subcommand is not None:
        return
    if not agency:
        raise Ended("Name the agency: muster imports --agency SLUG.")
    opened.database()
    from musterbook.cli import shown
    from musterbook.directory import agencies
    from musterbook.directory import history as kept

    entries = kept.entries(agencies.find(agency))
    if output is Output.JSON:
        print(json.dumps([entry.as_json() for entry in entries], ensure_ascii=False, indent=2))
    else:
        shown.entries(entries)


@history.command("show")
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import's number.")],
    output: OutputOption = Output.TEXT,
    rows: RowsOption = Rows.ERRORED,
    results: ResultsOption = None,
    errors: ErrorsOption = None,
) -> None:
    """Show the report of one import.

    Example: `muster imports show 01J9ZK5V3M8Q2X4T6R7B8C9D0E --rows changed`
    """
    opened.database()
    from musterbook.directory import history as kept
    from musterbook.directory.imports import Done

    done = Done(kept.find(number), None)
    _files(done, results, errors)
    _print(done, output, rows)


def _content(file: str) -> tuple[bytes, str]:
    """The bytes and the name of the file; standard input for `-`."""
    if file == "-":
        return sys.stdin.buffer.read(), "standard input"
    path = Path(file)
    try:
        return path.read_bytes(), path.name
    except OSError as error:
        raise Ended(f"{file} cannot be read: {error.strerror}.") from None


def _mapping(entries: list[str]) -> dict[str, str]:
    from musterbook.core.columns import BY_HEADING

    mapping = {}
    for entry in entries:
        heading, equals, column = entry.rpartition("=")
        if not equals or column.strip().upper() not in BY_HEADING:
            known = ", ".join(BY_HEADING)
            raise Ended(f"--map {entry!r} is not HEADING=COLUMN. The columns are {known}.")
        mapping[heading] = column.strip().upper()
    return mapping


def _done(work: "Callable[[], Done]") -> "Done":
    """What the import came to; one that failed, too."""
    from musterbook.directory.imports import Done, Failed

    try:
        return work()
    except Failed as failed:
        return Done(failed.record, None)


def _progress() -> "AbstractContextManager[Progress]":
    from musterbook.cli import progress

    return progress.shown()


def _files(done: "Done", results: Path | None, errors: Path | None) -> None:
    from musterbook.directory import history as kept

    for path, made in ((results, kept.results_file), (errors, kept.errors_file)):
        if path is not None:
            try:
                path.write_bytes(made(done.record, done.plan))
            except OSError as error:
                print(f"muster: {path} cannot be written: {error.strerror}.", file=sys.stderr)


def _tell(done: "Done", output: Output, rows: Rows) -> None:
    """Prints the report, and ends with the status of the contract."""
    _print(done, output, rows)
    errored = bool(done.record.counts.get("errored"))
    raise typer.Exit(_STATUS.get(done.record.state, int(errored)))


def _print(done: "Done", output: Output, rows: Rows) -> None:
    from musterbook.directory import history as kept

    report = kept.report_of(done.record, done.plan, rows)
    if output is Output.JSON:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
        return
    from musterbook.cli import shown

    shown.report(report, kept.people(done.record))
