"""What every template may say: whose pages these are, and who reads them."""

from typing import Any

from django.http import HttpRequest


def page(request: HttpRequest) -> dict[str, Any]:
    """The agency (None on pages of the installation itself), and the user of the directory who is signed in."""
    account = getattr(request, "user", None)
    return {
        "agency": getattr(request, "agency", None),
        "me": account.user if account is not None and account.is_authenticated else None,
    }
