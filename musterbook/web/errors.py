"""The pages for internal errors and for forged forms."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template import loader
from django.urls import get_resolver

from musterbook.config import log_lines
from musterbook.http import database_away, refusals
from musterbook.web import kept_forms

FORGED = "the form was not made for this session (CSRF)"
"""The reason in the log and in the audit trail."""


def failed(request: HttpRequest) -> HttpResponseBase:
    """Render the error page, with the number under which the log has the error.

    The status is 500, or 503 while the database is not available. The page explains that the reader is not at fault.
    The view needs no database and no session. Django calls it while it handles the error, also that of finding the agency
    of a program's request: the program gets the error of its own interface.
    """
    programs = settings.AGENCY_URLCONFS.get("/".join(request.path.split("/")[2:3]))
    if programs:
        response: HttpResponseBase = get_resolver(programs).resolve_error_handler(500)(request)
        return response
    away = database_away.is_away()
    page = loader.get_template("503.html" if away else "500.html").render(
        {"number": log_lines.get_number(), "sent": request.method == "POST"}
    )
    if not away:
        return HttpResponse(page, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return database_away.log_briefly(
        HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=database_away.RETRY)
    )


_PAUSED_SECONDS = 120
"""The value of Retry-After, in seconds, while an agency is paused."""


def paused(request: HttpRequest) -> HttpResponseBase:
    """Render the page of an agency that is paused. It needs no session."""
    page = render(request, "paused.html", status=HTTPStatus.SERVICE_UNAVAILABLE)
    page.headers["Retry-After"] = str(_PAUSED_SECONDS)
    return page


def forged(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  (Django passes a reason, and logs it)
    """Explain that the form was not accepted. Log the refusal and record it in the audit trail.

    A form from a page of ours, whose token is only stale, is kept and continued instead.
    """
    continued = kept_forms.answer_stale(request)
    if continued is not None:
        return continued
    refusals.record_refusal(request, FORGED)
    return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
