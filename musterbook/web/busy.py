"""The response while the machine is too busy: a page with the reason, and the time after which to retry."""

from collections.abc import Callable
from http import HTTPStatus

from django.db import Error
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from musterbook.accounts import hashing
from musterbook.directory.storage import database_errors, locks
from musterbook.web import errors

_SECONDS = 30
"""The value of Retry-After, in seconds."""
_PATIENCE = 5_000
"""The time that a request without a signed-in user waits for another writer, in milliseconds.

Such requests must not hold threads for longer.
"""
_LOCK_NOT_AVAILABLE = "55P03"
_HASHING = gettext_lazy("Too many people are signing in right now. Nothing has changed.")
_WRITING = gettext_lazy("An import is being written right now, and other changes have to wait. Nothing has changed.")


class Busy:
    """The middleware that answers 503 instead of 500 after a timeout.

    A request can time out while it waits for password hashing or for SQLite's one writer.
    """

    def __init__(self, respond: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the page."""
        if request.method != "POST" or request.user.is_authenticated:
            return self._respond(request)
        with locks.limit_wait(_PATIENCE):
            return self._respond(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Return the page that asks to retry if the error is such a timeout, else None."""
        if isinstance(error, locks.AgencyPaused):
            return errors.paused(request)
        if isinstance(error, hashing.Busy):
            return _render_page(request, _HASHING)
        return _render_page(request, _WRITING) if _is_timeout(error) else None


def _is_timeout(error: Exception) -> bool:
    """Return whether the error is a timeout while waiting for another writer."""
    busy = database_errors.is_busy(error) or getattr(error.__cause__, "sqlstate", "") == _LOCK_NOT_AVAILABLE
    return isinstance(error, Error) and busy


def _render_page(request: HttpRequest, why: Promise) -> HttpResponseBase:
    response = render(request, "busy.html", {"why": why}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = str(_SECONDS)
    return response
