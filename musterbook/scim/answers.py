"""The responses of SCIM: resources, lists, and errors (RFC 7644 §3.12) for every exception.

`TRANSLATIONS` translates each error of a use case. A view raises ScimError only for what it checks itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from pydantic import ValidationError
from scim2_models import Error, SCIMException

from musterbook.config import log_lines
from musterbook.directory.agency.vocabularies import InUse, InvalidValue, NotAllowed, UnknownEntry
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.imports.memberships import ChangedMeanwhile
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors
from musterbook.directory.storage.locks import AgencyPaused
from musterbook.directory.users.editing import UnknownUser
from musterbook.http import database_away
from musterbook.http.bearer import AccessRefused

CONTENT_TYPE = "application/scim+json"
Headers = Mapping[str, str]

_PAUSED = "The agency is paused: it is being moved or worked on. Nothing was changed. Send the request again later."
_NOT_FOUND = "There is nothing at this address."
_Detail = str | Callable[[Any], str]


class ScimError(Exception):
    """The error that a view raises, with the response that it means.

    `detail`: a sentence that says what is wrong and how to fix it. `scim_type`: a keyword of RFC 7644 §3.12 or RFC 9865,
    or "" for none.
    """

    def __init__(self, status: HTTPStatus, detail: str, scim_type: str = "", headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status, self.scim_type, self.headers = status, scim_type, headers


TRANSLATIONS: dict[type[Exception], tuple[HTTPStatus, str, _Detail]] = {
    UnknownUser: (HTTPStatus.NOT_FOUND, "", "There is no user with this id."),
    UnknownEntry: (HTTPStatus.NOT_FOUND, "", "There is no group with this id."),
    UnknownOperator: (HTTPStatus.FORBIDDEN, "", "The creator of the token has lost access."),
    NotPermitted: (HTTPStatus.FORBIDDEN, "", lambda error: f"The token, or its creator, lacks {error}."),
    NotAllowed: (HTTPStatus.FORBIDDEN, "", str),
    InvalidValue: (HTTPStatus.BAD_REQUEST, "invalidValue", str),
    InUse: (HTTPStatus.CONFLICT, "", lambda error: f"It cannot be deleted, because {error.users:,} users have it."),
    ImportFailed: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "",
        lambda error: f"{error} Nothing was changed. Send the request again.",
    ),
    ChangedMeanwhile: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "",
        "Others have changed the user meanwhile. Nothing was changed. Send the request again.",
    ),
    AgencyPaused: (HTTPStatus.SERVICE_UNAVAILABLE, "", _PAUSED),
    OverQuota: (HTTPStatus.TOO_MANY_REQUESTS, "", str),
    Http404: (HTTPStatus.NOT_FOUND, "", _NOT_FOUND),
    RecursionError: (HTTPStatus.BAD_REQUEST, "invalidSyntax", "The request is nested too deeply."),
}
"""Error of a use case → the status, the keyword and the sentence of the response."""


def make_response(
    body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, headers: Headers | None = None
) -> HttpResponse:
    """Return a response with this JSON."""
    return HttpResponse(
        json.dumps(body, ensure_ascii=False), status=status, headers=dict(headers or {}), content_type=CONTENT_TYPE
    )


def make_error(status: HTTPStatus, detail: str, scim_type: str = "", headers: Headers | None = None) -> HttpResponse:
    """Return an error of that status, which says in a sentence what is wrong and how to fix it."""
    return make_response(build_error(status, detail, scim_type), status, headers)


def build_error(status: HTTPStatus, detail: str, scim_type: str = "") -> dict[str, Any]:
    """Return the JSON of an error. A Bulk has one in each operation that failed."""
    body: dict[str, Any] = {"schemas": [str(Error.__schema__)], "status": str(status.value), "detail": detail}
    return body | ({"scimType": scim_type} if scim_type else {})


def find_error(error: Exception) -> ScimError | None:
    """Return what the response to an exception says, or None for an exception that nobody expects."""
    if isinstance(error, ScimError):
        return error
    if isinstance(error, AccessRefused):
        return ScimError(error.status, str(error), headers=error.headers)
    if isinstance(error, SCIMException):
        return ScimError(HTTPStatus(error.status), error.detail, error.scim_type)
    if isinstance(error, ValidationError):
        return _read_validation(error)
    return _find_translated(error)


def _find_translated(error: Exception) -> ScimError | None:
    if isinstance(error, OperationalError) and database_errors.is_busy(error):
        return ScimError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY, headers=_WAIT)
    kind = next((kind for kind in type(error).__mro__ if kind in TRANSLATIONS), None)
    if kind is None:
        return None
    status, scim_type, detail = TRANSLATIONS[kind]
    headers = _WAIT if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return ScimError(status, detail if isinstance(detail, str) else detail(error), scim_type, headers)


_WAIT = {"Retry-After": "30"}
_BUSY = "Another change is being written right now. Nothing was changed. Send the request again in half a minute."
_MOST_NAMED = 5
"""The most errors of one request that the sentence names."""


def _read_validation(error: ValidationError) -> ScimError:
    """Return the first keyword, and the sentences of the first errors, of a request that does not fit the schema."""
    found = Error.from_validation_errors(error)
    first = found[0]
    sentences = dict.fromkeys(one.detail or "" for one in found)
    detail = "; ".join([*sentences][:_MOST_NAMED]) + ("; …" if len(sentences) > _MOST_NAMED else "")
    return ScimError(HTTPStatus(first.status or HTTPStatus.BAD_REQUEST), detail, first.scim_type or "")


def translate(error: Exception) -> HttpResponse:
    """Return the response to an exception. Raise the exception itself if it is none that is known."""
    found = find_error(error)
    if found is None:
        raise error
    return make_error(found.status, str(found), found.scim_type, found.headers)


def refuse_method(methods: Iterable[str]) -> HttpResponse:
    """Return the response to a method that the address does not accept."""
    allowed = ", ".join(methods)
    return make_error(
        HTTPStatus.METHOD_NOT_ALLOWED, f"This address accepts only {allowed}.", headers={"Allow": allowed}
    )


def bad_request(_request: HttpRequest, **_kwargs: Any) -> HttpResponseBase:
    """Return the response for a request that cannot be read."""
    return make_error(HTTPStatus.BAD_REQUEST, "The request cannot be read.", "invalidSyntax")


def not_found(_request: HttpRequest, **_kwargs: Any) -> HttpResponseBase:
    """Return the response for an address with nothing there, or of another agency."""
    return make_error(HTTPStatus.NOT_FOUND, _NOT_FOUND)


def paused(_request: HttpRequest) -> HttpResponseBase:
    """Return the response while the agency is paused."""
    return make_error(HTTPStatus.SERVICE_UNAVAILABLE, _PAUSED, headers=_WAIT)


def failed(_request: HttpRequest) -> HttpResponseBase:
    """Return the response while the database is away, or for a bug of ours; the log contains the details."""
    if database_away.is_away():
        return database_away.log_briefly(
            make_error(HTTPStatus.SERVICE_UNAVAILABLE, database_away.FOR_PROGRAMS, headers=database_away.RETRY)
        )
    number = log_lines.get_number()
    detail = f"The request failed because of an error in Musterbook. The log has the details: request {number}."
    return make_error(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
