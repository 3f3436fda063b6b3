"""The end of a plan that was shown: it is applied, replaced, discarded, or it expires (rule A4).

A plan is a preview, or an import that is held or was refused because its plan had changed. Once it has ended, it cannot
be applied.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import ImportKind
from musterbook.directory.storage import locks


class PlanEnd(StrEnum):
    """How a plan ended."""

    APPLIED = "applied-as"
    REPLACED = "replaced-by"
    DISCARDED = "discarded"
    EXPIRED = "expired"


_SHOWS_PLAN = Q(state__in=("previewed", "held")) | (Q(state="refused") & ~Q(expected="") & ~Q(digest=""))
OPEN = _SHOWS_PLAN & Q(state__in=models.SHOWING, ended="")
"""The imports whose plan can still be applied."""
WATCH_KEY = "watch:"
"""How the idempotency key of a file begins that `muster watch` found: this, its folder, a colon, and the file."""


class PlanEnded(Exception):
    """The plan has ended, so it cannot be applied. The message says how; `successor` is the import in its place."""

    def __init__(self, record: models.Import, how: str) -> None:
        super().__init__(describe_end(record, how))
        self.successor = record.successor


class NoPlan(Exception):
    """The import shows no plan that waits to be applied, so there is nothing to discard."""


def get_end(record: models.Import, at: datetime) -> str:
    """Return how the plan of the import has ended (PlanEnd), or "" if it can still be applied."""
    if record.ended or not shows_plan(record):
        return record.ended
    expired = record.finished_at is not None and record.finished_at < _find_expiry(record.agency, at)
    return PlanEnd.EXPIRED if expired else ""


def shows_plan(record: models.Import) -> bool:
    """Return whether the import shows a plan to apply, whether or not that has ended."""
    changed = record.state == "refused" and bool(record.expected)
    return bool(record.digest) and (record.state in ("previewed", "held") or changed)


def _find_expiry(agency: models.Agency, at: datetime) -> datetime:
    """Return the time before which plans have expired."""
    return at - timedelta(days=agency.preview_days)


def describe_end(record: models.Import, how: str) -> str:
    """Return the sentence that says how the plan of the import ended."""
    texts = _ENDS if record.successor else {**_ENDS, **_ENDS_UNKNOWN}
    successor = record.successor.number if record.successor else ""
    return gettext(texts[PlanEnd(how)]) % {"number": record.number, "successor": successor}


_ENDS = {
    PlanEnd.APPLIED: gettext_noop("Import %(number)s was applied as import %(successor)s."),
    PlanEnd.REPLACED: gettext_noop("Import %(number)s was replaced by import %(successor)s."),
    PlanEnd.DISCARDED: gettext_noop("Import %(number)s was discarded."),
    PlanEnd.EXPIRED: gettext_noop("Import %(number)s has expired. Make its plan again."),
}
_ENDS_UNKNOWN = {
    PlanEnd.APPLIED: gettext_noop("Import %(number)s was applied as another import."),
    PlanEnd.REPLACED: gettext_noop("Import %(number)s was replaced by another import."),
}


def raise_if_ended(record: models.Import, at: datetime) -> None:
    """Raise PlanEnded if the plan of the import has ended."""
    how = get_end(record, at)
    if how:
        raise PlanEnded(record, how)


def has_ended_since(record: models.Import) -> bool:
    """Return whether the plan that this import applies has ended in the meantime. The caller holds the agency's lock."""
    applies = record.origin_id is not None and not record.options["preview"]
    return applies and not _select_origin(record).exists()


def end_by(record: models.Import) -> None:
    """End the plans that this concluded import takes the place of, in the transaction that writes its result."""
    at = record.finished_at
    if record.state == "applied":
        _end(_select_origin(record), PlanEnd.APPLIED, at, record)
        same = [one.pk for one in _select_held(record) if one.file_sha256 == record.file_sha256]
        _end(_select_open().filter(pk__in=same), PlanEnd.APPLIED, at, record)
    elif shows_plan(record):
        _end(_select_origin(record), PlanEnd.REPLACED, at, record)
    if record.state == "held":
        older = [one.pk for one in _select_held(record)]
        _end(_select_open().filter(pk__in=older), PlanEnd.REPLACED, at, record)
    if record.feed_id and (record.state == "applied" or shows_plan(record)):
        _end(_select_of_feed(record), PlanEnd.REPLACED, at, record)
    if is_of_watch(record) and (record.state == "applied" or shows_plan(record)):
        _end(_select_of_watch(record), PlanEnd.REPLACED, at, record)


