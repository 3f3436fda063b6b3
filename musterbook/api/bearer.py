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
from musterbook.accounts.tokens import TokenRefused
from musterbook.api import problems
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.http import rate_limits, refusals, request_context

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
                return refuse_method(methods)
            token = _find_token(request)
            if not isinstance(token, Token):
                return token
            tokens.record_use(token, request_context.api_audit_context(request, token))
            if permission and permission not in tokens.get_permissions(token):
                return _refuse_lacking(request, token, permission)
            return view(request, token, *args, **kwargs)

        guarded.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie gives access here
        guarded.permission = permission  # type: ignore[attr-defined]  # for the tests that attack every address
        return guarded

    return guard


def _find_token(request: HttpRequest) -> Token | HttpResponseBase:
    """Return the token of the request.

    Return an error response if the request has no token, or one that gives no access.
    """
    secret = read_secret(request)
    if secret is None:
        return refuse_missing(request, f"Send a token of this agency {HEADER} {_WHO_CREATES}")
    try:
        return tokens.check_secret(request_context.agency(request), secret, datetime.now(UTC))
    except TokenRefused as refused:
        return refuse_token(request, refused, _WHO_CREATES_ANOTHER)


HEADER = "in the header “Authorization: Bearer …”."
_WHO_CREATES = "A user who manages API access creates one."
_WHO_CREATES_ANOTHER = "A user who manages API access creates a new one."


def read_secret(request: HttpRequest) -> str | None:
    """Return the token that the request has in its header, or None if it has none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def refuse_missing(request: HttpRequest, detail: str) -> HttpResponseBase:
    """Return the response to a request without a token."""
    return _refuse_unknown(request, detail)


def refuse_token(request: HttpRequest, refused: TokenRefused, remedy: str) -> HttpResponseBase:
    """Return the response to a token that gives no access, and record it in the audit trail.

    Only wrong tokens count: no one can block a valid token by sending wrong ones from the same address.
    """
    if not rate_limits.take(request, "refused token"):
        refusals.record_refusal(request, rate_limits.WHY)
        detail = "This address has sent too many wrong tokens. Wait five minutes."
        return problems.make_problem(
            HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(limits.get_wait_seconds("refused token"))}
        )
    context = request_context.api_audit_context(request, refused.token)
    tokens.record_refusal(request_context.agency(request), refused.token, context, str(refused))
    return _refuse_unknown(request, f"{refused} {remedy}", "invalid_token")


def _refuse_unknown(request: HttpRequest, detail: str, error: str = "") -> HttpResponseBase:
    challenge = f'Bearer realm="{request_context.agency(request).slug}"' + (f', error="{error}"' if error else "")
    return problems.make_problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})


def _refuse_lacking(request: HttpRequest, token: Token, permission: str) -> HttpResponseBase:
    changes = {"asked": ("", f"{request.method} {request.path_info}"[:255]), "lacking": ("", permission)}
    context = request_context.api_audit_context(request, token)
    trail.record_event(token.agency, context, EventKind.ACT_REFUSED, None, changes, outcome=REFUSED)
    detail = f"The token lacks {permission}: it was created without it, or its creator has lost it."
    challenge = f'Bearer realm="{token.agency.slug}", error="insufficient_scope", scope="{permission}"'
    return problems.make_problem(HTTPStatus.FORBIDDEN, detail, {"WWW-Authenticate": challenge})


def refuse_method(methods: tuple[str, ...]) -> HttpResponseBase:
    """Return the response to a method that the address does not accept."""
    allowed = ", ".join(methods)
    return problems.make_problem(
        HTTPStatus.METHOD_NOT_ALLOWED, f"This address accepts only {allowed}.", {"Allow": allowed}
    )
