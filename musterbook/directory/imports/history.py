"""The history of imports: the list, and the report and the results file of one import, from its stored data (A2, A4)."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO

from django.db import DatabaseError

from musterbook.core.domain.columns import REQUIRED
from musterbook.core.domain.policy import Confirmed
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import COLUMN_SEPARATOR
from musterbook.core.planning.holds import Hold, is_confirmed
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import OUTCOMES_LISTED, Report, ReportRow, RowFilter
from musterbook.core.reporting.results_file import ResultsForm, ResultsKind
from musterbook.directory import models
from musterbook.directory.audit import former_ids
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import (
    bulk,
    entry_files,
    file_import,
    plan_files,
    plan_pages,
    problem_groups,
    sandbox,
)
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.records import COUNTS, reap_orphans
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.storage import formats, import_files, locks

RESULTS_PATIENCE = 20.0
"""Seconds that a request for a results file waits for another such file to be finished."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One import in the list of an agency's imports."""

    number: str
    at: datetime
    mode: str
    state: str
    actor: str
    through: str
    file_name: str
    counts: dict[str, int]
    undoes: str
    ended: str
    """How its plan ended (`plan_ends.PlanEnd`); "" if it has not, or if it is not a plan."""
    act: str
    """The act on chosen users (of bulk.ACTS) that it is; "" for an import of a file, and for an undo."""


def list_entries(agency: models.Agency, limit: int) -> list[Entry]:
    """Return the latest imports of the agency, the latest first. Imports whose process died are recorded as failed."""
    reap_orphans(agency)
    imports = models.Import.objects.filter(agency=agency).select_related("undoes").order_by("-started_at", "-pk")
    return [
        Entry(
            r.number,
            r.started_at,
            r.mode,
            r.state,
            r.actor,
            r.through,
            r.file_name,
            r.counts,
            getattr(r.undoes, "number", ""),
            r.ended,
            _get_action(r),
        )
        for r in imports[:limit]
    ]


def _get_action(record: models.Import) -> str:
    change = bulk.get_change(record)
    return change.act if change else ""


def find_import(number: str) -> models.Import:
    """Return the import with that number, in upper or lower case. Raise UnknownImport."""
    record = models.Import.objects.select_related("agency").filter(number=number.upper()).first()
    if record is None:
        raise file_import.UnknownImport(number)
    refresh_record(record)
    return record


def find_by_key(agency: models.Agency, actor: str, key: str) -> models.Import:
    """Return the operator's import with this idempotency key. Raise UnknownImport."""
    record = models.Import.objects.filter(agency=agency, actor=actor, idempotency_key=key).order_by("pk").last()
    if record is None:
        raise file_import.UnknownImport(key)
    return record


def refresh_record(record: models.Import) -> None:
    """Read the record again, after imports of the agency whose process died are recorded as failed."""
    reap_orphans(record.agency)
    record.refresh_from_db()


def find_operator(record: models.Import) -> models.User | None:
    """Return the operator of the import, or None if the system ran it."""
    return models.User.objects.filter(agency=record.agency_id, external_id=record.actor).first()


def find_undo(record: models.Import) -> models.Import | None:
    """Return the latest applied undo of the import, or None if there is none."""
    undos = models.Import.objects.filter(agency=record.agency_id, undoes=record, state="applied")
    return undos.order_by("-pk").first()


def count_noted_rows(record: models.Import) -> int:
    """Return the number of rows that have notes."""
    notes = models.ImportProblem.objects.filter(of=record, row__gt=0, note=True)
    return notes.values("row").distinct().count()


def make_report(record: models.Import, plan: Plan | None, which: RowFilter) -> Report:
    """Return the report of an import, with rows from the plan just made, or else from the stored data.

    Rows that changed a user, and rows with problems or notes, are stored. Unchanged rows are not. Of an import that
    was not applied, all rows are stored as long as its plan is.
    """
    return replace(
        summarize_import(record),
        rows=report.list_rows(plan, which) if plan else _read_rows(record, which),
        groups=problem_groups.list_groups(record, plan),
        removed=_list_removed(record, plan),
        recipients=None if which is RowFilter.ERRORED else list_mails(record, plan),
    )


