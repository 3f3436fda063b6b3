"""The session of a request: its beginning, its use, its end by time, and the account that it left behind."""

import secrets
import time

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from musterbook.accounts.account import load_account
from musterbook.accounts.allauth_internals import clear_login
from musterbook.accounts.allauth_internals import logout as sign_out
from musterbook.accounts.models import Account
from musterbook.accounts.sessions import BEGAN, SEEN, change_key, find_end_reason, record_end, record_use
from musterbook.http import request_context

_LEFT = "left"
"""The key for the user of an expired session, in the session that follows it."""
LEFT_LIFETIME = 30 * 60
_NOTES = 30
"""The most times that the use of a session is recorded within the idle time allowed."""

FORGET = '"cache", "storage"'
"""The data that a browser deletes when a session ends (`Clear-Site-Data`). Cookies stay, because those of other
agencies are among them."""


def begin(request: HttpRequest) -> None:
    """Record the beginning of the session of the user who has just signed in."""
    request.session.pop(_LEFT, None)
    request.session.set_expiry(settings.SESSION_COOKIE_AGE)
    request.session[BEGAN] = request.session[SEEN] = time.time()
    request.session[request_context.SESSION] = secrets.token_hex(8)


def use(request: HttpRequest) -> str:
    """Record that the session is in use, unless it has expired; return why it has, or ""."""
    now, agency = time.time(), request_context.agency(request)
    over = find_end_reason(request.session, agency, now)
    if over:
        return over
    request.session.setdefault(BEGAN, now)
    if now - request.session.get(SEEN, 0) >= agency.idle_minutes * 60 / _NOTES:
        request.session[SEEN] = now
        record_use(request.session.session_key, now)
    return ""


def end_own(request: HttpRequest, why: str) -> None:
    """End the session of the requesting user, who has not signed out."""
    account: Account = request.user  # type: ignore[assignment]  # signed in
    record_end(account, request_context.audit_context(request), why)
    clear_login(request)
    logout(request)


def end_by_time(request: HttpRequest, why: str) -> None:
    """End the session of the requesting user because it has expired.

    The user's browser may still upload a file for some minutes.
    """
    account: Account = request.user  # type: ignore[assignment]  # signed in
    end_own(request, why)
    request.session[_LEFT] = {"account": account.pk, "hash": account.get_session_auth_hash(), "at": time.time()}


def find_left_account(request: HttpRequest) -> Account | None:
    """Return the account whose session in this browser expired not long ago.

    Return None once the password or the access of its user has changed since.
    """
    entry = request.session.get(_LEFT)
    if not entry or time.time() - entry["at"] > LEFT_LIFETIME:
        return None
    account = load_account(entry["account"])
    if account is None or not account.user.active or account.user.agency != request_context.agency(request):
        return None
    return account if constant_time_compare(account.get_session_auth_hash(), entry["hash"]) else None


def renew(request: HttpRequest) -> None:
    """Give the session a new key.

    Anyone who knew the old key has no access once the user has re-authenticated.
    """
    before = request.session.session_key
    request.session.cycle_key()
    change_key(before, request.session.session_key)


def leave(request: HttpRequest) -> None:
    """Sign out the current user, because another sign-in is about to begin."""
    if request.user.is_authenticated:
        sign_out(request, show_message=False)
