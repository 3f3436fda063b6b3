"""The execution of an import: its lock, its plan, its one transaction, and its recorded end (D3, D5, D7).

The end is recorded however the import ends.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from musterbook.config import log_lines
from musterbook.core.checking import meanings
from musterbook.core.domain.file_values import Meanings
from musterbook.core.domain.policy import Mode
from musterbook.core.domain.problems import INFECTED, SUSPECT
from musterbook.core.planning import authority
from musterbook.core.planning.plan import Plan
from musterbook.core.reading import headings
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, heartbeats, plan_files, records
from musterbook.directory.imports.heartbeats import Progress, ignore_progress
from musterbook.directory.imports.stage_times import StageTimes
from musterbook.directory.permissions import Authority, NotPermitted
from musterbook.directory.storage import database_errors, import_files, isolation, locks
from musterbook.directory.storage.background import BackgroundTask

_LOG = logging.getLogger(__name__)


class ImportFailed(Exception):
    """The import could not be run to its end, and nothing was changed. The record has the reason."""

    def __init__(self, record: models.Import) -> None:
        super().__init__(record.message)
        self.record = record


@dataclass(frozen=True, slots=True)
class ImportResult:
    """An import that was applied or previewed: its record, and its plan (None if it was done before)."""

    record: models.Import
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The work of one import.

    `record`: the record of the import, not yet written. `make_plan`: returns the plan from the agency's current
    directory, and may be called twice. `content`: the file to keep. `expected`: the digest of the plan as it was
    shown; nothing is written if the plan has another one. `progress`: is called for each stage, and so is
    `report`, which reports to other processes. `apply_override`: writes the result of a plan that changes no user.
    `after_apply`: is called when the plan is written, in the same transaction. `stages`: measures how long each stage
    takes.
    """

    record: models.Import
    context: AuditContext
    make_plan: Callable[[models.Agency], Plan]
    content: bytes | None = None
    expected: str | None = None
    progress: Progress = ignore_progress
    report: Progress = ignore_progress
    apply_override: Callable[[Plan], None] | None = None
    after_apply: Callable[[Plan], None] | None = None
    stages: StageTimes = field(default_factory=StageTimes)

    def report_stage(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Report the stage. Raise ImportCancelled if the import has been asked to stop."""
        self.stages.enter(stage)
        self.report(stage, done, total)
        self.progress(stage, done, total)
        cancellation.raise_if_cancelled(self.record)

    def wait(self) -> None:
        """Report which import this one waits for (D5)."""
        agency = self.record.agency
        earlier = models.Import.objects.filter(agency=agency, state="running").exclude(pk=self.record.pk).first()
        owner = f" by {earlier.actor or 'the system'}, import {earlier.number}" if earlier else ""
        self.report_stage(f"waiting for another import{owner}" if earlier else "waiting for the database")


def run_attempt(attempt: Attempt) -> ImportResult:
    """Plan the import and write it, or only preview it, in one transaction. The record has the final state.

    Raise DuplicateKey if the idempotency key is in use. Raise ImportFailed, with nothing changed, if the import cannot be
    done.
    """
    with isolation.limit_to(attempt.record.agency_id), _log_end(attempt.record):
        return _preview(attempt) if attempt.record.options["preview"] else _import(attempt)


@contextmanager
def _log_end(record: models.Import) -> Iterator[None]:
    """Write the end of the import to the log, under its number. The line has no name, not even that of the file."""
    began = time.monotonic()
    with log_lines.use_import(record.number):
        try:
            yield
        finally:
            if record.finished_at:
                state, rows = cancellation.get_shown_state(record), record.counts.get("rows", 0)
                _LOG.info("The import has ended: %s, rows: %d, seconds: %.1f", state, rows, time.monotonic() - began)


def _preview(attempt: Attempt) -> ImportResult:
    """Preview the import without waiting for other imports: its plan is made again when it is applied (D2)."""
    record = attempt.record
    with record_errors(record):
        wait_for_file = _start_keeping(attempt)
        plan = _make_plan(attempt)
        with plan_files.keep_plan(record.number, plan) as commit_plan, locks.write_transaction(attempt.wait):
            records.set_result(record, plan, attempt.expected)
            records.insert_record(record)
            wait_for_file()
            _write_result(attempt, plan)
            _record_suspect(attempt, plan)
            commit_plan()
    return ImportResult(record, plan)


def _import(attempt: Attempt) -> ImportResult:
    record = attempt.record
    with record_errors(record), locks.hold_import_lock(record.agency, attempt.wait):
        with locks.write_transaction(attempt.wait):
            records.reap_with_lock(record.agency)
            records.insert_record(record)
        plan = None
        # Record its end while it still has the lock, so that no other process reaps it first.
        with record_errors(record), heartbeats.report_progress(heartbeats.STANDALONE, record.number) as report:
            plan = _plan_and_write(replace(attempt, report=report), _start_keeping(attempt))
        cancellation.delete_request(record)
    return ImportResult(record, plan)


def run_claimed(attempt: Attempt) -> None:
    """Run an import that was claimed from the queue. The caller holds the agency's lock, and the file is already kept.

    Raise Interrupted and ConnectionLost if it must be claimed again, Superseded if another worker has claimed it, and
    ImportFailed.
    """
    record = attempt.record
    with isolation.limit_to(record.agency_id), _log_end(record), record_errors(record):
        if record.options["preview"]:
            _preview_claimed(attempt)
        else:
            _plan_and_write(attempt, lambda: None)


def _preview_claimed(attempt: Attempt) -> None:
    record, plan = attempt.record, _make_plan(attempt)
    with plan_files.keep_plan(record.number, plan) as commit_plan, locks.write_transaction(attempt.wait):
        records.set_result(record, plan, attempt.expected)
        _write_result(attempt, plan)
        _record_suspect(attempt, plan)
        commit_plan()


def _write_result(attempt: Attempt, plan: Plan) -> None:
    attempt.record.stages = attempt.stages.read()
    records.write_result(attempt.record, plan, attempt.expected)


def _record_suspect(attempt: Attempt, plan: Plan) -> None:
    """Record an event in the audit trail for a refused file that may be harmful. Delete an infected file."""
    for problem in plan.refusals:
        if problem.code == INFECTED:
            import_files.delete_file(attempt.record.number)
        if problem.code in SUSPECT:
            trail.record_refused_file(
                attempt.record.agency, attempt.context, attempt.record.file_name, problem.in_english()[0]
            )


def _start_keeping(attempt: Attempt) -> Callable[[], None]:
    """Begin to keep the file. Return a function that waits until that is done."""
    if attempt.content is None:
        return lambda: None
    return BackgroundTask(partial(import_files.store_file, attempt.record.number, attempt.content)).result


def _plan_and_write(attempt: Attempt, wait_for_file: Callable[[], None]) -> Plan:
    """Plan the import and write it in one transaction, which ends when the file is kept.

    On SQLite all agencies share one writer. The plan is therefore made before the transaction, and made again only
    if another connection has written in the meantime.
    """
    record = attempt.record
    version = locks.read_version()
    early_plan = None if version is None else _make_plan(attempt)
    with locks.write_transaction(attempt.wait):
        locks.lock_row(record.agency)
        plan = early_plan if early_plan and locks.read_version() == version else _make_plan(attempt)
        records.set_result(record, plan, attempt.expected)
        with plan_files.keep_plan(record.number, plan) as commit_plan:
            if record.state == "applied":
                _apply(attempt, plan)
            attempt.report_stage("committing")
            wait_for_file()
            _write_result(attempt, plan)
            _record_suspect(attempt, plan)
            commit_plan()
    return plan


def _make_plan(attempt: Attempt) -> Plan:
    attempt.report_stage("planning")
    agency = models.Agency.objects.get(pk=attempt.record.agency_id)
    attempt.record.agency = agency
    plan = attempt.make_plan(agency)
    # An action whose purpose is an email sends it in any case.
    return (
        plan
        if attempt.apply_override
        else plan.without_mails(writer.find_unsent(agency, attempt.record.options["mails"]))
    )


def _apply(attempt: Attempt, plan: Plan) -> None:
    record = attempt.record
    agency, options = record.agency, record.options
    total = plan.added.height + plan.updated.height + plan.rekeyed.height + plan.leavers.deactivated.height

    def written(done: int) -> None:
        attempt.report_stage("writing", done, total)

    if attempt.apply_override:
        attempt.apply_override(plan)
    else:
        writer.apply_plan(plan, agency, attempt.context, of=record.pk, written=written)
    if attempt.after_apply:
        attempt.after_apply(plan)
    # A file of new external IDs is rare, and has other headings: it leaves the mapping of the usual files alone. So do
    # files of groups, members, roles and ranks, and the rows that a program sends, whose file nobody else has written.
    remembers = plan.mode is not Mode.REKEY and plan.entries is None and not options.get("exact")
    remembered: dict[str, object] = {}
    if options["mapping"] and remembers:
        remembered["mapping"] = headings.merge_mappings(agency.mapping, options["mapping"])
    given = {name: options[name] for name in ("encoding", "header_row") if options.get(name)}
    if given and remembers:
        remembered["reading"] = {**agency.reading, **given}
    if options.get("values") and remembers:
        remembered["values"] = _merge_values(agency, options["values"], attempt.context.authority, plan)
    if remembered:
        models.Agency.objects.filter(pk=agency.pk).update(**remembered)


def _merge_values(agency: models.Agency, given: Meanings, by: Authority, plan: Plan) -> dict[str, dict[str, str]]:
    """Return the agency's values with those of the import.

    A later import by the system would assign any role. So an entry for a role that the operator may not assign is not
    remembered (M10).
    """
    operator = snapshot_queries.find_operator(agency, by)
    above = authority.find_roles_above(operator, plan.vocabulary)
    return meanings.merge_meanings(agency.values, meanings.keep_allowed(given, above, plan.vocabulary))


@contextmanager
def record_errors(record: models.Import) -> Iterator[None]:
    """Record any error that ends an import early, and raise it as Failed.

    NotPermitted and UnknownOperator are recorded, and raised unchanged. A lost connection raises Lost if the import
    can be attempted again.
    """
    try:
        yield
    except (
        ImportFailed,
        records.DuplicateKey,
        records.Superseded,
        cancellation.Interrupted,
        cancellation.ConnectionLost,
    ):
        raise
    except (NotPermitted, snapshot_queries.UnknownOperator):
        records.record_failure(record, database_errors.NOT_ALLOWED)
        raise
    except (Exception, KeyboardInterrupt) as error:
        if 0 < record.attempts < records.ATTEMPTS and database_errors.is_lost(error):
            raise cancellation.ConnectionLost from error
        if records.record_failure(record, _error_message(error), _get_canceler(error)):
            raise ImportFailed(record) from error


def _get_canceler(error: BaseException) -> str | None:
    """Return who canceled the import, "" for the system; None if the error is not a cancellation."""
    if isinstance(error, cancellation.ImportCancelled):
        return error.by
    return "" if isinstance(error, KeyboardInterrupt) else None


def _error_message(error: BaseException) -> str:
    if isinstance(error, cancellation.ImportCancelled):
        return database_errors.describe_cancel(error.by)
    if isinstance(error, KeyboardInterrupt):
        return database_errors.CANCELLED
    if not database_errors.explain_error(error):
        _LOG.error("An import failed because of an error in Musterbook", exc_info=error)
    return database_errors.build_message(error)
