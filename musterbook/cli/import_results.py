"""What the commands of imports have in common: run one, print its result, and write its files."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from musterbook.cli import exits
from musterbook.cli.exits import WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.output import check_writable, is_same_file, save, say, write_json

if TYPE_CHECKING:
    from musterbook.core.planning.holds import Hold
    from musterbook.core.planning.plan import Plan
    from musterbook.core.reporting.results_file import ResultsForm, ResultsKind
    from musterbook.directory import models
    from musterbook.directory.imports.heartbeats import Progress
    from musterbook.directory.imports.runner import ImportResult

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
                raise WrongCall(
                    _("%(option)s is %(path)s, which is the file to read. Name another file.")
                    % {"option": option, "path": path}
                )
        if self.results and self.errors and is_same_file(self.results, self.errors):
            raise WrongCall(_("--results and --errors are both %(errors)s. Name two files.") % {"errors": self.errors})


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
        say(
            _("Import %(number)s has this idempotency key already. It was not run again.")
            % {"number": result.record.number}
        )
    print_result(result.record, result.plan, output_options)


def print_result(record: "models.Import", plan: "Plan | None", output_options: OutputOptions) -> None:
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
            apply=make_command(record, called=plan is not None),
        )
        import_output.print_report(report, facts)
    hint = heading_hints.describe_mapping(plan) if plan else ""
    if hint:
        say(hint)
    raise typer.Exit(exits.get_import_exit(report.state, report.counts["errored"]))


def write_held(record: "models.Import", holds: "Sequence[Hold]", output_options: OutputOptions) -> None:
    """Write the report of a plan that stays held for these reasons, if the output is JSON."""
    from musterbook.core.reporting.report import RowFilter
    from musterbook.directory.imports import history

    if output_options.output == "json":
        shown = history.make_report(record, None, RowFilter(output_options.rows))
        first = holds[0].as_first(shown.counts["losing_access"])
        write_json(replace(shown, state="held", held=first, holds=holds).as_json())


def make_command(record: "models.Import", *, called: bool) -> str:
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
            say(_("%(path)s was not written because no rows were read.") % {"path": path})
            continue
        form: ResultsForm = "xlsx" if path.suffix.lower() == ".xlsx" else "csv"
        try:
            save(_read_rows(record, plan, which, form), path)
        except OSError as error:
            say(
                _("%(path)s could not be written: %(strerror)s. This does not change the result of the import.")
                % {"path": path, "strerror": error.strerror}
            )
        except TooManyRows as error:
            say(
                _(
                    "%(path)s was not written: %(error)s rows are more than a workbook can hold. Name a file "
                    "that ends in .csv."
                )
                % {"path": path, "error": error}
            )
        except (FileGone, PlanGone):
            say(
                _("%(path)s was not written because the rows of import %(number)s are no longer kept.")
                % {"path": path, "number": record.number}
            )
        except ResultsInProgress:
            say(
                _("%(path)s was not written because another results file is being made. Try again in a minute.")
                % {"path": path}
            )


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
