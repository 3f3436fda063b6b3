"""`muster import`, `imports`, `apply`, `discard` and `undo`: run, list, show, apply, discard and undo imports."""

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musterbook.cli import exits, file_values, options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import check_writable, is_same_file, save, say, write_json
from musterbook.cli.session import open_installation

if TYPE_CHECKING:
    from musterbook.core.planning.holds import Hold
    from musterbook.core.planning.plan import Plan
    from musterbook.core.reporting.results_file import ResultsForm, ResultsKind
    from musterbook.directory import models
    from musterbook.directory.imports.file_import import Upload
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.runner import ImportResult

app = typer.Typer(invoke_without_command=True)
_PART = 1 << 20
"""The bytes of a kept file that are read at a time."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What to print of an import, and which files to write."""

    output: str
    rows: str
    results: Path | None = None
    errors: Path | None = None

    def check(self, source: str = "-") -> None:
        """Raise WrongCall for a file that cannot be written, before anything is done.

        `source`: the file that is read ("-": standard input), which no output may overwrite.
        """
        check_writable(self.results)
        check_writable(self.errors)
        for option, path in (("--results", self.results), ("--errors", self.errors)):
            if path and source != "-" and is_same_file(path, Path(source)):
                raise WrongCall(f"{option} is {path}, which is the file to read. Name another file.")
        if self.results and self.errors and is_same_file(self.results, self.errors):
            raise WrongCall(f"--results and --errors are both {self.errors}. Name two files.")


