"""Sessions: when one expires, how it ends, and the list of a user's sessions. `http.current_session` has those of a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.utils.translation import gettext as _

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
class ActiveSession:
    """A session in use: its number, its beginning, its last use, and its address and program."""

    number: int
    began: datetime
    seen: datetime
    address: str
    program: str
    agent: str
    current: bool


def find_end_reason(session: Mapping[str, Any], agency: Agency, now: float) -> str:
    """Return why the session has expired by that time, or "".

    A time as far in the future is one of a clock that was set back. The session must not last until then.
    """
    if abs(now - session.get(BEGAN, now)) > settings.SESSION_COOKIE_AGE:
        return TOO_OLD
    return IDLE if abs(now - session.get(SEEN, now)) > agency.idle_minutes * 60 else ""


def record_use(key: str | None, now: float) -> None:
    """Record in the list of sessions that the session with that key is in use."""
    UserSession.objects.filter(session_key=key).update(last_seen_at=datetime.fromtimestamp(now, UTC))


def change_key(before: str | None, after: str | None) -> None:
    """Record in the list of sessions that a session has another key."""
    UserSession.objects.filter(session_key=before).update(session_key=after)


def forget_old(at: datetime) -> None:
    """Delete expired sessions, and their addresses and programs."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    store.get_model_class().objects.filter(expire_date__lt=at).delete()
    oldest = at - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    UserSession.objects.filter(created_at__lt=oldest).delete()


def list_active(account: Account, current: str, now: float) -> list[ActiveSession]:
    """Return the account's sessions in use, the latest first, and end the others.

    `current`: the session key of the request.
    """
    active = []
    for session in UserSession.objects.purge_and_list(account):
        stored = _load_data(session.session_key)
        if session.session_key != current and find_end_reason(stored, account.user.agency, now):
            session.end()
        else:
            active.append(_build_session(session, stored, current))
    return sorted(active, key=lambda one: (one.current, one.seen), reverse=True)


def _load_data(key: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = import_module(settings.SESSION_ENGINE).SessionStore(key).load()
    return data


def _build_session(session: UserSession, stored: Mapping[str, Any], current: str) -> ActiveSession:
    last_use = stored.get(SEEN, session.last_seen_at.timestamp())
    return ActiveSession(
        session.pk,
        session.created_at,
        datetime.fromtimestamp(last_use, UTC),
        session.ip,
        describe_program(session.user_agent),
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


def describe_program(agent: str) -> str:
    """Return the usual name of the program with that user agent: “Firefox on Windows”."""
    names = [next((name for name, pattern in kind if re.search(pattern, agent)), "") for kind in (_PROGRAMS, _SYSTEMS)]
    program, system = names
    if program and system:
        return _("%(program)s on %(system)s") % {"program": program, "system": system}
    return program or system or agent[:60] or _("unknown")


def end_session(account: Account, number: int, current: str, context: AuditContext, why: str = BY_USER) -> None:
    """End another session of the account. Raise UnknownSession."""
    session = UserSession.objects.filter(user=account, pk=number).exclude(session_key=current).first()
    if session is None:
        raise UnknownSession(number)
    _end_and_record(account, session, context, why)


def end_others(account: Account, current: str, context: AuditContext, why: str = BY_USER) -> int:
    """End all sessions of the account except that one, and return how many were in use."""
    others = [session for session in list_active(account, current, context.at.timestamp()) if not session.current]
    for session in others:
        end_session(account, session.number, current, context, why)
    return len(others)


def end_excess(account: Account, current: str, context: AuditContext) -> None:
    """End the sessions that exceed the agency's limit, the least recently used first."""
    others = [session for session in list_active(account, current, context.at.timestamp()) if not session.current]
    for session in others[account.user.agency.sessions_most - 1 :]:
        end_session(account, session.number, current, context, TOO_MANY)


def _end_and_record(account: Account, session: UserSession, context: AuditContext, why: str) -> None:
    changes = {"address": (session.ip, ""), "program": (session.user_agent[:255], "")}
    session.end()
    record_end(account, context, why, changes)


def record_end(
    account: Account, context: AuditContext, why: str, also: Mapping[str, tuple[str, str]] | None = None
) -> None:
    """Record in the audit trail that a session of the account has ended, and why."""
    changes = {"why": ("", why), **(also or {})}
    actor_context = context if why == BY_ADMINISTRATOR else registration.with_actor(account.user, context)
    trail.record_event(account.user.agency, actor_context, EventKind.USER_SESSION_ENDED, account.user, changes)
