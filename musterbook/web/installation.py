"""The page of the installation itself."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def agencies(request: HttpRequest) -> HttpResponse:
    """Says how to get to an agency's pages; which agencies there are is nobody's business."""
    return render(request, "agencies.html")
