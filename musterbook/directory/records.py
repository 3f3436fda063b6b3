"""The record of an import, from its first moment to its last word (rule A4)."""

import secrets
from dataclasses import asdict
from datetime import UTC, datetime

import polars as pl
from django.db import Error, IntegrityError, connection, transaction

from musterbook.core.plan import Plan
from musterbook.core.problems import Problem
from musterbook.directory import failures, frames, locks, models

COUNTS = ("rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected")
"""The counts of rule A1, in their order."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class SentBefore(Exception):
    """Another import of the agency has the same idempotency key."""


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
    record.save()


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
    if record.pk:
        kept = models.Import.objects.filter(pk=record.pk).values_list("state", flat=True).first()
        if kept not in ("running", None):
            return False
    record.state, record.message, record.idempotency_key = "failed", message, None
    record.counts, record.held, record.leavers, record.digest = {}, None, {}, ""
    record.finished_at = datetime.now(UTC)
    record.save()
    return True


def settle_dead(agency: models.Agency) -> None:
    """Reports as failed the imports whose process ended before they were done (D3)."""
    if models.Import.objects.filter(agency=agency, state="running").exists():
        with locks.if_free(agency) as free:
            if free:
                bury(agency)


def bury(agency: models.Agency) -> None:
    """The caller holds the agency's turn, so whatever still says that it is running has died; its key can be used again."""
    models.Import.objects.filter(agency=agency, state="running").update(
        state="failed", finished_at=datetime.now(UTC), message=failures.DIED, idempotency_key=None
    )
