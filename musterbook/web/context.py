"""What every template may say: whose pages these are, and who reads them."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from musterbook.accounts import factors
from musterbook.accounts.models import Account


def page(request: HttpRequest) -> dict[str, Any]:
    """The agency (None on pages of the installation itself), the user of the directory who is signed in, and what they lack."""
    account = getattr(request, "user", None)
    return {
        "agency": getattr(request, "agency", None),
        "me": account.user if account is not None and account.is_authenticated else None,
        "lacks_second_factor": partial(factors.lacks, account) if isinstance(account, Account) else False,
    }
