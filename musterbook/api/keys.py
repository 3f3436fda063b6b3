"""Idempotency keys: what a program calls a request, so that the same request sent again is done once (D6)."""

import hashlib
import json
import re
from http import HTTPStatus

from django.http import HttpRequest

from musterbook.api import access
from musterbook.api.problems import ProblemError
from musterbook.directory.imports import records

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def read_key(request: HttpRequest) -> str:
    """Return the idempotency key of a request as the program wrote it, "" for none. Raise ProblemError."""
    key = request.headers.get(HEADER, "")
    if HEADER in request.headers and not _KEY.fullmatch(key):
        detail = f"The header {HEADER} needs 1 to 255 letters, digits or signs, without spaces."
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail, "invalid-key")
    return key


def make_key(request: HttpRequest, *facts: object) -> str | None:
    """Return the key as it is stored with an import, or None if the request has none. Raise ProblemError.

    The same key of another token is another key. `facts`: what the request is about, besides its content.
    """
    key = read_key(request)
    if not key:
        return None
    token = access.get_token(request)
    text = json.dumps([token.maker_id, token.pk, key, *map(str, facts)])
    return f"{records.REQUEST_KEY}{hashlib.sha256(text.encode()).hexdigest()[:40]}"


PARAMETER = {
    "in": "header", "name": HEADER, "required": False,
    "description": "A name for this request. The same request with the same key is done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}  # fmt: skip
DOCUMENTED = {"parameters": [PARAMETER]}
"""The part of the OpenAPI document of an operation that honors the idempotency key."""
