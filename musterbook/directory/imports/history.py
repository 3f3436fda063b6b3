"""The history of imports: the list, and the report and the results file of one import, from its stored data (A2, A4)."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO

from django.db import DatabaseError

from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import LISTED, Report, Row, Rows
from musterbook.core.reporting.results_file import Which
from musterbook.directory import models
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import bulk, file_import, plan_files, plan_pages, sandbox
from musterbook.directory.imports.file_import import Options
from musterbook.directory.imports.records import COUNTS, settle_dead
from musterbook.directory.imports.runner import Failed
from musterbook.directory.storage import import_files, locks

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
    act: str
    """The act on chosen users (of bulk.ACTS) that it is; "" for an import of a file, and for an undo."""


def entries(agency: models.Agency) -> list[Entry]:
    """Return the agency's imports, the latest first. Imports whose process died are recorded as failed."""
    settle_dead(agency)
    kept = models.Import.objects.filter(agency=agency).select_related("undoes").order_by("-started_at", "-pk")
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
            _act(r),
        )
        for r in kept
    ]


def _act(record: models.Import) -> str:
    change = bulk.change_of(record)
    return change.act if change else ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One import as the history shows it.

    `by`: the operator's name. `outcome`: the effects of the import, each with the number of users or rows.
    `kind`: one of ImportKind. For a bulk change, `file_name` describes the change.
    """

    number: str
    at: datetime
    mode: str
    state: str
    by: str
    through: str
    file_name: str
    outcome: list[tuple[str, int]]
    undoes: str
    undone: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the history.

    `before`: the cursor, which is the number of the import that the next page comes before ("" at the end).
    """

    entries: list[Listed]
    before: str


PAGE = 50
WHICH = {
    "done": ("waiting", "running", "applied", "failed"),
    "previews": ("previewed", "held", "refused"),
    "all": models.STATES,
}
"""The filters of the history → the states of each."""
_TOLD = {"added": "added", "updated": "updated", "deactivated": "deactivated", "errored": "with problems"}


def page(agency: models.Agency, which: str, before: str = "") -> Page:
    """Return one page of the agency's imports in some states (one of WHICH), the latest first.

    `before`: only imports that began before the import of that number ("": from the latest).
    """
    settle_dead(agency)
    kept = models.Import.objects.filter(agency=agency, state__in=WHICH[which]).select_related("undoes")
    if before:
        # Numbers sort by time.
        kept = kept.filter(number__lt=before)
    records = list(kept.order_by("-number")[: PAGE + 1])
    shown = records[:PAGE]
    users = models.User.objects.filter(agency=agency, external_id__in={record.actor for record in shown})
    names = {user.external_id: f"{user.first_name} {user.last_name}" for user in users}
    undone = set(
        models.Import.objects.filter(undoes__in=[r.pk for r in shown], state="applied").values_list("undoes", flat=True)
    )
    entries = [_listed(record, names.get(record.actor, record.actor), record.pk in undone) for record in shown]
    return Page(entries, shown[-1].number if len(records) > PAGE else "")


def _listed(r: models.Import, by: str, undone: bool) -> Listed:
    change = bulk.change_of(r)
    words = change.words if change else {}
    outcome = [(words.get(name, label), r.counts[name]) for name, label in _TOLD.items() if r.counts.get(name)]
    undoes = getattr(r.undoes, "number", "")
    return Listed(
        r.number, r.started_at, r.mode, r.state, by, r.through, r.file_name, outcome, undoes, undone, r.kind
    )  # fmt: skip


def find(number: str) -> models.Import:
    """Return the import with that number, in upper or lower case. Raise UnknownImport."""
    record = models.Import.objects.select_related("agency").filter(number=number.upper()).first()
    if record is None:
        raise file_import.UnknownImport(number)
    refresh_record(record)
    return record


def find_by_key(agency: models.Agency, actor: str, key: str) -> models.Import:
    """Return the operator's import with this idempotency key. Raise UnknownImport."""
    record = models.Import.objects.filter(agency=agency, actor=actor, idempotency_key=key).first()
    if record is None:
        raise file_import.UnknownImport(key)
    return record


def refresh_record(record: models.Import) -> None:
    """Read the record again, after imports of the agency whose process died are recorded as failed."""
    settle_dead(record.agency)
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


def report_of(record: models.Import, plan: Plan | None, which: Rows) -> Report:
    """Return the report of an import, with rows from the plan just made, or else from the stored data.

    Rows that changed a user, and rows with problems or notes, are stored. Unchanged rows are not. Of an import that
    was not applied, all rows are stored as long as its plan is.
    """
    return replace(about(record), rows=report.rows(plan, which) if plan else _kept_rows(record, which))


