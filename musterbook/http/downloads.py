"""Downloads: files that are sent while they are read, so that they are never whole in memory."""

import os
from collections.abc import Iterator
from functools import partial
from typing import IO

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

KINDS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
"""The forms of files, each with its content type."""
_PART = 1 << 16


def send_file(file: IO[bytes], name: str, kind: str) -> HttpResponseBase:
    """Return the response that sends an open file under that name, and closes it."""
    return send(_read_small(file) or _read_parts(file), name, kind)


def send(content: bytes | Iterator[bytes], name: str, kind: str) -> HttpResponseBase:
    """Return the response that sends this content as a file of that name and content type."""
    response_class = HttpResponse if isinstance(content, bytes) else StreamingHttpResponse
    answer = response_class(content, content_type=kind)
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return answer


def _read_small(file: IO[bytes]) -> bytes:
    """Return the content of a file that fits in one part, or b"" for a larger file."""
    if os.fstat(file.fileno()).st_size > _PART:
        return b""
    with file:
        return file.read()


def _read_parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, _PART), b"")
