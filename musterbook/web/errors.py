"""The pages of an error of our own, and of a form that was forged."""

import sys
from http import HTTPStatus

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from musterbook import log_lines
from musterbook.accounts import strangers
from musterbook.directory.storage import database_errors

FORGED = "the form was not made for this session (CSRF)"
"""What the log and the audit trail say of it."""


_SECONDS = 30
"""After how long to come back when the database was away."""


def failed(_request: HttpRequest) -> HttpResponse:
    """Say that it is not the reader's fault, and by which number the log has it: 500, or 503 while the database is away.

    Needs no database and no session. Django calls it while it handles the error.
    """
    error = sys.exc_info()[1]
    away = isinstance(error, Error) and database_errors.is_lost(error)
    page = loader.get_template("503.html" if away else "500.html").render({"number": log_lines.number()})
    if not away:
        return HttpResponse(page, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(_SECONDS)})


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django gives a reason; it logs it)
    """Says that the form was not accepted; the log and the audit trail have it."""
    strangers.refuse(request, FORGED)
    return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
