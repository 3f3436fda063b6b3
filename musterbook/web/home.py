"""The first page after sign-in."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.directory.users import user_list
from musterbook.http import incoming
from musterbook.web.permission import get_account, require_sign_in


@require_sign_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the signed-in user and where to go from here.

    An administrator who is the only user sees the first steps.
    """
    me = get_account(request).user
    first_steps = me.role.administrator and not user_list.has_users(incoming.agency(request), but=me.pk)
    return render(request, "home.html", {"first_steps": first_steps})
