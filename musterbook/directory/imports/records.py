"""The record of an import, from its creation to its final state (rule A4)."""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import QuerySet

from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import draft_ends, notices, plan_differences, plan_ends, webhook_events
from musterbook.directory.storage import database_errors, frames, locks

COUNTS = (
    "rows", "added", "updated", "reactivated", "unchanged", "errored", "skipped", "deactivated", "protected", "marked",
    "losing_access", "privileges", "handovers", "cleared", "released",
)  # fmt: skip
"""The counts of rule A1, in their order."""

ATTEMPTS = 3
"""The number of times that workers attempt an import if each of them dies."""

_LOG = logging.getLogger(__name__)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class DuplicateKey(Exception):
    """Another import of the agency has the same idempotency key."""


class NotWanted(Exception):
    """What writes the record together with something else finds that the import is not wanted any more."""


class Superseded(Exception):
    """Another worker has claimed the import in the meantime: the work of this one does not count."""


def new_number(at: datetime) -> str:
    """Return a new import number: a ULID, 26 characters that sort by time (https://github.com/ulid/spec)."""
    value = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def read_time(number: str) -> datetime:
    """Return the time that an import number contains: that of its request."""
    milliseconds = 0
    for character in number[:10]:
        milliseconds = milliseconds << 5 | _CROCKFORD.index(character)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def make_record(
    agency: models.Agency,
    kind: models.ImportKind,
    options: Mapping[str, object],
    context: AuditContext,
    *,
    state: str = "waiting",
    key: str | None = None,
    shown: models.Import | None = None,
    **more: Any,
) -> models.Import:
    """Return a new record, not yet written.

    `shown`: the preview or held import whose plan this one applies, and whose feed it belongs to. `more`: fields that not
    every kind of import has, such as its file and its feed. Raise AgencyPaused.
    """
    locks.refuse_paused(agency)
    granted = {} if context.granted is None else {"actor": sorted(context.granted)}
    shown_fields: dict[str, Any] = {"requester": context.actor}
    if shown:
        shown_fields = {
            "requester": shown.requester, "origin": shown, "expected": shown.digest, "feed_id": shown.feed_id,
        }  # fmt: skip
        granted |= {role: names for role, names in shown.granted.items() if role == "requester"}
    elif granted:
        granted["requester"] = granted["actor"]
    return models.Import(
        number=new_number(context.at), agency=agency, kind=kind, mode=str(options["mode"]), state=state,
        actor=context.actor, through=context.through, address=context.address,
        agent=context.agent[:255].replace("\0", " "), options=dict(options), started_at=context.at,
        idempotency_key=key or None, granted=granted, **shown_fields, **more,
    )  # fmt: skip


def insert_record(record: models.Import) -> None:
    """Write a new record. Raise DuplicateKey if its idempotency key is in use. A key that is too old to count is given up."""
    _select_old_holders(record.agency, record.idempotency_key).update(idempotency_key=None)
    try:
        with transaction.atomic():
            record.save(force_insert=True)
    except IntegrityError:
        record.pk = None
        if record.idempotency_key and _key_exists(record):
            raise DuplicateKey from None
        raise


def _key_exists(record: models.Import) -> bool:
    return find_key_holder(record.agency, record.idempotency_key) is not None


def find_key_holder(agency: models.Agency, key: str | None) -> models.Import | None:
    """Return the agency's import that uses up the idempotency key, or None if the key may be used (D6)."""
    if not key:
        return None
    holders = models.Import.objects.filter(agency=agency, idempotency_key=key, state__in=models.KEEPING_KEY)
    return holders.exclude(pk__in=_select_old_holders(agency, key).values("pk")).first()


KEY_KEPT_FOR = timedelta(days=30)
"""For this long after the end of its import the key of a program's request is used up.

An import that waits or runs keeps its key. The keys of commands last as long as their imports: `muster watch` knows its
files by them.
"""
REQUEST_KEY = "api "
"""What the key of a program's request begins with."""


def _select_old_holders(agency: models.Agency, key: str | None) -> "QuerySet[models.Import]":
    """Return the applied imports whose idempotency key may be used again."""
    if not key or not key.startswith(REQUEST_KEY):
        return models.Import.objects.none()
    since = datetime.now(UTC) - KEY_KEPT_FOR
    return models.Import.objects.filter(agency=agency, idempotency_key=key, state="applied", finished_at__lt=since)