def import_file(  # noqa: PLR0913, PLR0917  (a command has as many options as its contract)
    file: options.File,
    agency: options.Agency,
    mode: Annotated[
        Literal["update", "sync"],
        typer.Option(
            "--mode", help="update: add and update users. sync: also deactivate active users who are not in the file."
        ),
    ] = "update",
    preview: options.Preview = False,
    confirm: options.Confirm = None,
    confirm_deactivations: options.ConfirmDeactivations = None,
    strict: options.Strict = False,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    mapping: options.Map = None,
    value: Annotated[
        list[str] | None,
        typer.Option(
            "--value",
            metavar="COLUMN:Theirs=Ours",
            help="Read this value of STATUS, ROLE, RANK or EVIDENCE_GROUP_EXT_ID as one of the agency's. It is remembered."
            " Can be repeated.",
        ),
    ] = None,
    default: Annotated[
        list[str] | None,
        typer.Option(
            "--default",
            metavar="COLUMN=VALUE",
            help="The value of new users in a column that the file does not have. Can be repeated.",
        ),
    ] = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    expect_rows: options.ExpectRows = None,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="NAME",
            help="The source of the file, such as hr-sworn. A sync import then looks for missing users among its users only.",
        ),
    ] = "",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="CODE",
            help="Apply rows with this problem as they are: looks-damaged, identity-change=same (the same person) or"
            " identity-change=other (another person: all access of the former person ends). Can be repeated.",
        ),
    ] = None,
    release_badges: Annotated[
        bool | None,
        typer.Option(
            "--release-badges/--keep-badges",
            help="Whether rows can take the badge of a user who is Inactive. By default, the agency's setting.",
        ),
    ] = None,
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
    idempotency_key: options.Key = None,
) -> None:
    """Import a file: add and update users, or synchronize all users.

    Rows with problems are listed and change nothing. All other rows are applied in one transaction. Exit status: 0
    done; 1 done, some rows errored; 2 called incorrectly; 3 refused; 4 held; 5 failed. With status 2 to 5, nothing was
    changed.

    Example: muster import roster.csv --agency springfield-pd --mode sync --preview
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.core.domain.policy import Mode
        from musterbook.directory.agency import agencies
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import file_import
        from musterbook.directory.users import marks

        output_options.check(file)
        import_options = file_import.Options(
            mode=Mode(mode), preview=preview, strict=strict, confirmed=options.parse_confirmed(confirm, confirm_deactivations),
            mails=False if no_mail else None,
            mapping=parse_mapping(mapping or []), values=file_values.parse_values(value or []),
            defaults=file_values.parse_defaults(default or []), encoding=encoding, delimiter=delimiter, sheet=sheet,
            source=marks.clean_source(source), header_row=header_row, expect_rows=expect_rows,
            accepted=parse_accepted(accept or []), release_badges=release_badges,
        )  # fmt: skip
        agency_record, upload = agencies.find_agency(agency), read_upload(file)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return file_import.run_import(
                agency_record, upload, import_options, context=context, key=idempotency_key or None, progress=progress
            )

        run_import(work, output_options)


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """Return the mapping that --map gives: heading → column. Raise WrongCall."""
    parts = [pair.rpartition("=") for pair in pairs]
    for heading, separator, column in parts:
        if not separator or not heading:
            raise WrongCall(f'--map is “{heading}{separator}{column}”. Write it like --map "Badge No=BADGE_NUMBER".')
    return {heading: column.strip().upper() for heading, _, column in parts}


def parse_accepted(texts: list[str]) -> dict[str, str]:
    """Return what --accept accepts: the code of a problem → the choice. Raise WrongCall."""
    from musterbook.core.domain import decisions

    try:
        return decisions.parse_accepted(texts)
    except decisions.UnknownDecision as error:
        raise WrongCall(f"--accept: {error}") from None


def read_upload(file: str) -> "Upload":
    """Return the file that a command names, or standard input for -. Raise WrongCall."""
    from django.conf import settings

    from musterbook.directory.imports.file_import import Upload

    # One byte over the limit is enough for the refusal.
    limit = settings.MUSTER_MAX_FILE_MB * 1024 * 1024 + 1
    if file == "-":
        return Upload(sys.stdin.buffer.read(limit), "standard input")
    try:
        with Path(file).open("rb") as stream:
            return Upload(stream.read(limit), Path(file).name)
    except OSError as error:
        raise WrongCall(f"{file} cannot be read: {error.strerror}.") from None


def apply(  # noqa: PLR0913, PLR0917  (as above)
    number: Annotated[str, typer.Argument(metavar="ID", help="The previewed or held import.")],
    confirm: options.Confirm = None,
    confirm_deactivations: options.ConfirmDeactivations = None,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
    results: options.Results = None,
    errors: options.Errors = None,
) -> None:
    """Apply a previewed or held import as it was shown.

    If the directory has changed and the plan is different now, the new plan is shown and nothing is changed. If the plan
    is held, for example because it deactivates more users than the agency allows, confirm each reason with its exact
    number.

    Example: muster apply 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --confirm deactivations=12
    """
    output_options = OutputOptions(output, rows, results, errors)
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import approval, file_import, history, plan_ends, queue
        from musterbook.directory.imports import undo as undoing
        from musterbook.directory.models import FROM_FILE, ImportKind

        output_options.check()
        confirmed = options.parse_confirmed(confirm, confirm_deactivations)
        record = history.find_import(number)
        if record.kind not in FROM_FILE and (results or errors):
            raise WrongCall(
                "--results and --errors are only for imports of files. To list the chosen users, use --rows all."
            )
        plan_ends.raise_if_ended(record, datetime.now(UTC))
        unconfirmed = history.list_unconfirmed(record, confirmed)
        try:
            approval.check_approver(record, act_as)
        except approval.NeedsApprover:
            _write_held(record, history.list_unconfirmed(record, {}), output_options)
            raise
        if unconfirmed:
            _write_held(record, unconfirmed, output_options)
            say(exits.format_confirmation(unconfirmed))
            raise typer.Exit(Exit.HELD)
        run = {ImportKind.BULK: queue.apply_bulk, ImportKind.UNDO: undoing.apply_shown}.get(
            ImportKind(record.kind), file_import.apply_previewed
        )

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return run(
                record.agency, record.number,
                context=context, confirmed=confirmed, mails=False if no_mail else None, progress=progress,
            )  # fmt: skip

        run_import(work, output_options)


def discard(
    number: Annotated[str, typer.Argument(metavar="ID", help="The previewed or held import.")],
    act_as: options.As = "",
) -> None:
    """Discard a previewed or held import, so that nobody can apply it. It stays in the list of imports.

    Example: muster discard 01J9ZKQ4M5V7N8P2R3S4T5W6X7
    """
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import history, queue

        record = history.find_import(number)
        queue.discard(record, AuditContext(datetime.now(UTC), act_as, "cli"))
        say(f"Import {record.number} is discarded. Nothing was changed.")


def undo(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import to undo.")],
    preview: Annotated[bool, typer.Option("--preview", help="Show the plan, and change nothing.")] = False,
    confirm: options.Confirm = None,
    no_mail: options.NoMail = False,
    act_as: options.As = "",
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Undo an applied import. The undo is an import too.

    Values that did not change later are restored. Users that the import added become Inactive. No user is deleted.

    Example: muster undo 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --preview
    """
    with open_installation():
        from musterbook.directory.audit.trail import AuditContext
        from musterbook.directory.imports import history
        from musterbook.directory.imports import undo as undoing

        record, confirmed = history.find_import(number), options.parse_confirmed(confirm, None)

        def work(at: datetime, progress: "Progress") -> "ImportResult":
            context = AuditContext(at, act_as, "cli")
            return undoing.run_undo(
                record, context=context, preview=preview, confirmed=confirmed, mails=False if no_mail else None,
                progress=progress,
            )  # fmt: skip

        run_import(work, OutputOptions(output, rows))


