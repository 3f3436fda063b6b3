"""The first page after sign-in."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.directory.models import User
from musterbook.http import incoming
from musterbook.web.permission import account, signed_in


@signed_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the signed-in user and where to go from here.

    An administrator who is the only user sees the first steps.
    """
    administrator = account(request).user.role.administrator
    return render(request, "home.html", {"first_steps": administrator and _is_alone(request)})


def _is_alone(request: HttpRequest) -> bool:
    others = User.objects.filter(agency=incoming.agency(request)).exclude(pk=account(request).user.pk)
    return not others.exists()
