"""The error responses of the API: problem details (RFC 9457) for every error.

`TRANSLATIONS` translates each error of a use case. An operation raises ProblemError only for what it checks itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.utils.text import slugify
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from musterbook.accounts import credentials, registration
from musterbook.accounts.tokens import UnknownToken
from musterbook.config import log_lines
from musterbook.core.domain.problems import CATALOG, Problem
from musterbook.directory.agency.agencies import UnknownAgency
from musterbook.directory.agency.feeds import UnknownFeed
from musterbook.directory.agency.vocabularies import InUse, InvalidValue, NotAllowed, UnknownEntry
from musterbook.directory.agency.webhooks import UnknownMessage, UnknownWebhook
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.imports.approval import NeedsApprover
from musterbook.directory.imports.drafts import CannotFix, TooManyFixes
from musterbook.directory.imports.file_import import KeyTaken, NothingToApply, UnknownImport
from musterbook.directory.imports.history import ResultsInProgress
from musterbook.directory.imports.pending_uploads import TooLarge
from musterbook.directory.imports.plan_ends import NoPlan, PlanEnded
from musterbook.directory.imports.plan_files import PlanGone
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.imports.sandbox import ReadingStopped
from musterbook.directory.imports.undo import NotApplied
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors
from musterbook.directory.storage.formats import TooManyRows
from musterbook.directory.storage.import_files import FileGone
from musterbook.directory.storage.locks import AgencyPaused
from musterbook.directory.users.editing import UnknownUser
from musterbook.http import database_away
from musterbook.http.bearer import AccessRefused

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error of one value of the request: the JSON pointer or the name of the parameter, a code, and sentences."""

    pointer: str
    code: str
    detail: str
    remedy: str = ""


