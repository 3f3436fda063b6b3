"""What a user sees first."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.web.permission import signed_in


@signed_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Who is signed in, and where to go from here."""
    return render(request, "home.html")
