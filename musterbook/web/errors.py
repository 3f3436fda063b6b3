"""The pages of an error of our own, and of a form that was forged."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from musterbook import log_lines
from musterbook.accounts import strangers

FORGED = "the form was not made for this session (CSRF)"
"""What the log and the audit trail say of it."""


def failed(_request: HttpRequest) -> HttpResponse:
    """Says that it is not the reader's fault, and by which number the log has it. Needs no database and no session."""
    page = loader.get_template("500.html").render({"number": log_lines.number()})
    return HttpResponse(page, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django gives a reason; it logs it)
    """Says that the form was not accepted; the log and the audit trail have it."""
    strangers.refuse(request, FORGED)
    return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
