"""The record of an import, from its first moment to its last word (rule A4)."""

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import polars as pl
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import QuerySet

from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.storage import database_errors, frames, locks

COUNTS = ("rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected")
"""The counts of rule A1, in their order."""

ATTEMPTS = 3
"""So often an import is taken up whose workers die."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class SentBefore(Exception):
    """Another import of the agency has the same idempotency key."""


class Superseded(Exception):
    """Another worker has taken the import up meanwhile: nothing of what was done here counts."""


def new_number(at: datetime) -> str:
    """A new import's number: a ULID, 26 characters that sort by time (https://github.com/ulid/spec)."""
    value = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def begin(record: models.Import) -> None:
    """Writes a new record. Raises SentBefore if its idempotency key is in use."""
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
    """Sets what came of the import by its plan: state, counts, who leaves. `expected`: the digest of the plan as seen (D2)."""
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
    """Writes the concluded record with its problems and notes, in the transaction of what it tells of."""
    if expected not in (None, plan.digest):
        _keep(record, [Problem("plan-changed")], note=False)
    _keep(record, plan.refusals, note=False)
    _keep(record, plan.table.notes, note=True)
    _keep_of_rows(record, plan, plan.problems, note=False)
    _keep_of_rows(record, plan, plan.notes, note=True)
    record.finished_at = datetime.now(UTC)
    if not _mine(record).update(**{name: getattr(record, name) for name in _CONCLUDED}):
        raise Superseded(record.number)


_CONCLUDED = ("state", "digest", "counts", "held", "leavers", "file_facts", "finished_at")


def _mine(record: models.Import) -> "QuerySet[models.Import]":
    """The record, as long as it is carried out by who has it here: nobody else has taken it up since."""
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
    """Records that the import failed; its transaction has been rolled back. Gives False if it was committed after all.

    Where the database itself is what failed, the record stays as it is until the next look (`settle_dead`).
    """
    try:
        return _fail(record, message)
    except Error:
        # The connection may be what is broken: once more on a new one.
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
    """What is to be written of an import that failed; its key can be used again."""
    return {"state": "failed", "message": message, "finished_at": datetime.now(UTC), "idempotency_key": None}


def take_up(record: models.Import, worker: str, at: datetime) -> bool:
    """Has the worker carry out an import that waits; the caller holds the agency's turn. False if it waits no more."""
    attempts = record.attempts + 1
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting", attempts=record.attempts)
    if not waiting.update(state="running", worker=worker, attempts=attempts, started_at=at):
        return False
    record.state, record.worker, record.attempts, record.started_at = "running", worker, attempts, at
    return True


def put_back(record: models.Import) -> None:
    """Has an import wait again that its worker was asked to let go of: that is no failed attempt."""
    _mine(record).update(state="waiting", worker="", attempts=record.attempts - 1)


def cancel_waiting(record: models.Import, message: str) -> bool:
    """Ends an import that waits; gives False if it has been taken up."""
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting")
    return bool(waiting.update(**_failed(message)))


def settle_dead(agency: models.Agency) -> None:
    """Reports as failed the imports whose process ended before they were done, or has them wait for another worker (D3)."""
    if models.Import.objects.filter(agency=agency, state="running").exists():
        with locks.if_free(agency) as free:
            if free:
                bury(agency)


def bury(agency: models.Agency) -> None:
    """The caller holds the agency's turn, so whatever still says that it is running has died.

    What a worker had taken up waits for another, unless that has been tried often enough.
    """
    died = models.Import.objects.filter(agency=agency, state="running")
    died.filter(worker="").update(**_failed(database_errors.DIED))
    died.filter(attempts__gte=ATTEMPTS).update(**_failed(database_errors.DIED_OFTEN))
    died.update(state="waiting", worker="")