class ProblemError(Exception):
    """The error that an operation raises, with the response that it means.

    `detail`: a sentence that says what is wrong and how to fix it. `code`: a stable name, such as those of the catalog.
    `more`: other members of the problem, with what a program needs to continue.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        code: str = "",
        errors: Sequence[FieldError] = (),
        headers: Headers | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.errors, self.headers, self.more = status, code, errors, headers, more


def list_errors(problems: Iterable[Problem], pointers: Mapping[str, str] | None = None) -> list[FieldError]:
    """Return the problems of a row as errors, in English. `pointers`: column → JSON pointer."""
    known = pointers or {}
    found = ((one, *one.for_programs()) for one in problems)
    return [FieldError(known.get(one.column, ""), one.code, message, remedy) for one, message, remedy in found]


_MOST_ERRORS = 100
_TOO_LARGE = "The body of the request is too large. Send less at once."
_PAUSED = "The agency is paused: it is being moved or worked on. Nothing was changed. Send the request again later."
_NOT_FOUND = "There is nothing at this address."
_Detail = str | Callable[[Any], str]
TRANSLATIONS: dict[type[Exception], tuple[HTTPStatus, str, _Detail]] = {
    UnknownAgency: (HTTPStatus.NOT_FOUND, "not-found", _NOT_FOUND),
    UnknownImport: (HTTPStatus.NOT_FOUND, "not-found", "There is no import with this number."),
    UnknownUser: (HTTPStatus.NOT_FOUND, "not-found", "There is no user with this number or external ID."),
    UnknownToken: (HTTPStatus.NOT_FOUND, "not-found", "There is no token with this number."),
    UnknownFeed: (HTTPStatus.NOT_FOUND, "not-found", "There is no feed with this name."),
    UnknownEntry: (HTTPStatus.NOT_FOUND, "not-found", _NOT_FOUND),
    UnknownWebhook: (HTTPStatus.NOT_FOUND, "not-found", "There is no webhook with this name."),
    UnknownMessage: (HTTPStatus.NOT_FOUND, "not-found", "The webhook has no message with this ID."),
    UnknownOperator: (HTTPStatus.FORBIDDEN, "not-permitted", "The creator of the token has lost access."),
    NotPermitted: (HTTPStatus.FORBIDDEN, "not-permitted", lambda error: f"The token, or its creator, lacks {error}."),
    NotAllowed: (HTTPStatus.FORBIDDEN, "not-allowed", str),
    credentials.NotAllowed: (
        HTTPStatus.FORBIDDEN,
        "above-your-role",
        "The role of this user has permissions that the token does not have.",
    ),
    registration.CannotInvite: (HTTPStatus.CONFLICT, "cannot-invite", str),
    registration.CannotReset: (HTTPStatus.CONFLICT, "cannot-reset", str),
    InUse: (
        HTTPStatus.CONFLICT,
        "in-use",
        lambda error: f"It cannot be deleted, because {error.users:,} users have it.",
    ),
    KeyTaken: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "key-taken",
        "The Idempotency-Key was used before, for another request. Send this request with another key.",
    ),
    NothingToApply: (HTTPStatus.CONFLICT, "nothing-to-apply", "This import shows no plan that can be applied."),
    PlanEnded: (HTTPStatus.CONFLICT, "plan-ended", str),
    NoPlan: (HTTPStatus.CONFLICT, "nothing-to-discard", "This import shows no plan, so there is nothing to discard."),
    NotApplied: (HTTPStatus.CONFLICT, "nothing-to-undo", "This import changed nothing, so there is nothing to undo."),
    CannotFix: (HTTPStatus.CONFLICT, "cannot-correct", "The plan of this import cannot be made again."),
    TooManyFixes: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "too-many-corrections",
        "These are too many corrections for one plan. Correct the file, and import it again.",
    ),
    NeedsApprover: (
        HTTPStatus.FORBIDDEN,
        "needs-approver",
        "Another user must confirm this import: the agency requires a second approver.",
    ),
    AgencyPaused: (HTTPStatus.SERVICE_UNAVAILABLE, "paused", _PAUSED),
    FileGone: (HTTPStatus.GONE, "file-gone", "The file of this import is no longer kept."),
    PlanGone: (HTTPStatus.GONE, "plan-gone", "The rows of this import are no longer kept."),
    ResultsInProgress: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "Another results file is being made. Ask again in a moment.",
    ),
    ReadingStopped: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too-much-work",
        "The file took more memory or time than a file of its size may take.",
    ),
    TooManyRows: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "too-many-rows",
        "The file has more rows than a workbook can hold. Ask for CSV.",
    ),
    OverQuota: (
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-files",
        lambda over: f"{' '.join(over.problem.in_english())} Nothing was changed.",
    ),
    TooLarge: (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-large",
        lambda _: f"The file is larger than {settings.MUSTER_MAX_FILE_MB:,} MB (MUSTER_MAX_FILE_MB). Split it.",
    ),
    OSError: (
        HTTPStatus.INSUFFICIENT_STORAGE,
        "no-room",
        "There is no room for this file now. Contact the person who runs Musterbook. Nothing was changed.",
    ),
}
"""Error of a use case → the status, the code and the sentence of the response."""


CODES: dict[str, str] = {
    "already-ended": "The import has ended already.",
    "already-exists": "A user has this external ID already.",
    "busy": "An import is being written at this moment.",
    "cannot-correct": "The plan of this import cannot be made again.",
    "cannot-invite": "The user cannot be invited: the sentence says why.",
    "cannot-reset": "The user cannot get a link for a new password: the sentence says why.",
    "cells-changed": "Some cells have another text than the request says.",
    "changed-meanwhile": "The resource has changed since the version that `If-Match` names.",
    "conflict": "Another request has changed the same value at this moment.",
    "content-encoding": "The body has a `Content-Encoding`.",
    "file-gone": "The file of the import is no longer kept.",
    "in-use": "Users have it, so it cannot be deleted.",
    "invalid-cursor": "The text is not a cursor of this list.",
    "invalid-json": "The body is not JSON.",
    "invalid-key": "The `Idempotency-Key` has a wrong form.",
    "invalid-progress": "The text is not the progress of a check of this trail.",
    "invalid-request": "A value of the request has a wrong form, or the request has an unknown member or parameter.",
    "invalid-value": "A value cannot be accepted.",
    "key-taken": "The `Idempotency-Key` was used before, for another request.",
    "length-required": "The header `Content-Length` is missing.",
    "mixed-rows": "The rows of a batch do not all have the same members.",
    "needs-approver": "Another user must confirm the import.",
    "no-file": "The import has no file with results.",
    "no-room": "There is no room for the file.",
    "not-allowed": "The action is not allowed, whatever the values are.",
    "not-ended": "The import has not ended yet.",
    "not-found": "There is nothing with this number or name.",
    "not-json": "The body has another content type than JSON.",
    "not-permitted": "The token, or its creator, lacks a permission.",
    "not-together": "These parameters cannot be given together.",
    "nothing-to-apply": "The import shows no plan that can be applied.",
    "nothing-to-confirm": "Nothing holds the plan of the import.",
    "nothing-to-correct": "The request corrects nothing.",
    "nothing-to-discard": "The import shows no plan.",
    "nothing-to-undo": "The import changed nothing.",
    "other-host-key": "The server of the feed has another host key than the request says.",
    "paused": "The agency is paused: it moves to another installation, and nobody can work in it.",
    "plan-gone": "The rows of the import are no longer kept.",
    "server-asked": "Another server of a feed of the agency is being asked at this moment.",
    "too-large": "The body is too large.",
    "too-many-corrections": "There are too many corrections in one request.",
    "too-much-work": "The request needs more time or memory than one request may have.",
    "unavailable": "Musterbook cannot reach its database.",
    "unknown-parameter": "The operation has no parameter with this name.",
    "unknown-value": "The agency has nothing with this name.",
    "unreachable": "The server of the feed cannot be used: the sentence says why.",
}
"""Code of a problem that the API adds to those of imports → what it means. The reference lists them."""


def make_problem(
    status: HTTPStatus,
    detail: str,
    headers: Headers | None = None,
    *,
    code: str = "",
    errors: Sequence[FieldError] = (),
    request: HttpRequest | None = None,
    more: Mapping[str, object] | None = None,
) -> JsonResponse:
    """Return a response of that status, which states in a sentence what is wrong and how to fix it.

    `request`: the request of an agency, for the address of the page that explains the code. `more`: other members.
    """
    body: dict[str, Any] = {
        "type": _find_page(code, request), "title": status.phrase, "status": status.value, "detail": detail, **(more or {}),
    }  # fmt: skip
    if code:
        body["code"] = code
    if errors:
        body["errors"] = [
            {name: getattr(one, name) for name in ("pointer", "code", "detail", "remedy")} for one in errors
        ]
    plain = {"ensure_ascii": False}
    return JsonResponse(
        body,
        status=status,
        headers=dict(headers or {}),
        content_type="application/problem+json",
        json_dumps_params=plain,
    )


def _find_page(code: str, request: HttpRequest | None) -> str:
    """Return the address of the page that explains the code, if it is one of the catalog."""
    if code not in CATALOG or request is None or not hasattr(request, "agency"):
        return "about:blank"
    page = reverse("help_document", urlconf="musterbook.web.urls", args=["reference/problems"])
    return f"{settings.MUSTER_URL}{page}#code-{slugify(code)}"


def translate(request: HttpRequest, error: Exception) -> HttpResponseBase:
    """Return the response to an error of a use case. Raise the error itself if it is none that is known."""
    kind = next((kind for kind in type(error).__mro__ if kind in TRANSLATIONS), None)
    if kind is None:
        raise error
    status, code, _detail = TRANSLATIONS[kind]
    return make_problem(status, describe_error(error), code=code, request=request)


def describe_error(error: Exception) -> str:
    """Return the sentence about an error that TRANSLATIONS has, or the error's own message."""
    detail = next((TRANSLATIONS[kind][2] for kind in type(error).__mro__ if kind in TRANSLATIONS), str)
    return detail if isinstance(detail, str) else str(detail(error))


