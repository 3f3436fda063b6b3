"""Sign-ins at a provider that a browser has begun, stored in that browser in a sealed cookie.

So an unauthenticated client writes nothing to the database. Each sign-in is valid for ten minutes, in this browser, for
this agency and provider. `accounts.sign_on_attempts.spend` ensures that it is used once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from musterbook.accounts import sign_on_attempts
from musterbook.accounts.sign_on_attempts import SignOnAttempt
from musterbook.config import encryption
from musterbook.http import request_context

_ANSWER_LASTS = 120
"""Seconds within which the browser must present the signed answer of the provider."""
_MOST = 4
"""The most sign-ins that a browser may have begun at once, in several tabs."""
_LONGEST = 3_600
"""The most characters of a cookie: browsers keep no more than 4,096 with its name."""


def store_attempt(request: HttpRequest, response: HttpResponseBase, attempt: SignOnAttempt) -> None:
    """Store the sign-in that begins in the browser."""
    attempts = [*_list_attempts(request), attempt][-_MOST:]
    while (
        len(sealed := _seal(request, "asked", [asdict(entry) for entry in attempts])) > _LONGEST and len(attempts) > 1
    ):
        attempts = attempts[1:]
    _set_cookie(response, settings.SIGN_ON_COOKIE_NAME, sealed, sign_on_attempts.LIFETIME)


def find_attempt(request: HttpRequest, slug: str, state: str) -> SignOnAttempt | None:
    """Return the sign-in with that state that this browser has begun at the provider.

    Return None if there is none, or if it is too old.
    """
    return next((entry for entry in _list_attempts(request) if entry.slug == slug and entry.state == state), None)


def drop_attempt(request: HttpRequest, response: HttpResponseBase, state: str) -> None:
    """Delete the sign-in with that state from the browser."""
    attempts = [entry for entry in _list_attempts(request) if entry.state != state]
    if attempts:
        _set_cookie(
            response,
            settings.SIGN_ON_COOKIE_NAME,
            _seal(request, "asked", [asdict(entry) for entry in attempts]),
            sign_on_attempts.LIFETIME,
        )
    elif settings.SIGN_ON_COOKIE_NAME in request.COOKIES:
        _delete_cookie(response, settings.SIGN_ON_COOKIE_NAME)


def store_answer(request: HttpRequest, response: HttpResponseBase, slug: str, answer: Any) -> None:
    """Store in the browser what a provider has signed, so that the browser presents it again.

    Browsers do not send the other cookies with a form from another site.
    """
    values = [slug, request_context.audit_context(request).at.timestamp(), answer]
    _set_cookie(response, settings.SIGN_ON_ANSWER_COOKIE_NAME, _seal(request, "answer", values), _ANSWER_LASTS)


def read_answer(request: HttpRequest, slug: str) -> Any:
    """Return the signed answer of the provider that the browser presents.

    Return None if there is none, or if it is too old.
    """
    values = _unseal(request, "answer", settings.SIGN_ON_ANSWER_COOKIE_NAME)
    if not values or values[0] != slug or not _is_young(request, values[1], _ANSWER_LASTS):
        return None
    return values[2]


def drop_answer(response: HttpResponseBase) -> None:
    """Delete the answer from the browser."""
    _delete_cookie(response, settings.SIGN_ON_ANSWER_COOKIE_NAME)


def _list_attempts(request: HttpRequest) -> list[SignOnAttempt]:
    entries = _unseal(request, "asked", settings.SIGN_ON_COOKIE_NAME) or []
    names = {item.name for item in fields(SignOnAttempt)}
    attempts = [SignOnAttempt(**item) for item in entries if set(item) == names]
    return [item for item in attempts if _is_young(request, item.at, sign_on_attempts.LIFETIME)]


def _is_young(request: HttpRequest, at: float, lifetime: int) -> bool:
    return 0 <= request_context.audit_context(request).at.timestamp() - at <= lifetime


def _seal(request: HttpRequest, purpose: str, values: Sequence[Any]) -> str:
    scope = [f"sign-on {purpose}", request_context.agency(request).pk]
    return encryption.seal(json.dumps([*scope, values], separators=(",", ":")))


def _unseal(request: HttpRequest, purpose: str, name: str) -> Any:
    try:
        label, agency, values = json.loads(encryption.unseal(request.COOKIES.get(name, ""), stored=False))
    except (InvalidToken, ValueError, TypeError):
        return None
    return values if (label, agency) == (f"sign-on {purpose}", request_context.agency(request).pk) else None


def _set_cookie(response: HttpResponseBase, name: str, value: str, lifetime: int) -> None:
    response.set_cookie(
        name, value, max_age=lifetime, httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
    )


def _delete_cookie(response: HttpResponseBase, name: str) -> None:
    forget: Callable[..., None] = response.delete_cookie
    forget(name, samesite="Lax")
