"""The authentication of programs by token (RFC 6750), for every interface for programs.

Cookies are ignored there, so no page of another site can send a request in a user's name.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from musterbook.accounts import limits, token_limits, tokens
from musterbook.accounts.models import Token
from musterbook.accounts.token_limits import Standing
from musterbook.accounts.tokens import TokenRefused
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.http import rate_limits, refusals, request_context

HEADER = "in the header “Authorization: Bearer …”."
_WHO_CREATES = "A user who manages API access creates one."
_WHO_CREATES_ANOTHER = "A user who manages API access creates a new one."


class AccessRefused(Exception):
    """The error for a request that a token does not open. The message is a sentence for the program that sent it.

    `status` and `headers`: those of the response.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str]) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers


def authenticate(request: HttpRequest, permission: str) -> Token:
    """Return the token of the request, and record its use. Raise AccessRefused; the audit trail has each refusal.

    `permission`: the permission that it needs; "" for none.
    """
    secret = read_secret(request)
    if secret is None:
        raise make_missing_refusal(request, f"Send a token of this agency {HEADER} {_WHO_CREATES}")
    try:
        address = request_context.audit_context(request).address
        token = tokens.check_secret(request_context.agency(request), secret, datetime.now(UTC), address)
    except TokenRefused as refused:
        raise make_refusal(request, refused, _WHO_CREATES_ANOTHER) from None
    request.token = token  # type: ignore[attr-defined]  # for the log of refused requests
    _limit(request, token)
    tokens.record_use(token, request_context.api_audit_context(request, token))
    require(request, token, permission)
    return token


def _limit(request: HttpRequest, token: Token) -> None:
    """Count the request. Raise AccessRefused if the token has sent too many. `add_limit_headers` tells it what is left."""
    standing = token_limits.take(token, datetime.now(UTC))
    request.token_standing = standing  # type: ignore[attr-defined]  # for `add_limit_headers`
    if not standing.allowed:
        refusals.record_refusal(request, rate_limits.WHY)
        detail = f"This token has sent too many requests. Wait {standing.seconds} seconds."
        raise AccessRefused(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(standing.seconds)})


def add_limit_headers(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Tell a program how many requests its token has left (the headers RateLimit of the IETF's HTTPAPI group)."""
    rate = limits.RATES[token_limits.RATE]
    policy = f'"{token_limits.RATE}";q={rate.most};w={int(rate.span.total_seconds())}'

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        standing: Standing | None = getattr(request, "token_standing", None)
        if standing is not None:
            response.headers["RateLimit-Policy"] = policy
            response.headers["RateLimit"] = f'"{token_limits.RATE}";r={standing.remaining};t={standing.seconds}'
        return response

    return answer


def require(request: HttpRequest, token: Token, permission: str) -> None:
    """Raise AccessRefused, and record it in the audit trail, if the token lacks the permission. "" is never lacking."""
    if not permission or permission in tokens.get_permissions(token):
        return
    changes = {"asked": ("", f"{request.method} {request.path_info}"[:255]), "lacking": ("", permission)}
    context = request_context.api_audit_context(request, token)
    trail.record_event(token.agency, context, EventKind.ACT_REFUSED, None, changes, outcome=REFUSED)
    detail = f"The token lacks {permission}: it was created without it, or its creator has lost it."
    challenge = f'Bearer realm="{token.agency.slug}", error="insufficient_scope", scope="{permission}"'
    raise AccessRefused(HTTPStatus.FORBIDDEN, detail, {"WWW-Authenticate": challenge})


def read_secret(request: HttpRequest) -> str | None:
    """Return the token that the request has in its header, or None if it has none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def make_missing_refusal(request: HttpRequest, detail: str) -> AccessRefused:
    """Return the error for a request without a token."""
    return _make_unknown(request, detail)


def make_refusal(request: HttpRequest, refused: TokenRefused, remedy: str) -> AccessRefused:
    """Return the error for a token that gives no access, and record it in the audit trail.

    Only wrong tokens count: no one can block a valid token by sending wrong ones from the same address.
    """
    if not rate_limits.take(request, "refused token"):
        refusals.record_refusal(request, rate_limits.WHY)
        detail = "This address has sent too many wrong tokens. Wait five minutes."
        wait = {"Retry-After": str(limits.get_wait_seconds("refused token"))}
        return AccessRefused(HTTPStatus.TOO_MANY_REQUESTS, detail, wait)
    context = request_context.api_audit_context(request, refused.token)
    tokens.record_refusal(request_context.agency(request), refused.token, context, str(refused))
    return _make_unknown(request, f"{refused} {remedy}", "invalid_token")


def _make_unknown(request: HttpRequest, detail: str, error: str = "") -> AccessRefused:
    challenge = f'Bearer realm="{request_context.agency(request).slug}"' + (f', error="{error}"' if error else "")
    return AccessRefused(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