@app.callback()
def list_(
    context: typer.Context,
    agency: Annotated[str, typer.Option("--agency", metavar="SLUG", help="The slug of the agency.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most this many imports.")] = 50,
    output: options.Output = "text",
) -> None:
    """List the imports of an agency, latest first.

    Example: muster imports --agency springfield-pd
    """
    if context.invoked_subcommand:
        return
    with open_installation():
        from dataclasses import asdict

        from musterbook.cli import import_output
        from musterbook.directory.agency import agencies
        from musterbook.directory.imports import history

        if not agency:
            raise WrongCall(
                "Name the agency: `muster imports --agency SLUG`. To show one import, run `muster imports show ID`."
            )
        entries = history.list_entries(agencies.find_agency(agency), limit)
        if output == "json":
            write_json([{"import": entry.number, **asdict(entry), "at": entry.at.isoformat()} for entry in entries])
        else:
            import_output.print_imports(entries)


@app.command()
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="The import.")],
    output: options.Output = "text",
    rows: options.Rows = "errored",
) -> None:
    """Show the result of an import.

    Musterbook keeps the rows that changed a user, and the rows with problems or notes. While a preview is kept, all of
    its rows are kept.

    Example: muster imports show 01J9ZKQ4M5V7N8P2R3S4T5W6X7 --rows changed
    """
    with open_installation():
        from musterbook.directory.imports import history

        _print_result(history.find_import(number), None, OutputOptions(output, rows))


def run_import(work: "Callable[[datetime, Progress], ImportResult]", output_options: OutputOptions) -> None:
    """Run it, print the result, and end with its status."""
    from musterbook.cli.progress import show_progress
    from musterbook.directory.imports import history
    from musterbook.directory.imports.runner import ImportFailed

    try:
        with show_progress() as progress:
            result = work(datetime.now(UTC), progress)
    except ImportFailed as error:
        if output_options.output == "json":
            write_json(history.report_failure(error).as_json())
        raise
    if result.plan is None:
        say(f"Import {result.record.number} has this idempotency key already. It was not run again.")
    _print_result(result.record, result.plan, output_options)


def _print_result(record: "models.Import", plan: "Plan | None", output_options: OutputOptions) -> None:
    """Print the result of an import, and end the command with its status."""
    from musterbook.cli import heading_hints, import_output
    from musterbook.core.reporting.report import RowFilter
    from musterbook.directory.imports import bulk, history, plan_ends

    report = history.make_report(record, plan, RowFilter(output_options.rows))
    _save_files(record, plan, output_options)
    if output_options.output == "json":
        write_json(report.as_json())
    else:
        change = bulk.get_change(record)
        facts = import_output.ReportFacts(
            noted=history.list_notes(record, plan),
            names=history.map_names(record, import_output.LISTED),
            mails=history.list_mails(record, plan, import_output.LISTED),
            ended=plan_ends.describe_end(record, end) if (end := plan_ends.get_end(record, datetime.now(UTC))) else "",
            errors=output_options.errors,
            change=change,
            reason=bulk.get_reason(record, change) if change else "",
            apply=_make_command(record, called=plan is not None),
        )
        import_output.print_report(report, facts)
    hint = heading_hints.describe_mapping(plan) if plan else ""
    if hint:
        say(hint)
    raise typer.Exit(exits.get_import_exit(report.state, report.counts["errored"]))