def is_of_watch(record: models.Import) -> bool:
    """Return whether `muster watch` found the import's file."""
    return record.through == "cli" and (record.idempotency_key or "").startswith(WATCH_KEY)


def _select_of_watch(record: models.Import) -> "QuerySet[models.Import]":
    """Return the open plans of earlier files of the same watched folder, as a query set (as `_select_of_feed`)."""
    start = str(record.idempotency_key).rpartition(":")[0]
    return _select_open().filter(
        agency=record.agency_id, through="cli", idempotency_key__startswith=f"{start}:", pk__lt=record.pk
    )


def _select_of_feed(record: models.Import) -> "QuerySet[models.Import]":
    """Return the open plans of earlier files of the feed that the import's file arrived by, as a query set.

    A user who confirms one of them would bring back what the newer file has changed. A plan of an older file that is made
    again ends no plan of a newer one.
    """
    files = models.FeedFile.objects.filter(feed=record.feed_id)
    own = files.filter(of__in=[record.pk, record.origin_id or record.pk]).order_by("-pk").first()
    earlier = _select_open().filter(agency=record.agency_id, feed=record.feed_id, pk__lt=record.pk)
    return earlier.exclude(Exists(files.filter(of=OuterRef("pk"), pk__gt=own.pk))) if own else earlier


def _select_open() -> "QuerySet[models.Import]":
    return models.Import.objects.filter(OPEN)


def _select_origin(record: models.Import) -> "QuerySet[models.Import]":
    """Return the open plan that this import applies or makes again, as a query set."""
    return _select_open().filter(pk__in=[record.origin_id] if record.origin_id else [])


def _select_held(record: models.Import) -> list[models.Import]:
    """Return the held imports of the same source and mode, or of the same import to undo, that came before."""
    if record.kind == ImportKind.BULK:
        return []
    held = _select_open().filter(
        agency=record.agency_id, kind=record.kind, mode=record.mode, undoes=record.undoes_id, state="held"
    )
    return [one for one in held.exclude(pk=record.pk) if _get_source(one) == _get_source(record)]


def _get_source(record: models.Import) -> str:
    return str(record.options.get("source", ""))


def _end(
    plans: "QuerySet[models.Import]", how: PlanEnd, at: datetime | None, successor: models.Import | None = None
) -> int:
    return plans.update(ended=how, ended_at=at, successor=successor)


def discard(record: models.Import, context: AuditContext) -> None:
    """Discard the plan of a preview or held import, and record this in the audit trail. Raise PlanEnded, NoPlan."""
    with locks.write_transaction(lambda: None):
        locks.lock_row(record.agency)
        record.refresh_from_db()
        if not shows_plan(record):
            raise NoPlan(record.number)
        raise_if_ended(record, context.at)
        _end(_select_open().filter(pk=record.pk), PlanEnd.DISCARDED, context.at)
        record.refresh_from_db()
        trail.record_event(record.agency, context, EventKind.IMPORT_DISCARDED, changes={"import": ("", record.number)})


def expire_due(at: datetime) -> int:
    """End the plans that nobody has applied for as long as their agency keeps them. Return their number.

    The agencies that keep plans for the same number of days share one statement. There may be thousands of them.
    """
    number = 0
    for days in models.Agency.objects.order_by("preview_days").values_list("preview_days", flat=True).distinct():
        old = _select_open().filter(
            finished_at__lt=at - timedelta(days=days), agency__preview_days=days, agency__paused_at=None
        )
        if old.exists():
            number += _end(old, PlanEnd.EXPIRED, at)
    return number
