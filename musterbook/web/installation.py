"""The pages of the installation itself."""

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from musterbook.directory.installation import migration
from musterbook.web import first_run

_PLAIN = "text/plain; charset=utf-8"


def agencies(request: HttpRequest) -> HttpResponseBase:
    """Explain how to get to an agency's pages, or show the first-run page if the installation is new.

    The page does not reveal which agencies exist.
    """
    if migration.is_new():
        answer: HttpResponseBase = first_run.show_setup(request)
        return answer
    return render(request, "agencies.html")


def health(_: HttpRequest) -> HttpResponse:
    """Return `ok`, or 503 if the database cannot be used."""
    try:
        migration.ping_database()
    except Error:
        return HttpResponse("The database cannot be used.", status=503, content_type=_PLAIN)
    return HttpResponse("ok", content_type=_PLAIN)
