"""The authentication of programs by token (RFC 6750).

Cookies are ignored here, so no page of another site can send a request in a user's name.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponseBase

from musterbook.accounts import limits, tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import Refused
from musterbook.api import problems
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.http import incoming, rate_limits, refusals

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Token, P], HttpResponseBase]
Guarded = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def needs(permission: str, *methods: str) -> Callable[[View[P]], Guarded[P]]:
    """Pass the token of the request to the view, if the token has the permission.

    `permission`: "" if none is needed. `methods`: the HTTP methods that the view accepts.
    """

    def guard(view: View[P]) -> Guarded[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method not in methods:
                return _other_method(methods)
            token = _token(request)
            if not isinstance(token, Token):
                return token
            tokens.used(token, incoming.api_audit_context(request, token))
            if permission and permission not in tokens.may(token):
                return _lacks(request, token, permission)
            return view(request, token, *args, **kwargs)

        guarded.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie gives access here
        guarded.permission = permission  # type: ignore[attr-defined]  # for the tests that attack every address
        return guarded

    return guard


def _token(request: HttpRequest) -> Token | HttpResponseBase:
    """Return the token of the request.

    Return an error response if the request has no token, or one that gives no access.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        said = "Send a token of this agency in the header “Authorization: Bearer …”. A user who manages API access creates one."
        return _unauthorized(request, said)
    try:
        return tokens.check(incoming.agency(request), secret.strip(), datetime.now(UTC))
    except Refused as refused:
        return _refuse(request, refused)


def _refuse(request: HttpRequest, refused: Refused) -> HttpResponseBase:
    # Only wrong tokens count: no one can block a valid token by sending wrong ones from the same address.
    if not rate_limits.take(request, "refused token"):
        refusals.refuse(request, rate_limits.WHY)
        said = "This address has sent too many wrong tokens. Wait five minutes."
        return problems.answer(HTTPStatus.TOO_MANY_REQUESTS, said, {"Retry-After": str(limits.wait("refused token"))})
    context = incoming.api_audit_context(request, refused.token)
    tokens.refused(incoming.agency(request), refused.token, context, str(refused))
    return _unauthorized(request, f"{refused} A user who manages API access creates a new one.", "invalid_token")


def _unauthorized(request: HttpRequest, said: str, error: str = "") -> HttpResponseBase:
    asked = f'Bearer realm="{incoming.agency(request).slug}"' + (f', error="{error}"' if error else "")
    return problems.answer(HTTPStatus.UNAUTHORIZED, said, {"WWW-Authenticate": asked})


def _lacks(request: HttpRequest, token: Token, permission: str) -> HttpResponseBase:
    asked = {"asked": ("", f"{request.method} {request.path_info}"[:255]), "lacking": ("", permission)}
    context = incoming.api_audit_context(request, token)
    trail.record_event(token.agency, context, EventKind.ACT_REFUSED, None, asked, outcome=REFUSED)
    said = f"The token lacks {permission}: it was created without it, or its creator has lost it."
    asks = f'Bearer realm="{token.agency.slug}", error="insufficient_scope", scope="{permission}"'
    return problems.answer(HTTPStatus.FORBIDDEN, said, {"WWW-Authenticate": asks})


def _other_method(methods: tuple[str, ...]) -> HttpResponseBase:
    allowed = ", ".join(methods)
    return problems.answer(HTTPStatus.METHOD_NOT_ALLOWED, f"This address accepts only {allowed}.", {"Allow": allowed})
