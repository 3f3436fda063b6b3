"""The pages for internal errors and for forged forms."""

import sys
from http import HTTPStatus

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template import loader

from musterbook.config import log_lines
from musterbook.directory.storage import database_errors
from musterbook.http import refusals
from musterbook.web import kept_forms

FORGED = "the form was not made for this session (CSRF)"
"""The reason in the log and in the audit trail."""


_SECONDS = 30
"""The value of Retry-After, in seconds, when the database is not available."""


def failed(_request: HttpRequest) -> HttpResponse:
    """Render the error page, with the number under which the log has the error.

    The status is 500, or 503 while the database is not available. The page explains that the reader is not at fault.
    The view needs no database and no session. Django calls it while it handles the error.
    """
    error = sys.exc_info()[1]
    away = isinstance(error, Error) and database_errors.is_lost(error)
    page = loader.get_template("503.html" if away else "500.html").render({"number": log_lines.get_number()})
    if not away:
        return HttpResponse(page, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(_SECONDS)})


def forged(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  (Django passes a reason, and logs it)
    """Explain that the form was not accepted. Log the refusal and record it in the audit trail.

    A form from a page of ours, whose token is only stale, is kept and continued instead.
    """
    continued = kept_forms.answer_stale(request)
    if continued is not None:
        return continued
    refusals.record_refusal(request, FORGED)
    return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