def set_result(record: models.Import, plan: Plan, expected: str | None) -> None:
    """Set the result of the import from its plan: the state, the counts and the deactivations.

    `expected`: the digest of the plan as the operator saw it (D2).
    """
    record.digest = plan.digest
    record.counts = dict(plan.counts)
    record.mails = dict(plan.mails)
    record.held = dict(plan.held) if plan.held else None
    record.holds = [hold.as_json() for hold in plan.holds]
    record.leavers = {
        "deactivated": plan.leavers.deactivated["external_id"].to_list(),
        "protected": _list_protected(plan.leavers.protected),
    }
    if plan_ends.has_ended_since(record):
        record.state, record.digest = "refused", ""
    elif plan.refusals or expected not in (None, record.digest):
        record.state = "refused"
    elif record.options["preview"]:
        record.state = "previewed"
    else:
        record.state = "held" if plan.held else "applied"


def _list_protected(protected: pl.DataFrame) -> list[dict[str, object]]:
    """Return the protected users as they are stored and shown, without the facts that a user does not have."""
    facts = protected.select("external_id", "code", "leaving_on", row="named_by").to_dicts()
    return [{name: value for name, value in one.items() if value is not None} for one in facts]


def write_result(record: models.Import, plan: Plan, expected: str | None) -> None:
    """Write the concluded record with its problems and notes, in the transaction of the changes that it describes.

    Raise Superseded if another worker has claimed the import in the meantime.
    """
    if plan_ends.has_ended_since(record):
        _add_problems(record, [Problem.of("plan-ended")], note=False)
    elif expected is not None and expected != plan.digest:
        difference = plan_differences.describe_difference(record.origin, plan) if record.origin else ""
        _add_problems(record, [Problem.of("plan-changed", difference=difference)], note=False)
    _add_problems(record, plan.refusals, note=False)
    _add_problems(record, plan.table.notes, note=True)
    _add_row_problems(record, plan, plan.problems, note=False)
    _add_row_problems(record, plan, plan.notes, note=True)
    record.finished_at = datetime.now(UTC)
    if not _select_own(record).update(**{name: getattr(record, name) for name in _RESULT_FIELDS}):
        raise Superseded(record.number)
    plan_ends.end_by(record)
    _take_over_file(record)
    draft_ends.carry_over(record)
    _report_end(record)


def _take_over_file(record: models.Import) -> None:
    """Let the file of a feed belong to this import, which was made from the one that it belonged to.

    This is so even if the earlier one was refused, and a person has corrected how it is read. An import that is refused
    does not take the file from a plan that can still be applied.
    """
    if record.feed_id is None or record.origin is None:
        return
    if record.state == "applied" or plan_ends.shows_plan(record) or not plan_ends.shows_plan(record.origin):
        models.FeedFile.objects.filter(of=record.origin).update(of=record, settled_at=None)


_RESULT_FIELDS = (
    "state",
    "digest",
    "counts",
    "mails",
    "held",
    "holds",
    "leavers",
    "file_facts",
    "stages",
    "entries",
    "finished_at",
)


def _select_own(record: models.Import) -> "QuerySet[models.Import]":
    """Return the record as a query set. It is empty if another worker has claimed the import since."""
    return models.Import.objects.filter(
        pk=record.pk, worker=record.worker, attempts=record.attempts, finished_at=None
    ).exclude(state="waiting")


def _add_problems(record: models.Import, problems: "tuple[Problem, ...] | list[Problem]", *, note: bool) -> None:
    models.ImportProblem.objects.bulk_create(
        models.ImportProblem(of=record, external_id="", note=note, **asdict(problem)) for problem in problems
    )


def _add_row_problems(record: models.Import, plan: Plan, problems: pl.DataFrame, *, note: bool) -> None:
    joined = problems.join(plan.rows.select("row", "external_id"), on="row", how="left", maintain_order="left")
    ids = frames.new_ids(models.ImportProblem, joined.height)
    rows = joined.with_columns(
        pl.col("external_id").fill_null(""), id=ids, of_id=pl.lit(record.pk, pl.Int64), note=pl.lit(note)
    )
    frames.insert(models.ImportProblem, rows)


def _report_end(record: models.Import) -> None:
    notices.add(record)
    webhook_events.add(record)


