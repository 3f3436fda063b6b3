"""What all addresses of SCIM share: the token, the methods, the body, and the answer to every exception.

An address is declared as `endpoint(GET=Method("users.view", read), PATCH=Method("users.edit", change))`. A view takes a
`ScimRequest`, then the parts of the path, and returns a response or raises.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from musterbook.accounts.models import Token
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import bearer, request_context
from musterbook.scim import answers, etags
from musterbook.scim.answers import CONTENT_TYPE, ScimError

MOST_BYTES = 1 << 20
"""The most bytes of a request about one resource. A Bulk may have more."""
MOST_PARTS, DEEPEST = 200_000, 64
"""The most objects and lists of a body, each of which costs much more memory than its bytes, and how deep they may be."""
_ACCEPTED = (CONTENT_TYPE, "application/json")


@dataclass(frozen=True, slots=True)
class ScimRequest:
    """A request whose token is valid and has the permission of its method."""

    http: HttpRequest
    token: Token
    most_bytes: int = MOST_BYTES

    @property
    def agency(self) -> Agency:
        """Return the agency of the token, which is the agency of the address."""
        return self.token.agency

    @property
    def context(self) -> AuditContext:
        """Return the actor and the context of the request for the audit trail: the creator of the token, by the token."""
        return request_context.api_audit_context(self.http, self.token)

    @property
    def base(self) -> str:
        """Return the address of the service: what the locations of all resources begin with."""
        return f"{settings.MUSTER_URL}/{self.agency.slug}/scim/v2"

    def require(self, permission: str) -> None:
        """Raise AccessRefused if the token lacks a permission that the request needs as well."""
        bearer.require(self.http, self.token, permission)

    def read_json(self) -> dict[str, Any]:
        """Return the object of the body. Raise ScimError for anything else."""
        return read_json(self.http, self.most_bytes)

    def check_version(self, version: str) -> None:
        """Raise ScimError (412) if the request wants to change only another version. Call it under the lock of the change."""
        wanted = self.http.headers.get("If-Match")
        if wanted is not None and not etags.is_named(version, wanted):
            raise make_changed_error(version)

    def is_known(self, version: str) -> bool:
        """Return whether the client has this version already, so that 304 is enough."""
        return etags.is_named(version, self.http.headers.get("If-None-Match", ""))


def make_changed_error(version: str) -> ScimError:
    """Return the error (412) for a request that wants to change only another version than this one."""
    detail = "The resource has changed since you read it. Read it again, and repeat the change if it is still right."
    return ScimError(HTTPStatus.PRECONDITION_FAILED, detail, headers={"ETag": etags.format_tag(version)})


View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an address: the permission that it needs ("" for any valid token), its view, and the largest body."""

    permission: str
    view: View
    most_bytes: int = MOST_BYTES


def endpoint(**methods: Method) -> Callable[..., HttpResponseBase]:
    """Return the view of an address that has these methods. `HEAD` and `OPTIONS` come with them."""
    allowed = [*(["GET", "HEAD"] if "GET" in methods else []), *(name for name in methods if name != "GET"), "OPTIONS"]

    def answer(request: HttpRequest, **parts: str) -> HttpResponseBase:
        if request.method == "OPTIONS":
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(allowed)})
        method = methods.get("GET" if request.method == "HEAD" else request.method or "")
        if method is None:
            return answers.refuse_method(allowed)
        try:
            token = bearer.authenticate(request, method.permission)
            return method.view(ScimRequest(request, token, method.most_bytes), **parts)
        except Exception as error:  # noqa: BLE001  (raised again unless it is one that has a response)
            return answers.translate(error)

    answer.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie gives access here
    answer.reads_large_bodies = True  # type: ignore[attr-defined]  # `read_json` refuses them, in the form of SCIM
    answer.permission = {name: method.permission for name, method in methods.items()}  # type: ignore[attr-defined]  # for the tests that attack every address
    return answer


def read_json(request: HttpRequest, most: int = MOST_BYTES) -> dict[str, Any]:
    """Return the object that the body is. Raise ScimError.

    No text in it has NUL or half of a character, which no database stores.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _ACCEPTED:
        detail = f"Send the request as {CONTENT_TYPE}."
        raise ScimError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept": ", ".join(_ACCEPTED)})
    length = request.META.get("CONTENT_LENGTH") or ""
    if not re.fullmatch("[0-9]{1,15}", length):
        raise ScimError(HTTPStatus.LENGTH_REQUIRED, "Send the length of the body in the header Content-Length.")
    if int(length) > most:
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {most:,} bytes. Split it.")
    # Django has no limit for one address, and finds the body here.
    request._body = request.read(int(length))  # noqa: SLF001
    return _parse(request.body)


def require_schema(body: Mapping[str, Any], schema: str) -> None:
    """Raise ScimError unless the message says that it has this schema."""
    named = body.get("schemas")
    if not isinstance(named, list) or schema not in named:
        raise ScimError(HTTPStatus.BAD_REQUEST, f"schemas must name {schema}.", "invalidSyntax")


def _parse(body: bytes) -> dict[str, Any]:
    if body.count(b"{") + body.count(b"[") > MOST_PARTS:
        detail = f"The body has more than {MOST_PARTS:,} objects and lists. Split it."
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    try:
        content = json.loads(body.decode(), parse_constant=_refuse_constant)
        texts = "".join(_iterate_texts(content))
        texts.encode()
    except (ValueError, RecursionError):
        raise ScimError(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.", "invalidSyntax") from None
    if not isinstance(content, dict):
        raise ScimError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.", "invalidSyntax")
    if "\x00" in texts:
        raise ScimError(HTTPStatus.BAD_REQUEST, "A text has the character NUL. Leave it out.", "invalidValue")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _iterate_texts(content: Any) -> Iterator[str]:
    """Yield every text of the body, names of attributes included. Raise RecursionError if it is nested too deeply."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            if depth >= DEEPEST:
                raise RecursionError
            if isinstance(value, dict):
                yield from value
            parts = value.values() if isinstance(value, dict) else value
            waiting.extend((part, depth + 1) for part in parts)
