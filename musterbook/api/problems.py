"""What the API says when it does not do what it was asked: problem details (RFC 9457), whatever went wrong."""

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, JsonResponse

from musterbook import log_lines


def answer(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JsonResponse:
    """The answer of that status, which says in a sentence what is wrong and how to mend it."""
    told = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    plain = {"ensure_ascii": False}
    return JsonResponse(
        told, status=status, headers=headers, content_type="application/problem+json", json_dumps_params=plain
    )


def bad_request(_request: HttpRequest, **_told: Any) -> JsonResponse:
    """Something in the request cannot be read."""
    return answer(HTTPStatus.BAD_REQUEST, "The request cannot be read.")


def not_found(_request: HttpRequest, **_told: Any) -> JsonResponse:
    """Nothing is at that address, or it is another agency's."""
    return answer(HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def failed(_request: HttpRequest) -> JsonResponse:
    """We have a bug; the log says which."""
    said = f"This went wrong, and it is our fault. The log of Musterbook says more: request {log_lines.number()}."
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, said)