def _list_removed(record: models.Import, plan: Plan | None) -> list[ReportRow]:
    if plan or not entry_files.get_layout(record):
        return report.list_removed(plan) if plan else []
    with suppress(plan_files.PlanGone):
        return report.make_removed(plan_files.scan_part(record.number, "removed").collect())
    return []


def list_mails(record: models.Import, plan: Plan | None, most: int | None = None) -> list[dict[str, str]]:
    """Return the first emails of the import, `most` or all of them (rule D8): `external_id`, `kind`, `to`."""
    if plan is None:
        return plan_pages.list_mails(record, most)
    return plan.mailings.select("external_id", "kind", "to")[:most].to_dicts()


def summarize_import(record: models.Import) -> Report:
    """Return the report of an import without its rows."""
    problems = _read_problems(record, row=0)
    return Report(
        number=record.number,
        agency=record.agency.slug,
        mode=record.mode,
        state=record.state,
        counts=dict.fromkeys(COUNTS, 0) | record.counts,
        file={name: record.file_facts.get(name) for name in ("format", "encoding", "delimiter", "columns", "ignored")},
        problems=[problem for problem, note in problems if not note],
        notes=[problem for problem, note in problems if note],
        mails=record.mails,
        held=record.held,
        holds=[Hold.of_json(hold) for hold in record.holds],
        deactivated=record.leavers.get("deactivated", []),
        protected=record.leavers.get("protected", []),
        ended={"how": record.ended, "import": getattr(record.successor, "number", "")} if record.ended else None,
        message=record.message,
        source=str(record.options.get("source", "")),
        what=entry_files.get_layout(record),
    )


def list_unconfirmed(record: models.Import, confirmed: Confirmed) -> list[Hold]:
    """Return the reasons why the import is held, or would be, that are not confirmed by their exact number."""
    return [hold for hold in map(Hold.of_json, record.holds) if not is_confirmed(hold, confirmed)]


def list_row_problems(record: models.Import, most: int) -> list[Problem]:
    """Return the problems of the rows of an import, no more than this number, in the order of the rows."""
    records = models.ImportProblem.objects.filter(of=record, row__gt=0, note=False).order_by("row", "pk")
    return [_make_problem(entry) for entry in records[:most]]


def _read_problems(record: models.Import, *, row: int) -> list[tuple[Problem, bool]]:
    records = models.ImportProblem.objects.filter(of=record, row=row).order_by("pk")
    return [(_make_problem(entry), entry.note) for entry in records]


def _make_problem(entry: models.ImportProblem) -> Problem:
    return Problem(entry.code, entry.row, entry.column, entry.value, entry.detail, entry.hint)


def _read_rows(record: models.Import, which: RowFilter) -> list[ReportRow]:
    without_problems = _read_changed(record) if record.state == "applied" else _read_planned(record, which)
    rows = [*_read_errored(record), *without_problems]
    return sorted((row for row in rows if row.outcome in OUTCOMES_LISTED[which]), key=lambda row: row.row)


def _read_errored(record: models.Import) -> Iterable[ReportRow]:
    records = list(models.ImportProblem.objects.filter(of=record, row__gt=0).order_by("row", "pk"))
    problems = report.group_by_row([_make_problem(entry) for entry in records if not entry.note])
    notes = report.group_by_row([_make_problem(entry) for entry in records if entry.note])
    ids = {entry.row: entry.external_id for entry in records}
    return [
        ReportRow(row, ids[row], "errored", {}, row_problems, notes.get(row, ()))
        for row, row_problems in problems.items()
    ]


def _read_planned(record: models.Import, which: RowFilter) -> list[ReportRow]:
    with suppress(plan_files.PlanGone):
        return list(
            plan_pages.read_rows(record, (outcome for outcome in OUTCOMES_LISTED[which] if outcome != "errored"))
        )
    return []


_OUTCOMES: dict[str, str] = {EventKind.USER_ADDED: "added"}
"""The outcome by kind of event. Any other kind of event means that the row updated its user."""


