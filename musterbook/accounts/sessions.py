"""Sessions: when one began and was last used, when it expires, how it ends, and the list of a user's sessions."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from allauth.account.internal.flows.logout import logout as sign_out
from allauth.account.internal.stagekit import clear_login
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from musterbook.accounts import kinds, registration, requests
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency

BEGAN, SEEN = "began", "seen"
"""The session keys of times, in seconds since 1970."""
IDLE, TOO_OLD, AGAIN, BY_USER = "out of use", "too old", "to sign in again", "by the user"
BY_ADMINISTRATOR, TOO_MANY = "by an administrator", "more sessions than are allowed"
"""The reasons why a session ended."""
_LEFT = "left"
"""The key for the user of an expired session, in the session that follows it."""
LEFT_LASTS = 30 * 60
_NOTES = 30
"""The most times that the use of a session is recorded within the idle time allowed."""


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


def begin(request: HttpRequest) -> None:
    """Record the beginning of the session of the user who has just signed in."""
    request.session.pop(_LEFT, None)
    request.session.set_expiry(settings.SESSION_COOKIE_AGE)
    request.session[BEGAN] = request.session[SEEN] = time.time()
    request.session[requests.SESSION] = secrets.token_hex(8)


def why_over(session: Mapping[str, Any], agency: Agency, now: float) -> str:
    """Return why the session has expired by that time, or ""."""
    if now - session.get(BEGAN, now) > settings.SESSION_COOKIE_AGE:
        return TOO_OLD
    return IDLE if now - session.get(SEEN, now) > agency.idle_minutes * 60 else ""


def use(request: HttpRequest) -> str:
    """Record that the session is in use, unless it has expired; return why it has, or ""."""
    now, agency = time.time(), requests.agency(request)
    over = why_over(request.session, agency, now)
    if over:
        return over
    request.session.setdefault(BEGAN, now)
    if now - request.session.get(SEEN, 0) >= agency.idle_minutes * 60 / _NOTES:
        request.session[SEEN] = now
        UserSession.objects.filter(session_key=request.session.session_key).update(
            last_seen_at=datetime.fromtimestamp(now, UTC)
        )
    return ""


def end_own(request: HttpRequest, why: str) -> None:
    """End the session of the requesting user, who has not signed out."""
    account: Account = request.user  # type: ignore[assignment]  # signed in
    _tell(account, requests.act(request), why)
    clear_login(request)
    logout(request)


FORGET = '"cache", "storage"'
"""The data that a browser deletes when a session ends (`Clear-Site-Data`). Cookies stay, because those of other
agencies are among them."""


def end_by_time(request: HttpRequest, why: str) -> None:
    """End the session of the requesting user because it has expired.

    The user's browser may still upload a file for some minutes.
    """
    account: Account = request.user  # type: ignore[assignment]  # signed in
    end_own(request, why)
    request.session[_LEFT] = {"account": account.pk, "hash": account.get_session_auth_hash(), "at": time.time()}


def left_by(request: HttpRequest) -> Account | None:
    """Return the account whose session in this browser expired not long ago.

    Return None once the password or the access of its user has changed since.
    """
    left = request.session.get(_LEFT)
    if not left or time.time() - left["at"] > LEFT_LASTS:
        return None
    accounts = Account.objects.select_related("user__agency", "user__role")
    account = accounts.filter(pk=left["account"], user__active=True, user__agency=requests.agency(request)).first()
    same = account and constant_time_compare(account.get_session_auth_hash(), left["hash"])
    return account if same else None


def renew(request: HttpRequest) -> None:
    """Give the session a new key.

    Anyone who knew the old key has no access once the user has re-authenticated.
    """
    before = request.session.session_key
    request.session.cycle_key()
    UserSession.objects.filter(session_key=before).update(session_key=request.session.session_key)


def forget_old(at: datetime) -> None:
    """Delete expired sessions, and their addresses and programs."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    store.get_model_class().objects.filter(expire_date__lt=at).delete()
    begun = at - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    UserSession.objects.filter(created_at__lt=begun).delete()


def leave(request: HttpRequest) -> None:
    """Sign out the current user, because another sign-in is about to begin."""
    if request.user.is_authenticated:
        sign_out(request, show_message=False)


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


def end(account: Account, number: int, current: str, act: Act, why: str = BY_USER) -> None:
    """End another session of the account. Raise UnknownSession."""
    found = UserSession.objects.filter(user=account, pk=number).exclude(session_key=current).first()
    if found is None:
        raise UnknownSession(number)
    _end(account, found, act, why)


def end_others(account: Account, current: str, act: Act, why: str = BY_USER) -> int:
    """End all sessions of the account except that one, and return how many were in use."""
    others = [one for one in living(account, current, act.at.timestamp()) if not one.current]
    for one in others:
        end(account, one.number, current, act, why)
    return len(others)


def end_most(account: Account, current: str, act: Act) -> None:
    """End the sessions that exceed the agency's limit, the least recently used first."""
    others = [one for one in living(account, current, act.at.timestamp()) if not one.current]
    for one in others[account.user.agency.sessions_most - 1 :]:
        end(account, one.number, current, act, TOO_MANY)


def _end(account: Account, session: UserSession, act: Act, why: str) -> None:
    told = {"address": (session.ip, ""), "program": (session.user_agent[:255], "")}
    session.end()
    _tell(account, act, why, told)


def _tell(account: Account, act: Act, why: str, also: Mapping[str, tuple[str, str]] | None = None) -> None:
    told = {"why": ("", why), **(also or {})}
    of = act if why == BY_ADMINISTRATOR else registration.by(account.user, act)
    trail.tell(account.user.agency, of, kinds.SESSION_ENDED, account.user, told)
