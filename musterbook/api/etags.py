"""Versions of resources (RFC 9110): `ETag` in responses, `If-Match` and `If-None-Match` in requests."""

import hashlib
import re
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from ninja import Schema

from musterbook.api.problems import ProblemError

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def make_version(shown: Schema) -> str:
    """Return the version of a resource that is what it shows: another one as soon as anything in it is."""
    return hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:32]


def set_etag(response: HttpResponse, version: str) -> None:
    """Put the version of the resource into the header of the response."""
    response.headers["ETag"] = f'"{version}"'


def check_if_match(request: HttpRequest, read_version: Callable[[], str]) -> None:
    """Raise ProblemError (412) if the request wants to change only another version. Call it under the lock of the change.

    `read_version`: returns the version of the resource; most requests name none, and need not know it.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*" or (version := read_version()) in _TAG.findall(wanted):
        return
    raise ProblemError(
        HTTPStatus.PRECONDITION_FAILED,
        "The resource has changed since you read it. Read it again, and repeat the change if it is still right.",
        "changed-meanwhile",
        headers={"ETag": f'"{version}"'},
    )


def is_known(request: HttpRequest, version: str) -> bool:
    """Return whether the client has this version already, so that 304 is enough."""
    known = request.headers.get("If-None-Match", "")
    return known.strip() == "*" or version in _TAG.findall(known)
