"""Responses while the database is away: which errors mean that, their headers, and their one line in the log."""

import logging
import sys
from typing import TypeVar

from django.db import Error
from django.http.response import HttpResponseBase

from musterbook.directory.storage import database_errors

_LOG = logging.getLogger(__name__)
RETRY = {"Retry-After": "30"}
"""After how many seconds a client may try again."""
FOR_PROGRAMS = (
    "Musterbook cannot reach its database right now. Send the request again in half a minute. If it is to change something, and"
    " has no Idempotency-Key, check first whether it did."
)
Response = TypeVar("Response", bound=HttpResponseBase)


def is_away() -> bool:
    """Return whether the error that is handled now means that the database cannot be reached, or takes no changes."""
    error = sys.exc_info()[1]
    return isinstance(error, Error) and database_errors.is_lost(error)


def log_briefly(response: Response) -> Response:
    """Log the error that is handled now in one line, instead of a trace for each request. Return its response."""
    error = sys.exc_info()[1]
    if error is not None:
        _LOG.error("The database cannot be reached: %s", database_errors.describe_briefly(error))
    vars(response)["_has_been_logged"] = True  # Django would log the trace
    return response
