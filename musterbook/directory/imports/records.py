"""The record of an import, from its creation to its final state (rule A4)."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import polars as pl
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import QuerySet

from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import database_errors, frames, locks

COUNTS = ("rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected")
"""The counts of rule A1, in their order."""

ATTEMPTS = 3
"""The number of times that workers attempt an import if each of them dies."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class SentBefore(Exception):
    """Another import of the agency has the same idempotency key."""


class Superseded(Exception):
    """Another worker has claimed the import in the meantime: the work of this one does not count."""


def new_number(at: datetime) -> str:
    """Return a new import number: a ULID, 26 characters that sort by time (https://github.com/ulid/spec)."""
    value = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def new(
    agency: models.Agency,
    kind: models.ImportKind,
    options: Mapping[str, object],
    context: AuditContext,
    *,
    state: str = "waiting",
    key: str | None = None,
    **more: Any,
) -> models.Import:
    """Return a new record, not yet written. `more`: fields that not every kind of import has, such as its file."""
    return models.Import(
        number=new_number(context.at), agency=agency, kind=kind, mode=str(options["mode"]), state=state,
        actor=context.actor, through=context.through, address=context.address[:64],
        agent=context.agent[:255].replace("\0", " "), options=dict(options), started_at=context.at,
        idempotency_key=key or None, **more,
    )  # fmt: skip


def begin(record: models.Import) -> None:
    """Write a new record. Raise SentBefore if its idempotency key is in use."""
    try:
        with transaction.atomic():
            record.save(force_insert=True)
    except IntegrityError:
        record.pk = None
        if record.idempotency_key and _with_key_of(record):
            raise SentBefore from None
        raise


def _with_key_of(record: models.Import) -> bool:
    return models.Import.objects.filter(agency=record.agency_id, idempotency_key=record.idempotency_key).exists()


def conclude(record: models.Import, plan: Plan, expected: str | None) -> None:
    """Set the result of the import from its plan: the state, the counts and the deactivations.

    `expected`: the digest of the plan as the operator saw it (D2).
    """
    record.digest = plan.digest
    record.counts = dict(plan.counts)
    record.held = asdict(plan.held) if plan.held else None
    record.leavers = {
        "deactivated": plan.leavers.deactivated["external_id"].to_list(),
        "protected": plan.leavers.protected.select("external_id", "code").to_dicts(),
    }
    if plan.refusals or expected not in (None, plan.digest):
        record.state = "refused"
    elif record.options["preview"]:
        record.state = "previewed"
    else:
        record.state = "held" if plan.held else "applied"


def finish(record: models.Import, plan: Plan, expected: str | None) -> None:
    """Write the concluded record with its problems and notes, in the transaction of the changes that it describes.

    Raise Superseded if another worker has claimed the import in the meantime.
    """
    if expected not in (None, plan.digest):
        _keep(record, [Problem.of("plan-changed")], note=False)
    _keep(record, plan.refusals, note=False)
    _keep(record, plan.table.notes, note=True)
    _keep_of_rows(record, plan, plan.problems, note=False)
    _keep_of_rows(record, plan, plan.notes, note=True)
    record.finished_at = datetime.now(UTC)
    if not _mine(record).update(**{name: getattr(record, name) for name in _CONCLUDED}):
        raise Superseded(record.number)


_CONCLUDED = ("state", "digest", "counts", "held", "leavers", "file_facts", "finished_at")


def _mine(record: models.Import) -> "QuerySet[models.Import]":
    """Return the record as a query set. It is empty if another worker has claimed the import since."""
    return models.Import.objects.filter(
        pk=record.pk, worker=record.worker, attempts=record.attempts, finished_at=None
    ).exclude(state="waiting")


def _keep(record: models.Import, found: "tuple[Problem, ...] | list[Problem]", *, note: bool) -> None:
    models.ImportProblem.objects.bulk_create(
        models.ImportProblem(of=record, external_id="", note=note, **asdict(problem)) for problem in found
    )


def _keep_of_rows(record: models.Import, plan: Plan, found: pl.DataFrame, *, note: bool) -> None:
    named = found.join(plan.rows.select("row", "external_id"), on="row", how="left", maintain_order="left")
    ids = frames.new_ids(models.ImportProblem, named.height)
    kept = named.with_columns(
        pl.col("external_id").fill_null(""), id=ids, of_id=pl.lit(record.pk, pl.Int64), note=pl.lit(note)
    )
    frames.insert(models.ImportProblem, kept)


def fail(record: models.Import, message: str) -> bool:
    """Record that the import failed, after its transaction has been rolled back.

    Return False if it was committed after all. If the database itself fails, the record stays as it is until the
    next check (`settle_dead`).
    """
    try:
        return _fail(record, message)
    except Error:
        # The connection may be broken: try once more on a new one.
        connection.close()
    try:
        return _fail(record, message)
    except Error:
        return True


def _fail(record: models.Import, message: str) -> bool:
    failed = _failed(message) | {"counts": {}, "held": None, "leavers": {}, "digest": ""}
    there = models.Import.objects.filter(pk=record.pk).exists()
    if there and not _mine(record).update(**failed, file_facts=record.file_facts):
        return False
    for name, value in failed.items():
        setattr(record, name, value)
    if not there:
        record.save()
    return True


def _failed(message: str) -> dict[str, Any]:
    """Return the fields to write for a failed import. They release its idempotency key, so it can be used again."""
    return {"state": "failed", "message": message, "finished_at": datetime.now(UTC), "idempotency_key": None}


def take_up(record: models.Import, worker: str, at: datetime) -> bool:
    """Claim a queued import for the worker. The caller holds the agency's lock.

    Return False if the import is no longer in the queue.
    """
    attempts = record.attempts + 1
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting", attempts=record.attempts)
    if not waiting.update(state="running", worker=worker, attempts=attempts, started_at=at):
        return False
    record.state, record.worker, record.attempts, record.started_at = "running", worker, attempts, at
    return True


def put_back(record: models.Import) -> None:
    """Requeue an import that its worker was asked to release. This does not count as a failed attempt."""
    _mine(record).update(state="waiting", worker="", attempts=record.attempts - 1)


def cancel_waiting(record: models.Import, message: str) -> bool:
    """End a queued import. Return False if a worker has claimed it."""
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting")
    return bool(waiting.update(**_failed(message)))


def settle_dead(agency: models.Agency) -> None:
    """Reap the agency's imports whose process ended before they were done (D3).

    They are recorded as failed, or requeued for another worker.
    """
    if models.Import.objects.filter(agency=agency, state="running").exists():
        with locks.if_free(agency) as free:
            if free:
                bury(agency)


def bury(agency: models.Agency) -> None:
    """Reap the agency's imports that still have the state "running".

    The caller holds the agency's lock, so the process of any such import has died. An import that a worker had
    claimed is requeued, unless it has been attempted ATTEMPTS times.
    """
    died = models.Import.objects.filter(agency=agency, state="running")
    died.filter(worker="").update(**_failed(database_errors.DIED))
    died.filter(attempts__gte=ATTEMPTS).update(**_failed(database_errors.DIED_OFTEN))
    died.update(state="waiting", worker="")
