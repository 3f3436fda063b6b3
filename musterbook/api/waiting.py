"""The wait of a request for an import to end. Only a few requests of a process wait at a time, so that others are answered."""

import threading
from http import HTTPStatus
from typing import Annotated

from django.http import HttpResponse
from ninja import Query, Status

from musterbook.api import import_schemas
from musterbook.api.import_schemas import ImportState
from musterbook.directory import models
from musterbook.directory.imports import queue

LONGEST = 30
"""The most seconds that a request waits."""
_PLACES = threading.BoundedSemaphore(4)
"""The requests of this process that wait at the same time. Others are answered at once."""
Wait = Annotated[
    int,
    Query(
        0,
        ge=0,
        le=LONGEST,
        description=f"The most seconds to wait for the import to end, up to {LONGEST}: then 200, or else 202.",
    ),
]


def wait(record: models.Import, seconds: int) -> models.Import:
    """Return the import when it has ended, or as it is after some seconds."""
    if not seconds or not _PLACES.acquire(blocking=False):
        return record
    try:
        return queue.wait(record, seconds)
    finally:
        _PLACES.release()


def answer(response: HttpResponse, record: models.Import, seconds: int = 0) -> Status[ImportState]:
    """Return the import when it has ended or after some seconds, and its address. The status is 200 if it has ended, else 202."""
    record = wait(record, seconds)
    shown = import_schemas.describe(record)
    response.headers["Location"] = import_schemas.make_address(record)
    if record.finished_at:
        return Status(HTTPStatus.OK, shown)
    response.headers["Retry-After"] = "1"
    return Status(HTTPStatus.ACCEPTED, shown)
