"""The error responses of the API: problem details (RFC 9457) for every error."""

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, JsonResponse

from musterbook.config import log_lines


def make_problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JsonResponse:
    """Return a response of that status, which states in a sentence what is wrong and how to fix it."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    plain = {"ensure_ascii": False}
    return JsonResponse(
        body, status=status, headers=headers, content_type="application/problem+json", json_dumps_params=plain
    )


def bad_request(_request: HttpRequest, **_kwargs: Any) -> JsonResponse:
    """Return the response for a request that cannot be read."""
    return make_problem(HTTPStatus.BAD_REQUEST, "The request cannot be read.")


def not_found(_request: HttpRequest, **_kwargs: Any) -> JsonResponse:
    """Return the response for an address with nothing there, or of another agency."""
    return make_problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def failed(_request: HttpRequest) -> JsonResponse:
    """Return the response for a bug of ours; the log contains the details."""
    detail = f"The request failed because of an error in Musterbook. The log has the details: request {log_lines.get_number()}."
    return make_problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
