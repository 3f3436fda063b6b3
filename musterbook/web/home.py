"""What a user sees first."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.accounts import requests
from musterbook.directory.models import User
from musterbook.web.permission import account, signed_in


@signed_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Who is signed in, and where to go from here; where there is nobody else yet, what to do first."""
    administrator = account(request).user.role.administrator
    return render(request, "home.html", {"first_steps": administrator and _is_alone(request)})


def _is_alone(request: HttpRequest) -> bool:
    others = User.objects.filter(agency=requests.agency(request)).exclude(pk=account(request).user.pk)
    return not others.exists()