def _refuse_value(request: HttpRequest, error: InvalidValue) -> HttpResponseBase:
    errors = getattr(error, "errors", ((error.field, str(error)),))
    found = [FieldError(f"/{name}", "invalid-value", sentence) for name, sentence in errors]
    return make_problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, str(error), code="invalid-value", errors=found, request=request
    )


def _refuse_shape(request: HttpRequest, error: ValidationError) -> HttpResponseBase:
    """Return the response to a request whose values do not have the declared types."""
    found = [FieldError(_point(one["loc"]), str(one["type"]), str(one["msg"])) for one in error.errors[:_MOST_ERRORS]]
    detail = "The request does not have the form that the documentation describes. Nothing was changed."
    return make_problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, code="invalid-request", errors=found, request=request)


def _point(location: Sequence[object]) -> str:
    """Return the JSON pointer of a value of the body, or the name of a parameter. The library puts its own names first."""
    place, *path = map(str, location)
    if place == "body":
        return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path[1:])
    return path[-1] if path else place


def add_handlers(api: NinjaAPI) -> None:
    """Let the API answer every error with a problem."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], Any]] = {
        AccessRefused: answer_refusal,
        ProblemError: answer_problem,
        InvalidValue: _refuse_value,
        ValidationError: _refuse_shape,
        HttpError: _refuse_by_library,
        RequestDataTooBig: lambda _request, _error: make_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE),
        UnreadablePostError: lambda request, _error: bad_request(request),
        OperationalError: _refuse_busy,
        Http404: lambda request, _error: not_found(request),
        **dict.fromkeys(TRANSLATIONS, translate),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _refuse_by_library(request: HttpRequest, error: HttpError) -> HttpResponseBase:
    """Return the response to an error of the library, which hides the error of the parser of bodies."""
    if isinstance(error.__cause__, ProblemError):
        return answer_problem(request, error.__cause__)
    return make_problem(HTTPStatus(error.status_code), str(error))


def _refuse_busy(request: HttpRequest, error: OperationalError) -> HttpResponseBase:
    """Return the response when an import holds what the request would change. Raise other errors of the database."""
    if not database_errors.is_busy(error):
        raise error
    detail = "An import is being written right now. Nothing was changed. Send the request again in a minute."
    wait = {"Retry-After": "60"}
    return make_problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, wait, code="busy", request=request)


def answer_problem(request: HttpRequest, error: ProblemError) -> HttpResponseBase:
    """Return the response that an operation means by its error."""
    return make_problem(
        error.status,
        str(error),
        error.headers,
        code=error.code,
        errors=error.errors,
        request=request,
        more=error.more,
    )


def answer_refusal(_request: HttpRequest, refused: AccessRefused) -> JsonResponse:
    """Return the response to a request that its token does not open."""
    return make_problem(refused.status, str(refused), refused.headers)


def refuse_method(methods: Iterable[str]) -> JsonResponse:
    """Return the response to a method that the address does not accept."""
    allowed = ", ".join(methods)
    return make_problem(HTTPStatus.METHOD_NOT_ALLOWED, f"This address accepts only {allowed}.", {"Allow": allowed})


def bad_request(_request: HttpRequest, **_kwargs: Any) -> JsonResponse:
    """Return the response for a request that cannot be read."""
    return make_problem(HTTPStatus.BAD_REQUEST, "The request cannot be read.")


def not_found(_request: HttpRequest, **_kwargs: Any) -> JsonResponse:
    """Return the response for an address with nothing there, or of another agency."""
    return make_problem(HTTPStatus.NOT_FOUND, _NOT_FOUND)


def paused(request: HttpRequest) -> HttpResponseBase:
    """Return the response while the agency is paused."""
    wait = {"Retry-After": "120"}
    return make_problem(HTTPStatus.SERVICE_UNAVAILABLE, _PAUSED, wait, code="paused", request=request)


def failed(_request: HttpRequest) -> JsonResponse:
    """Return the response while the database is away, or for a bug of ours; the log contains the details."""
    if database_away.is_away():
        return database_away.log_briefly(
            make_problem(
                HTTPStatus.SERVICE_UNAVAILABLE, database_away.FOR_PROGRAMS, database_away.RETRY, code="unavailable"
            )
        )
    detail = f"The request failed because of an error in Musterbook. The log has the details: request {log_lines.get_number()}."
    return make_problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
