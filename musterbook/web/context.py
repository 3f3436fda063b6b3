"""The context of every template: the agency, the signed-in user, and the menus."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from musterbook.accounts import factors
from musterbook.web import menu


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the agency, and the context of the signed-in user.

    The agency is None on pages of the installation itself. The context of the user has the user, whether they lack a
    second factor, and the menus.
    """
    account = getattr(request, "user", None)
    agency = getattr(request, "agency", None)
    if agency is None or account is None or not account.is_authenticated:
        return {"agency": agency, "me": None}
    me = account.user
    return {
        "agency": agency,
        "me": me,
        "menu": menu.list_sections(menu.ADMIN, request, me),
        "my_account": menu.list_entries(menu.MY_ACCOUNT, request, me),
        "lacks_second_factor": partial(factors.lacks_factor, account),
    }