def _read_changed(record: models.Import) -> Iterable[ReportRow]:
    notes = report.group_by_row(
        [_make_problem(e) for e in models.ImportProblem.objects.filter(of=record, row__gt=0, note=True)]
    )
    events = models.Event.objects.filter(of=record, row__isnull=False).exclude(kind=EventKind.USER_REPLACED)
    for event in events.order_by("row").iterator():
        row = event.row or 0
        yield ReportRow(
            row,
            event.subject_external_id,
            _OUTCOMES.get(event.kind, "updated"),
            report.parse_changes(event.changes),
            (),
            notes.get(row, ()),
        )


def list_notes(record: models.Import, plan: Plan | None) -> list[tuple[str, Problem]]:
    """Return the notes of the import's rows, each with the external ID of its row."""
    if plan:
        return report.list_notes(plan)
    records = models.ImportProblem.objects.filter(of=record, row__gt=0, note=True).order_by("row", "pk")
    return [(entry.external_id, _make_problem(entry)) for entry in records]


def map_names(record: models.Import, most: int) -> dict[str, str]:
    """Return a map from external ID to name for the first `most` users that the import deactivates or protects.

    It also has the first `most` users of each hold.
    """
    deactivated = record.leavers.get("deactivated", [])[:most]
    protected = [one["external_id"] for one in record.leavers.get("protected", [])[:most]]
    holding = [external_id for hold in record.holds for external_id in hold.get("external_ids", ())[:most]]
    return former_ids.read_current_names(record.agency, [*deactivated, *protected, *holding], record.started_at)


def report_failure(error: ImportFailed) -> Report:
    """Return the report of an import that failed, even if the database itself failed."""
    record = error.record
    no_counts = dict.fromkeys(COUNTS, 0)
    result = Report(record.number, record.agency.slug, record.mode, "failed", no_counts, {}, message=record.message)
    with suppress(DatabaseError):
        result = make_report(record, None, RowFilter.ERRORED)
    return result


class ResultsInProgress(Exception):
    """Another results file is being made. Only one is made at a time, because each takes memory."""


def open_results_file(
    record: models.Import, which: ResultsKind, form: ResultsForm = "csv", *, in_worker: bool = False
) -> IO[bytes]:
    """Return the file's rows with the outcome of each, or only the rows with problems, as CSV or as a workbook.

    The caller reads the result in parts, and closes it. It is made in a process of its own, and is never whole in
    the memory of this one. `in_worker`: this process is a worker, which makes that of a small CSV file itself, as it
    imports such a file itself. Raise FileGone, PlanGone, ResultsInProgress, TooManyRows, and the errors of
    `sandbox.make_results`.
    """
    number, options = record.number, Options.of_json(record.options)
    header = plan_files.read_header(number)
    present = {name for joined in header.mapped.values() for name in joined.split(COLUMN_SEPARATOR)}
    absent = [column.heading for column in REQUIRED if column.heading not in present]
    as_read = replace(options, encoding=header.encoding or options.encoding, header_row=header.header_row)
    read_options = file_import.make_read_options(as_read, header.mapped, absent)
    source, rows = import_files.find_path(number), plan_files.find_path(number, "rows")
    if form == "xlsx" and not fits_workbook(record, which):
        raise formats.TooManyRows(f"{record.counts['rows']:,}")
    with locks.hold_named_lock("results", RESULTS_PATIENCE) as free:
        if not free:
            raise ResultsInProgress
        return sandbox.make_results(
            source, read_options, options.corrections, rows, plan_files.find_path(number, "problems"), which, form,
            in_worker=in_worker,
        )  # fmt: skip


def name_results_file(record: models.Import, which: ResultsKind, form: ResultsForm) -> str:
    """Return the name of that file when it is downloaded."""
    stem = record.file_name.rpartition(".")[0] or record.file_name or "import"
    return f"{stem}-{which}.{form}"


def fits_workbook(record: models.Import, which: ResultsKind) -> bool:
    """Return whether the results file or the errors file of the import fits into one sheet."""
    rows: int = record.counts.get("rows" if which == "results" else "errored", 0)
    return rows <= formats.MOST_IN_A_SHEET