def _report_failure(record: models.Import) -> None:
    """Report the end of an import that failed. One whose row no report can describe has failed all the same."""
    try:
        with transaction.atomic():
            _report_end(record)
    except Error:
        raise
    except Exception:  # noqa: BLE001  (a row that another program wrote can raise any)
        _LOG.exception("The end of import %s could not be reported", record.number)


def record_failure(record: models.Import, message: str, canceled_by: str | None = None) -> bool:
    """Record that the import failed, after its transaction has been rolled back.

    `canceled_by`: the external ID of the user who canceled it, "" for the system, None if it was not canceled.

    Return False if it was committed after all. If the database itself fails, the record stays as it is until the
    next check (`reap_orphans`), and the message says that the end is not known.
    """
    try:
        return _write_failure(record, message, canceled_by)
    except Error:
        # The connection may be broken: try once more on a new one.
        connection.close()
    try:
        return _write_failure(record, message, canceled_by)
    except Error as error:
        record.message = database_errors.UNKNOWN if database_errors.is_lost(error) else message
        return True


def _write_failure(record: models.Import, message: str, canceled_by: str | None) -> bool:
    nothing: dict[str, object] = {"counts": {}, "mails": {}, "held": None, "holds": [], "leavers": {}, "digest": ""}
    fields = _failure_fields(message, canceled_by) | nothing
    with transaction.atomic():
        exists = models.Import.objects.filter(pk=record.pk).exists()
        if exists and not _select_own(record).update(**fields, file_facts=record.file_facts):
            return False
        for name, value in fields.items():
            setattr(record, name, value)
        if not exists:
            record.save()
        _report_failure(record)
    return True


def _failure_fields(message: str, canceled_by: str | None = None) -> dict[str, Any]:
    """Return the fields to write for a failed import. They release its idempotency key, so it can be used again."""
    canceled = {"stop": canceled_by is not None, "stopped_by": canceled_by or ""}
    failed = {"state": "failed", "message": message, "finished_at": datetime.now(UTC), "idempotency_key": None}
    return failed | canceled


def claim_import(record: models.Import, worker: str, at: datetime) -> bool:
    """Claim a queued import for the worker. The caller holds the agency's lock.

    Return False if the import is no longer in the queue.
    """
    attempts = record.attempts + 1
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting", attempts=record.attempts)
    if not waiting.update(state="running", worker=worker, attempts=attempts, started_at=at):
        return False
    record.state, record.worker, record.attempts, record.started_at = "running", worker, attempts, at
    return True


def requeue_import(record: models.Import) -> None:
    """Requeue an import that its worker was asked to release. This does not count as a failed attempt."""
    _select_own(record).update(state="waiting", worker="", attempts=record.attempts - 1)


def cancel_waiting(record: models.Import, message: str, by: str) -> bool:
    """End a queued import that the user `by` canceled. Return False if a worker has claimed it."""
    waiting = models.Import.objects.filter(pk=record.pk, state="waiting")
    return bool(waiting.update(**_failure_fields(message, by)))


def reap_orphans(agency: models.Agency) -> None:
    """Reap the agency's imports whose process ended before they were done (D3).

    They are recorded as failed, or requeued for another worker.
    """
    if models.Import.objects.filter(agency=agency, state="running").exists():
        with locks.try_import_lock(agency) as free:
            if free:
                reap_with_lock(agency)


def reap_with_lock(agency: models.Agency) -> None:
    """Reap the agency's imports that still have the state "running".

    The caller holds the agency's lock, so the process of any such import has died. An import that a worker had
    claimed is requeued, unless it has been attempted ATTEMPTS times.
    """
    running = models.Import.objects.filter(agency=agency, state="running")
    if not running.exists():
        return
    with transaction.atomic():
        _end_dead(running.filter(worker=""), database_errors.DIED)
        _end_dead(running.filter(attempts__gte=ATTEMPTS), database_errors.DIED_OFTEN)
        running.update(state="waiting", worker="")


def _end_dead(running: "QuerySet[models.Import]", message: str) -> None:
    # A process that lost its connection, and so the lock, may record the end itself right now: wait for its transaction.
    dead = [record.pk for record in running.select_for_update()]
    models.Import.objects.filter(pk__in=dead).update(**_failure_fields(message))
    for record in models.Import.objects.filter(pk__in=dead).select_related("agency"):
        _report_failure(record)
