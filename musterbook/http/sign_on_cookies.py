"""Sign-ins at a provider that a browser has begun, stored in that browser in a sealed cookie.

So an unauthenticated client writes nothing to the database. Each sign-in is valid for ten minutes, in this browser, for
this agency and provider. `accounts.asked.spend` ensures that it is used once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from musterbook.accounts import asked as begun
from musterbook.accounts.asked import Asked
from musterbook.config import encryption
from musterbook.http import incoming

_ANSWER_LASTS = 120
"""Seconds within which the browser must present the signed answer of the provider."""
_MOST = 4
"""The most sign-ins that a browser may have begun at once, in several tabs."""
_LONGEST = 3_600
"""The most characters of a cookie: browsers keep no more than 4,096 with its name."""


def keep(request: HttpRequest, response: HttpResponseBase, asked: Asked) -> None:
    """Store the sign-in that begins in the browser."""
    kept = [*_all(request), asked][-_MOST:]
    while len(sealed := _sealed(request, "asked", [asdict(one) for one in kept])) > _LONGEST and len(kept) > 1:
        kept = kept[1:]
    _set(response, settings.SIGN_ON_COOKIE_NAME, sealed, begun.LASTS)


def find(request: HttpRequest, slug: str, state: str) -> Asked | None:
    """Return the sign-in with that state that this browser has begun at the provider.

    Return None if there is none, or if it is too old.
    """
    return next((one for one in _all(request) if one.slug == slug and one.state == state), None)


def drop(request: HttpRequest, response: HttpResponseBase, state: str) -> None:
    """Delete the sign-in with that state from the browser."""
    kept = [one for one in _all(request) if one.state != state]
    if kept:
        _set(
            response,
            settings.SIGN_ON_COOKIE_NAME,
            _sealed(request, "asked", [asdict(one) for one in kept]),
            begun.LASTS,
        )
    elif settings.SIGN_ON_COOKIE_NAME in request.COOKIES:
        _forget(response, settings.SIGN_ON_COOKIE_NAME)


def keep_answer(request: HttpRequest, response: HttpResponseBase, slug: str, answer: Any) -> None:
    """Store in the browser what a provider has signed, so that the browser presents it again.

    Browsers do not send the other cookies with a form from another site.
    """
    told = [slug, incoming.audit_context(request).at.timestamp(), answer]
    _set(response, settings.SIGN_ON_ANSWER_COOKIE_NAME, _sealed(request, "answer", told), _ANSWER_LASTS)


def answer(request: HttpRequest, slug: str) -> Any:
    """Return the signed answer of the provider that the browser presents.

    Return None if there is none, or if it is too old.
    """
    told = _opened(request, "answer", settings.SIGN_ON_ANSWER_COOKIE_NAME)
    if not told or told[0] != slug or not _is_young(request, told[1], _ANSWER_LASTS):
        return None
    return told[2]


def drop_answer(response: HttpResponseBase) -> None:
    """Delete the answer from the browser."""
    _forget(response, settings.SIGN_ON_ANSWER_COOKIE_NAME)


def _all(request: HttpRequest) -> list[Asked]:
    told = _opened(request, "asked", settings.SIGN_ON_COOKIE_NAME) or []
    names = {one.name for one in fields(Asked)}
    found = [Asked(**one) for one in told if set(one) == names]
    return [one for one in found if _is_young(request, one.at, begun.LASTS)]


def _is_young(request: HttpRequest, at: float, lasts: int) -> bool:
    return 0 <= incoming.audit_context(request).at.timestamp() - at <= lasts


def _sealed(request: HttpRequest, purpose: str, told: Sequence[Any]) -> str:
    whose = [f"sign-on {purpose}", incoming.agency(request).pk]
    return encryption.seal(json.dumps([*whose, told], separators=(",", ":")))


def _opened(request: HttpRequest, purpose: str, name: str) -> Any:
    try:
        kept, agency, told = json.loads(encryption.unseal(request.COOKIES.get(name, ""), stored=False))
    except (InvalidToken, ValueError, TypeError):
        return None
    return told if (kept, agency) == (f"sign-on {purpose}", incoming.agency(request).pk) else None


def _set(response: HttpResponseBase, name: str, value: str, lasts: int) -> None:
    response.set_cookie(
        name, value, max_age=lasts, httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
    )


def _forget(response: HttpResponseBase, name: str) -> None:
    forget: Callable[..., None] = response.delete_cookie
    forget(name, samesite="Lax")
