"""Events of unauthenticated clients, recorded so that they cannot flood the audit trail.

The first event of a kind, from one address within one minute, is recorded at once. Repetitions within that minute are
only counted, and one more event records their number when the minute is over. If many addresses together cause too many
events of one agency, all of them count as one address. Actions of a signed-in user are never counted together.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from django.db import connection, transaction

from musterbook.accounts import limits
from musterbook.accounts.models import Repeated
from musterbook.config import counters, log_lines, logs
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import FAILED, KINDS, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import frames, looks

MANY = "many addresses"
"""The place in the event, if it came from too many addresses to distinguish."""
_MINUTE, _LATE = 60, 5
"""Seconds within which events count together, and after which a count no longer grows, because machine clocks
differ."""

_TABLE = frames.table(Repeated)
_COLUMNS = ("key", "agency_id", "kind", "outcome", "subject_id", "through", "place", "why", "since")
_REPEAT = f"UPDATE {_TABLE} SET count = count + 1 WHERE key = %s RETURNING count"
_COUNT = f"""
INSERT INTO {_TABLE} ({", ".join(_COLUMNS)}, count) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1)
ON CONFLICT (key) DO UPDATE SET count = {_TABLE}.count + 1 RETURNING count
"""


def record_event(
    agency: Agency,
    context: AuditContext,
    kind: EventKind,
    subject: User | None = None,
    changes: Mapping[str, tuple[str, str]] | None = None,
    *,
    outcome: str = FAILED,
) -> None:
    """Record an event as `trail.record_event` does, but count repetitions of unauthenticated clients.

    For them, only the first event of its kind, address, user and minute is recorded. `changes`: the `why` in it, if
    there is one, also distinguishes events, so it must be a constant of the program.
    """
    _log_event(agency, context, kind, subject)
    _record_or_count(agency, context, kind, subject, changes, outcome)


def _record_or_count(
    agency: Agency,
    context: AuditContext,
    kind: EventKind,
    subject: User | None,
    changes: Mapping[str, tuple[str, str]] | None,
    outcome: str,
) -> None:
    why = (changes or {}).get("why", ("", ""))[1]
    with transaction.atomic():
        if context.actor or _is_first(agency, context, {"kind": kind, "outcome": outcome, "why": why}, subject):
            trail.record_event(agency, context, kind, subject, changes, outcome=outcome)


def record_each_event(
    agency: Agency,
    context: AuditContext,
    kind: EventKind,
    subject: User | None,
    changes: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Record an event of an unauthenticated client as it is; only count it if there are too many.

    Use this for actions that are already limited by address. It takes the same time whether or not the user exists, so
    the time does not reveal it. Call it outside a transaction.
    """
    _log_event(agency, context, kind, subject)
    if context.actor or limits.take("event", str(agency.pk), context.at):
        trail.record_event(agency, context, kind, subject, changes, outcome=FAILED)
    else:
        _record_or_count(agency, context, kind, None, changes, FAILED)


def _log_event(agency: Agency, context: AuditContext, kind: EventKind, subject: User | None) -> None:
    if kind == EventKind.USER_SIGN_IN_FAILED:
        log_failed_sign_in(agency, context, subject)


def log_failed_sign_in(agency: Agency, context: AuditContext, user: User | None) -> None:
    """Write a failed sign-in to the log. It has the user, but not the typed name, which may be a password."""
    counters.count_sign_in("failed")
    who, address = ascii(user.external_id) if user else "nobody known", log_lines.quote_address(context.address)
    logs.SECURITY.warning("Failed sign-in to %s as %s from %s", agency.slug, who, address)


def _is_first(agency: Agency, context: AuditContext, facts: dict[str, str], subject: User | None) -> bool:
    row = _make_row(agency, context, facts, subject, limits.normalize_address(context.address))
    if _execute(_REPEAT, [row["key"]]):
        return False
    if not limits.take("event", str(agency.pk), context.at):
        row = _make_row(agency, context, facts, None, MANY)
    return _execute(_COUNT, [row[name] for name in _COLUMNS]) == 1


def _make_row(
    agency: Agency, context: AuditContext, facts: dict[str, str], subject: User | None, place: str
) -> dict[str, str | int | None]:
    since = int(context.at.timestamp()) // _MINUTE * _MINUTE
    row: dict[str, str | int | None] = {
        "agency_id": agency.pk, "subject_id": subject.pk if subject else None, "through": context.through, "place": place,
        "since": since, **facts,
    }  # fmt: skip
    text = "\x1f".join(str(row[name]) for name in _COLUMNS if name != "key")
    return row | {"key": hashlib.sha256(text.encode()).hexdigest()}


def _execute(sql: str, values: list[str | int | None]) -> int:
    """Return the count from the statement, or 0 if it found no row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        result = cursor.fetchone()
    return int(result[0]) if result else 0


def record_repetitions(at: datetime) -> int:
    """Record how often events were repeated, for each minute that is over; return the number of these records."""
    if not looks.has_any(Repeated, "TRUE"):
        return 0
    over = Repeated.objects.filter(since__lte=int(at.timestamp()) - _MINUTE - _LATE, agency__paused_at=None)
    return sum(_record_repeated(repeated, at) for repeated in over.select_related("agency", "subject").iterator())


def _record_repeated(repeated: Repeated, at: datetime) -> bool:
    with transaction.atomic():
        deleted, _ = Repeated.objects.filter(pk=repeated.pk).delete()
        more = repeated.count - 1
        if not deleted or not more:
            return False
        context = AuditContext(at, "", repeated.through, repeated.place)
        since = datetime.fromtimestamp(repeated.since, UTC).isoformat(timespec="minutes")
        changes = {"more of the same": ("", str(more)), "in the minute": ("", since)}
        also = {"why": ("", repeated.why)} if repeated.why else {}
        trail.record_event(
            repeated.agency, context, KINDS[repeated.kind], repeated.subject, changes | also, outcome=repeated.outcome
        )
    return True
