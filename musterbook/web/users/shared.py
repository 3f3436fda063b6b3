"""The common parts of the pages of one user: the user, their name, the way back, and how email reaches them."""

from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

from django.conf import settings
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors
from musterbook.directory.users import editing
from musterbook.http import request_context
from musterbook.web.permission import may, refuse

Result = TypeVar("Result")
Delivery: TypeAlias = Literal["sent", "saved", ""]
"""How an email reaches a user: it is sent, it is saved as a file, or there is none."""


def find_user(request: HttpRequest, pk: int) -> models.User:
    """Return the agency's user with that id. Raise Http404."""
    try:
        return editing.find_user(request_context.agency(request), pk)
    except editing.UnknownUser:
        raise Http404 from None


def format_name(user: models.User) -> str:
    """Return the name of the user as pages show it."""
    return f"{user.first_name} {user.last_name}"


def redirect_to_user(request: HttpRequest, user: models.User, part: str = "") -> HttpResponseBase:
    """Redirect to the page of the user, or to the home page if the signed-in user may not see it.

    `part`: the id of an element of the page, which gets the focus.
    """
    if not may(request, "users.view"):
        return redirect("home")
    response = redirect("user", user.pk)
    if part:
        response.headers["Location"] += f"#{part}"
    return response


def find_delivery(user: models.User, kind: str) -> Delivery:
    """Return how an email of that kind reaches the user when an edit creates it."""
    agency = user.agency
    if not agency.sends_mail or kind in agency.mails_off:
        return ""
    return "sent" if settings.MAIL_SERVER else "saved"


def run_or_respond(request: HttpRequest, work: Callable[[], Result]) -> Result | HttpResponseBase:
    """Return the result of the work, or a response if it could not be done."""
    try:
        return work()
    except NotPermitted as lacking:
        return refuse(request, str(lacking))
    except OperationalError as error:
        if not database_errors.is_busy(error):
            raise
        why = _("An import is being written right now. Nothing has changed here. Try again in a minute.")
        return render(request, "busy.html", {"why": why}, status=503)
