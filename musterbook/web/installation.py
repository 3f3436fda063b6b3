"""The page of the installation itself."""

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def agencies(request: HttpRequest) -> HttpResponse:
    """Says how to get to an agency's pages; which agencies there are is nobody's business."""
    return render(request, "agencies.html")


def health(_: HttpRequest) -> HttpResponse:
    """Whether pages can be answered: `ok`, or 503 where the database cannot be used."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return HttpResponse("The database cannot be used.", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")
