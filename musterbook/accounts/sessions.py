"""Sessions: when one expires, how it ends, and the list of a user's sessions. `http.current_session` has those of a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings

from musterbook.accounts import registration
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency

BEGAN, SEEN = "began", "seen"
"""The session keys of times, in seconds since 1970."""
IDLE, TOO_OLD, AGAIN, BY_USER = "out of use", "too old", "to sign in again", "by the user"
BY_ADMINISTRATOR, TOO_MANY = "by an administrator", "more sessions than are allowed"
"""The reasons why a session ended."""


class UnknownSession(Exception):
    """The error for a number that no other session of the user has."""


@dataclass(frozen=True, slots=True)
class Living:
    """A session in use: its number, its beginning, its last use, and its address and program."""

    number: int
    began: datetime
    seen: datetime
    address: str
    program: str
    agent: str
    current: bool


def why_over(session: Mapping[str, Any], agency: Agency, now: float) -> str:
    """Return why the session has expired by that time, or ""."""
    if now - session.get(BEGAN, now) > settings.SESSION_COOKIE_AGE:
        return TOO_OLD
    return IDLE if now - session.get(SEEN, now) > agency.idle_minutes * 60 else ""


def forget_old(at: datetime) -> None:
    """Delete expired sessions, and their addresses and programs."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    store.get_model_class().objects.filter(expire_date__lt=at).delete()
    begun = at - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    UserSession.objects.filter(created_at__lt=begun).delete()


def living(account: Account, current: str, now: float) -> list[Living]:
    """Return the account's sessions in use, the latest first, and end the others.

    `current`: the session key of the request.
    """
    kept = []
    for session in UserSession.objects.purge_and_list(account):
        stored = _stored(session.session_key)
        if session.session_key != current and why_over(stored, account.user.agency, now):
            session.end()
        else:
            kept.append(_living(session, stored, current))
    return sorted(kept, key=lambda one: (one.current, one.seen), reverse=True)


def _stored(key: str) -> Mapping[str, Any]:
    told: Mapping[str, Any] = import_module(settings.SESSION_ENGINE).SessionStore(key).load()
    return told


def _living(session: UserSession, stored: Mapping[str, Any], current: str) -> Living:
    seen = stored.get(SEEN, session.last_seen_at.timestamp())
    return Living(
        session.pk,
        session.created_at,
        datetime.fromtimestamp(seen, UTC),
        session.ip,
        program(session.user_agent),
        session.user_agent,
        session.session_key == current,
    )


_PROGRAMS = (
    ("Edge", r"Edg(e|A|iOS)?/"), ("Opera", r"OPR/"), ("Firefox", r"Firefox/|FxiOS/"), ("Chrome", r"Chrom(e|ium)/|CriOS/"),
    ("Safari", r"Safari/"),
)  # fmt: skip
_SYSTEMS = (
    ("Windows", "Windows"), ("Android", "Android"), ("iOS", "iPhone|iPad"), ("macOS", "Mac OS X|Macintosh"),
    ("Linux", "Linux"),
)  # fmt: skip


def program(agent: str) -> str:
    """Return the usual name of the program with that user agent: “Firefox on Windows”."""
    named = [next((name for name, sign in kind if re.search(sign, agent)), "") for kind in (_PROGRAMS, _SYSTEMS)]
    return " on ".join(filter(None, named)) or agent[:60] or "unknown"


def end(account: Account, number: int, current: str, context: AuditContext, why: str = BY_USER) -> None:
    """End another session of the account. Raise UnknownSession."""
    found = UserSession.objects.filter(user=account, pk=number).exclude(session_key=current).first()
    if found is None:
        raise UnknownSession(number)
    _end(account, found, context, why)


def end_others(account: Account, current: str, context: AuditContext, why: str = BY_USER) -> int:
    """End all sessions of the account except that one, and return how many were in use."""
    others = [one for one in living(account, current, context.at.timestamp()) if not one.current]
    for one in others:
        end(account, one.number, current, context, why)
    return len(others)


def end_most(account: Account, current: str, context: AuditContext) -> None:
    """End the sessions that exceed the agency's limit, the least recently used first."""
    others = [one for one in living(account, current, context.at.timestamp()) if not one.current]
    for one in others[account.user.agency.sessions_most - 1 :]:
        end(account, one.number, current, context, TOO_MANY)


def _end(account: Account, session: UserSession, context: AuditContext, why: str) -> None:
    told = {"address": (session.ip, ""), "program": (session.user_agent[:255], "")}
    session.end()
    record_end(account, context, why, told)


def record_end(
    account: Account, context: AuditContext, why: str, also: Mapping[str, tuple[str, str]] | None = None
) -> None:
    """Record in the audit trail that a session of the account has ended, and why."""
    told = {"why": ("", why), **(also or {})}
    of = context if why == BY_ADMINISTRATOR else registration.by(account.user, context)
    trail.record_event(account.user.agency, of, EventKind.USER_SESSION_ENDED, account.user, told)
