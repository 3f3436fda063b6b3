"""The first pages: those of the installation itself, and the one after sign-in."""

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from musterbook.directory.installation import migration
from musterbook.directory.users import user_list
from musterbook.http import request_context
from musterbook.web import first_run
from musterbook.web.permission import get_account, require_sign_in

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


@require_sign_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the signed-in user and where to go from here.

    An administrator who is the only user sees the first steps.
    """
    me = get_account(request).user
    first_steps = me.role.administrator and not user_list.has_users(request_context.agency(request), except_id=me.pk)
    return render(request, "home.html", {"first_steps": first_steps})