def _write_held(record: "models.Import", holds: "Sequence[Hold]", output_options: OutputOptions) -> None:
    """Write the report of a plan that stays held for these reasons, if the output is JSON."""
    from musterbook.core.reporting.report import RowFilter
    from musterbook.directory.imports import history

    if output_options.output == "json":
        shown = history.make_report(record, None, RowFilter(output_options.rows))
        first = holds[0].as_first(shown.counts["losing_access"])
        write_json(replace(shown, state="held", held=first, holds=holds).as_json())


def _make_command(record: "models.Import", *, called: bool) -> str:
    """Return the command that applies a preview or a held import. `called`: the command that runs now has made it."""
    from musterbook.cli import import_output
    from musterbook.directory.imports import approval, history

    holds = history.list_unconfirmed(record, {})
    confirm = exits.format_confirmed(holds)
    approver = record.agency.second_approver and bool(confirm)
    if called and record.state == "held" and not approver:
        return f"{import_output.repeat_command()}{exits.format_confirmed(holds, record.options['confirmed'])}"
    named = f" --as {shlex.quote(record.actor)}" if called and record.actor else ""
    return f"muster apply {record.number}{confirm}{approval.SOMEONE_ELSE if approver else named}"


def _save_files(record: "models.Import", plan: "Plan | None", output_options: OutputOptions) -> None:
    """Write the results file and the errors file. The import is done, even if they cannot be written."""
    from musterbook.directory.imports.history import ResultsInProgress
    from musterbook.directory.imports.plan_files import PlanGone
    from musterbook.directory.storage.formats import TooManyRows
    from musterbook.directory.storage.import_files import FileGone

    which: ResultsKind
    for path, which in ((output_options.results, "results"), (output_options.errors, "errors")):
        if path is None:
            continue
        if record.state in {"failed", "refused"}:
            say(f"{path} was not written because no rows were read.")
            continue
        form: ResultsForm = "xlsx" if path.suffix.lower() == ".xlsx" else "csv"
        try:
            save(_read_rows(record, plan, which, form), path)
        except OSError as error:
            say(f"{path} could not be written: {error.strerror}. This does not change the result of the import.")
        except TooManyRows as error:
            say(
                f"{path} was not written: {error} rows are more than a workbook can hold. Name a file that ends in .csv."
            )
        except (FileGone, PlanGone):
            say(f"{path} was not written because the rows of import {record.number} are no longer kept.")
        except ResultsInProgress:
            say(f"{path} was not written because another results file is being made. Try again in a minute.")


def _read_rows(
    record: "models.Import", plan: "Plan | None", which: "ResultsKind", form: "ResultsForm"
) -> "Iterator[bytes]":
    """Yield the results file or the errors file, from the plan, or as it is kept if another command has run the import."""
    from musterbook.core.reporting import report, results_file
    from musterbook.directory.imports import history

    if plan is not None and form == "xlsx":
        yield from _make_workbook(record, plan, which)
        return
    if plan is not None:
        make_file = results_file.results_file if which == "results" else results_file.errors_file
        yield make_file(plan.table, report.tabulate_outcomes(plan))
        return
    with history.open_results_file(record, which, form) as stream:
        yield from iter(partial(stream.read, _PART), b"")


def _make_workbook(record: "models.Import", plan: "Plan", which: "ResultsKind") -> "Iterator[bytes]":
    from musterbook.core.reporting import results_file
    from musterbook.directory.imports import history
    from musterbook.directory.storage.formats import TooManyRows

    if not history.fits_workbook(record, which):
        raise TooManyRows(f"{record.counts['rows']:,}")
    with tempfile.TemporaryFile() as stream:
        results_file.write_workbook(stream, plan.table, plan.rows.cast({"outcome": str}), plan.problems, which)
        stream.seek(0)
        yield from iter(partial(stream.read, _PART), b"")
