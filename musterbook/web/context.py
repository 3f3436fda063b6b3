"""What every template may say: whose pages these are, who reads them, and where the menus lead."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from musterbook.accounts import factors
from musterbook.web import menu


def page(request: HttpRequest) -> dict[str, Any]:
    """The agency (None on pages of the installation itself), and for who is signed in: the user, what they lack, the menus."""
    account = getattr(request, "user", None)
    agency = getattr(request, "agency", None)
    if agency is None or account is None or not account.is_authenticated:
        return {"agency": agency, "me": None}
    me = account.user
    return {
        "agency": agency,
        "me": me,
        "menu": menu.parts(menu.ADMIN, request, me),
        "my_account": menu.shown(menu.MY_ACCOUNT, request, me),
        "lacks_second_factor": partial(factors.lacks, account),
    }
