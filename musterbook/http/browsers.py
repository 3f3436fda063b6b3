"""Known browsers: those in which a user has signed in before.

A known browser holds a signed cookie for one agency. Failures elsewhere do not lock a user out of it, and its own
failures lock only this browser (`lockout`). The cookie names no user. It holds the random id of the browser, and a mark
for each of the last users who signed in there. A mark cannot be forged without the secret key. It is worthless after a
new password, or once access has ended.
"""

import secrets

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

from musterbook.accounts import lockout
from musterbook.accounts.models import Account
from musterbook.http import request_context

COOKIE_LIFETIME = 180 * 24 * 60 * 60
"""Seconds for which a browser stays known after a sign-in."""
_USERS = 20
"""The number of users for which one browser is known: a shift shares a computer."""


def find_browser(request: HttpRequest, account: Account | None) -> str:
    """Return the id of the browser if the account has signed in there before, or ""."""
    browser, marks = _read_cookie(request)
    mark = _make_mark(account, browser)
    matches = [constant_time_compare(mark, other) for other in marks]
    return browser if account and any(matches) else ""


def find_any_browser(request: HttpRequest) -> str:
    """Return the id of the browser if any user of the agency has signed in there before, or ""."""
    return _read_cookie(request)[0] if getattr(request, "agency", None) else ""


def find_place(request: HttpRequest, account: Account | None) -> str:
    """Return the place that a request comes from, as locks count it for the account."""
    return lockout.make_place(request_context.audit_context(request).address, find_browser(request, account))


def remember(request: HttpRequest, response: HttpResponseBase, account: Account) -> None:
    """Make the browser known for the account, which has just signed in."""
    browser, marks = _read_cookie(request)
    browser = browser or secrets.token_hex(8)
    mark = _make_mark(account, browser)
    marks = [mark, *(other for other in marks if other != mark)][:_USERS]
    response.set_cookie(
        settings.BROWSER_COOKIE_NAME, _make_signer(request).sign(".".join([browser, *marks])), max_age=COOKIE_LIFETIME,
        httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax",
    )  # fmt: skip


def _read_cookie(request: HttpRequest) -> tuple[str, list[str]]:
    """Return the id of the browser and its marks.

    Return an empty id and no marks if the cookie is not ours, or too old.
    """
    try:
        value = _make_signer(request).unsign(
            request.COOKIES.get(settings.BROWSER_COOKIE_NAME, ""), max_age=COOKIE_LIFETIME
        )
    except BadSignature:
        return "", []
    browser, *marks = value.split(".")
    return browser, marks


def _make_signer(request: HttpRequest) -> TimestampSigner:
    return TimestampSigner(salt=f"musterbook.accounts.browsers.{request_context.agency(request).pk}")


def _make_mark(account: Account | None, browser: str) -> str:
    text = f"{browser}|{account.pk}|{account.get_session_auth_hash()}" if account else browser
    return salted_hmac("musterbook.accounts.browsers", text, algorithm="sha256").hexdigest()[:24]
