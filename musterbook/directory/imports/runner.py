"""The execution of an import: its lock, its plan, its one transaction, and its recorded end (D3, D5, D7).

The end is recorded however the import ends.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from musterbook.core.domain.problems import INFECTED, SUSPECT
from musterbook.core.planning.plan import Plan
from musterbook.core.reading import headings
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, heartbeats, plan_files, records
from musterbook.directory.imports.heartbeats import Progress, silent
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors, import_files, locks
from musterbook.directory.storage.background import Beside

_LOG = logging.getLogger(__name__)


class Failed(Exception):
    """The import could not be carried out, and nothing was changed. The record has the reason."""

    def __init__(self, record: models.Import) -> None:
        super().__init__(record.message)
        self.record = record


@dataclass(frozen=True, slots=True)
class Done:
    """An import that was applied or previewed: its record, and its plan (None if it was done before)."""

    record: models.Import
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The work of one import.

    `record`: the record of the import, not yet written. `make`: returns the plan from the agency's current
    directory, and may be called twice. `content`: the file to keep. `expected`: the digest of the plan as it was
    shown; nothing is written if the plan has another one. `progress`: is called for each stage, and so is
    `telling`, which reports to other processes. `instead`: writes the result of a plan that changes no user.
    """

    record: models.Import
    context: AuditContext
    make: Callable[[models.Agency], Plan]
    content: bytes | None = None
    expected: str | None = None
    progress: Progress = silent
    telling: Progress = silent
    instead: Callable[[Plan], None] | None = None

    def watched(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Report the stage. Raise Stopped if the import has been asked to stop."""
        self.telling(stage, done, total)
        self.progress(stage, done, total)
        cancellation.heed(self.record)

    def wait(self) -> None:
        """Report which import this one waits for (D5)."""
        agency = self.record.agency
        ahead = models.Import.objects.filter(agency=agency, state="running").exclude(pk=self.record.pk).first()
        whose = f" by {ahead.actor or 'the system'}, import {ahead.number}" if ahead else ""
        self.watched(f"waiting for another import{whose}" if ahead else "waiting for the database")


def carry_out(attempt: Attempt) -> Done:
    """Plan the import and write it, or only preview it, in one transaction. The record has the final state.

    Raise SentBefore if the idempotency key is in use. Raise Failed, with nothing changed, if the import cannot be
    done.
    """
    return _preview(attempt) if attempt.record.options["preview"] else _import(attempt)


def _preview(attempt: Attempt) -> Done:
    """Preview the import without waiting for other imports: its plan is made again when it is applied (D2)."""
    record = attempt.record
    with told(record):
        kept = _keeping(attempt)
        plan = _planned(attempt)
        with plan_files.keeping(record.number, plan) as plan_kept, locks.writing(attempt.wait):
            records.conclude(record, plan, attempt.expected)
            records.begin(record)
            kept()
            records.finish(record, plan, attempt.expected)
            _tell_suspect(attempt, plan)
            plan_kept()
    return Done(record, plan)


def _import(attempt: Attempt) -> Done:
    record = attempt.record
    with told(record), locks.import_of(record.agency, attempt.wait):
        with locks.writing(attempt.wait):
            records.bury(record.agency)
            records.begin(record)
        plan = None
        # Record its end while it still has the lock, so that no other process reaps it first.
        with told(record), heartbeats.told(heartbeats.ALONE, record.number) as tell:
            plan = _done(replace(attempt, telling=tell), _keeping(attempt))
        cancellation.forget(record)
    return Done(record, plan)


def carry_out_taken(attempt: Attempt) -> None:
    """Run an import that was claimed from the queue. The caller holds the agency's lock, and the file is already kept.

    Raise Interrupted and Lost if it must be claimed again, Superseded if another worker has claimed it, and Failed.
    """
    record = attempt.record
    with told(record):
        if record.options["preview"]:
            _previewed(attempt)
        else:
            _done(attempt, lambda: None)


def _previewed(attempt: Attempt) -> None:
    record, plan = attempt.record, _planned(attempt)
    with plan_files.keeping(record.number, plan) as plan_kept, locks.writing(attempt.wait):
        records.conclude(record, plan, attempt.expected)
        records.finish(record, plan, attempt.expected)
        _tell_suspect(attempt, plan)
        plan_kept()


def _tell_suspect(attempt: Attempt, plan: Plan) -> None:
    """Record an event in the audit trail for a refused file that may be harmful. Delete an infected file."""
    for problem in plan.refusals:
        if problem.code == INFECTED:
            import_files.let_go(attempt.record.number)
        if problem.code in SUSPECT:
            trail.record_refused_file(attempt.record.agency, attempt.context, attempt.record.file_name, problem.message)


def _keeping(attempt: Attempt) -> Callable[[], None]:
    """Begin to keep the file. Return a function that waits until that is done."""
    if attempt.content is None:
        return lambda: None
    return Beside(partial(import_files.keep, attempt.record.number, attempt.content)).result


def _done(attempt: Attempt, kept: Callable[[], None]) -> Plan:
    """Plan the import and write it in one transaction, which ends when the file is kept.

    On SQLite all agencies share one writer. The plan is therefore made before the transaction, and made again only
    if another connection has written in the meantime.
    """
    record = attempt.record
    seen = locks.version()
    early = None if seen is None else _planned(attempt)
    with locks.writing(attempt.wait):
        locks.row(record.agency)
        plan = early if early and locks.version() == seen else _planned(attempt)
        records.conclude(record, plan, attempt.expected)
        with plan_files.keeping(record.number, plan) as plan_kept:
            if record.state == "applied":
                _apply(attempt, plan)
            attempt.watched("committing")
            kept()
            records.finish(record, plan, attempt.expected)
            _tell_suspect(attempt, plan)
            plan_kept()
    return plan


def _planned(attempt: Attempt) -> Plan:
    attempt.watched("planning")
    agency = models.Agency.objects.get(pk=attempt.record.agency_id)
    attempt.record.agency = agency
    return attempt.make(agency)


def _apply(attempt: Attempt, plan: Plan) -> None:
    record = attempt.record
    agency, options = record.agency, record.options
    total = plan.added.height + plan.updated.height + plan.leavers.deactivated.height
    mails = agency.sends_mail if options["mails"] is None else options["mails"]

    def written(done: int) -> None:
        attempt.watched("writing", done, total)

    if attempt.instead:
        attempt.instead(plan)
    else:
        writer.apply(plan, agency, attempt.context, of=record.pk, mails=mails, written=written)
    if options["mapping"]:
        mapping = headings.joined(agency.mapping, options["mapping"])
        models.Agency.objects.filter(pk=agency.pk).update(mapping=mapping)


@contextmanager
def told(record: models.Import) -> Iterator[None]:
    """Record any error that ends an import early, and raise it as Failed.

    NotPermitted and UnknownOperator are recorded, and raised unchanged. A lost connection raises Lost if the import
    can be attempted again.
    """
    try:
        yield
    except (Failed, records.SentBefore, records.Superseded, cancellation.Interrupted, cancellation.Lost):
        raise
    except (NotPermitted, snapshot_queries.UnknownOperator):
        records.fail(record, f"The operator is no longer allowed to do this. {database_errors.NOTHING}")
        raise
    except (Exception, KeyboardInterrupt) as error:
        if 0 < record.attempts < records.ATTEMPTS and database_errors.is_lost(error):
            raise cancellation.Lost from error
        if records.fail(record, _said(error)):
            raise Failed(record) from error


def _said(error: BaseException) -> str:
    if isinstance(error, cancellation.Stopped):
        return database_errors.cancelled(error.by)
    if isinstance(error, KeyboardInterrupt):
        return database_errors.CANCELLED
    if not database_errors.foreseen(error):
        _LOG.error("An import failed because of an error in Musterbook", exc_info=error)
    return database_errors.message(error)