def about(record: models.Import) -> Report:
    """Return the report of an import without its rows."""
    told = _problems(record, row=0)
    return Report(
        number=record.number,
        agency=record.agency.slug,
        mode=record.mode,
        state=record.state,
        counts=record.counts or dict.fromkeys(COUNTS, 0),
        file={name: record.file_facts.get(name) for name in ("format", "encoding", "delimiter", "columns", "ignored")},
        problems=[problem for problem, note in told if not note],
        notes=[problem for problem, note in told if note],
        held=record.held,
        deactivated=record.leavers.get("deactivated", []),
        protected=record.leavers.get("protected", []),
        message=record.message,
    )


def _problems(record: models.Import, *, row: int) -> list[tuple[Problem, bool]]:
    kept = models.ImportProblem.objects.filter(of=record, row=row).order_by("pk")
    return [(_problem(entry), entry.note) for entry in kept]


def _problem(entry: models.ImportProblem) -> Problem:
    return Problem(entry.code, entry.row, entry.column, entry.value, entry.detail, entry.hint)


def _kept_rows(record: models.Import, which: Rows) -> list[Row]:
    without_problems = _changed(record) if record.state == "applied" else _planned(record, which)
    rows = [*_errored(record), *without_problems]
    return sorted((row for row in rows if row.outcome in LISTED[which]), key=lambda row: row.row)


def _errored(record: models.Import) -> Iterable[Row]:
    kept = list(models.ImportProblem.objects.filter(of=record, row__gt=0).order_by("row", "pk"))
    found = report.by_row([_problem(entry) for entry in kept if not entry.note])
    notes = report.by_row([_problem(entry) for entry in kept if entry.note])
    ids = {entry.row: entry.external_id for entry in kept}
    return [Row(row, ids[row], "errored", {}, of, notes.get(row, ())) for row, of in found.items()]


def _planned(record: models.Import, which: Rows) -> list[Row]:
    with suppress(plan_files.PlanGone):
        return list(plan_pages.rows(record, (shown for shown in LISTED[which] if shown != "errored")))
    return []


_OUTCOMES: dict[str, str] = {EventKind.USER_ADDED: "added"}
"""The outcome by kind of event. Any other kind of event means that the row updated its user."""


def _changed(record: models.Import) -> Iterable[Row]:
    notes = report.by_row([_problem(e) for e in models.ImportProblem.objects.filter(of=record, row__gt=0, note=True)])
    events = models.Event.objects.filter(of=record, row__isnull=False).order_by("row")
    for event in events.iterator():
        row = event.row or 0
        yield Row(
            row,
            event.subject_external_id,
            _OUTCOMES.get(event.kind, "updated"),
            report.parsed(event.changes),
            (),
            notes.get(row, ()),
        )


def noted(record: models.Import, plan: Plan | None) -> list[tuple[str, Problem]]:
    """Return the notes of the import's rows, each with the external id of its row."""
    if plan:
        return report.noted(plan)
    kept = models.ImportProblem.objects.filter(of=record, row__gt=0, note=True).order_by("row", "pk")
    return [(entry.external_id, _problem(entry)) for entry in kept]


def names(record: models.Import, most: int) -> dict[str, str]:
    """Return a map from external id to name for the first `most` users that the import deactivates or protects.

    `most` applies to the deactivated and to the protected users separately.
    """
    gone = record.leavers.get("deactivated", [])[:most]
    kept = [one["external_id"] for one in record.leavers.get("protected", [])[:most]]
    users = models.User.objects.filter(agency=record.agency, external_id__in=[*gone, *kept])
    named = users.values_list("external_id", "first_name", "last_name")
    return {external_id: f"{first} {last}" for external_id, first, last in named}


def failure(failed: Failed) -> Report:
    """Return the report of an import that failed, even if the database itself failed."""
    record = failed.record
    none = dict.fromkeys(COUNTS, 0)
    told = Report(record.number, record.agency.slug, record.mode, "failed", none, {}, message=record.message)
    with suppress(DatabaseError):
        told = report_of(record, None, Rows.ERRORED)
    return told


class ResultsInProgress(Exception):
    """Another results file is being made. Only one is made at a time, because each takes memory."""


def results_file(record: models.Import, which: Which) -> IO[bytes]:
    """Return the file's rows with the outcome of each, or only the rows with problems.

    The caller reads the result in parts, and closes it. It is made in a process of its own, and is never whole in
    the memory of this one. Raise FileGone, PlanGone, ResultsInProgress, and the errors of `sandbox.results`.
    """
    number, options = record.number, Options.of_json(record.options)
    asked = file_import.asked(options, plan_files.file(number).mapped)
    kept, rows = import_files.path(number), plan_files.path(number, "rows")
    with locks.alone_in("results", RESULTS_PATIENCE) as free:
        if not free:
            raise ResultsInProgress
        return sandbox.results(kept, asked, options.mended, rows, plan_files.path(number, "problems"), which)
