"""Imports looked at afterwards: the list, and the report of one, from what was kept of it (rule A4)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import polars as pl

from musterbook.core import report, results
from musterbook.core.plan import Plan
from musterbook.core.problems import Problem
from musterbook.core.report import LISTED, Report, Row
from musterbook.core.rows import Rows
from musterbook.core.table import Table
from musterbook.directory import imports, models


class UnknownImport(Exception):
    """No import bears that number."""

    def __init__(self, number: str) -> None:
        super().__init__(f"There is no import {number}. `muster imports --agency SLUG` lists them.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One import in the list of an agency's."""

    number: str
    at: datetime
    mode: str
    state: str
    actor: str
    through: str
    file_name: str
    counts: dict[str, int]
    undoes: str

    def as_json(self) -> dict[str, object]:
        """The entry as the command line gives it out."""
        return {**asdict(self), "at": self.at.isoformat()}


def entries(agency: models.Agency) -> list[Entry]:
    """The agency's imports, the latest first; those whose process died are reported as failed from here on."""
    imports.settle_dead(agency)
    kept = models.Import.objects.filter(agency=agency).select_related("undoes").order_by("-started_at", "-pk")
    return [
        Entry(
            r.number, r.started_at, r.mode, r.state, r.actor, r.through, r.file_name, r.counts,
            r.undoes.number if r.undoes else "",
        )  # fmt: skip
        for r in kept
    ]


def find(number: str) -> models.Import:
    """The import with that number, in either case. Raises UnknownImport."""
    record = models.Import.objects.select_related("agency").filter(number=number.upper()).first()
    if record is None:
        raise UnknownImport(number)
    imports.settle_dead(record.agency)
    record.refresh_from_db()
    return record


def report_of(record: models.Import, plan: Plan | None, which: Rows) -> Report:
    """The report of an import: its rows from the plan just made, or else as far as they were kept.

    Kept are the rows that changed somebody, and those with problems or notes; not those that found nothing to change.
    """
    told = _problems(record, row=0)
    notes = models.ImportProblem.objects.filter(of=record, row__gt=0, note=True).order_by("row", "pk")
    return Report(
        number=record.number,
        agency=record.agency.slug,
        mode=record.mode,
        state=record.state,
        counts=record.counts or dict.fromkeys(imports.COUNTS, 0),
        file={name: record.file_facts.get(name) for name in ("format", "encoding", "delimiter", "columns", "ignored")},
        problems=[problem for problem, note in told if not note],
        notes=[problem for problem, note in told if note],
        held=record.held,
        rows=report.rows(plan, which) if plan else _kept_rows(record, which),
        deactivated=record.leavers.get("deactivated", []),
        protected=record.leavers.get("protected", []),
        noted=[(note.external_id, _problem(note)) for note in notes[: report.NOTED]],
        noted_in_all=notes.count(),
        message=record.message,
    )


def people(record: models.Import) -> dict[str, str]:
    """External id → name, of whom the import deactivates or protects."""
    ids = [*record.leavers.get("deactivated", []), *(one["external_id"] for one in record.leavers.get("protected", []))]
    named = models.User.objects.filter(agency=record.agency, external_id__in=ids[:_NAMED])
    return {user.external_id: f"{user.first_name} {user.last_name}" for user in named}


_NAMED = 500
"""So many people are named at most; nobody reads more."""


def results_file(record: models.Import, plan: Plan | None) -> bytes:
    """The results file (rule A2). Raises FileGone if the import was done before and its file is kept no longer."""
    return results.results_file(*_table_and_outcomes(record, plan))


def errors_file(record: models.Import, plan: Plan | None) -> bytes:
    """The errors file (rule A2). Raises as `results_file`."""
    return results.errors_file(*_table_and_outcomes(record, plan))


def _table_and_outcomes(record: models.Import, plan: Plan | None) -> tuple[Table, pl.DataFrame]:
    if plan:
        return plan.table, report.outcomes(plan)
    table = imports.read_again(record)
    return table, report.outcomes_of(_kept_rows(record, Rows.ALL), table)


def _problems(record: models.Import, *, row: int) -> list[tuple[Problem, bool]]:
    kept = models.ImportProblem.objects.filter(of=record, row=row).order_by("pk")
    return [(_problem(entry), entry.note) for entry in kept]


def _problem(entry: models.ImportProblem) -> Problem:
    return Problem(entry.code, entry.row, entry.column, entry.value, entry.detail, entry.hint)


def _kept_rows(record: models.Import, which: Rows) -> list[Row]:
    rows = [*_errored(record), *_changed(record)]
    return sorted((row for row in rows if row.outcome in LISTED[which]), key=lambda row: row.row)


def _errored(record: models.Import) -> Iterable[Row]:
    kept = list(models.ImportProblem.objects.filter(of=record, row__gt=0).order_by("row", "pk"))
    found = report.by_row([_problem(entry) for entry in kept if not entry.note])
    notes = report.by_row([_problem(entry) for entry in kept if entry.note])
    ids = {entry.row: entry.external_id for entry in kept}
    return [Row(row, ids[row], "errored", {}, of, notes.get(row, ())) for row, of in found.items()]


_OUTCOMES = {"user.added": "added", "user.updated": "updated"}


def _changed(record: models.Import) -> Iterable[Row]:
    notes = report.by_row([_problem(e) for e in models.ImportProblem.objects.filter(of=record, row__gt=0, note=True)])
    events = models.Event.objects.filter(of=record, row__isnull=False).order_by("row")
    for event in events.iterator():
        row = event.row or 0
        yield Row(
            row, event.subject_external_id, _OUTCOMES[event.kind], report.parsed(event.changes), (), notes.get(row, ())
        )
