"""One account: with what it is loaded, and what its user chooses."""

from musterbook.accounts.models import Account
from musterbook.config import languages, time_zones


def load_account(pk: int) -> Account | None:
    """Return the account as it is now, with its user, their agency and their role, or None."""
    return Account.objects.select_related("user__agency", "user__role").filter(pk=pk).first()


def set_language(account: Account, code: str) -> None:
    """Set the language of the user's pages and emails; "" for the browser's. Raise ValueError for an unknown one."""
    if code and code not in languages.NAMES:
        raise ValueError(code)
    account.language = code
    account.save(update_fields=["language"])


def set_time_zone(account: Account, name: str) -> None:
    """Set the zone in which the user reads times; "" for the agency's or the browser's. Raise ValueError for an unknown one.

    The one of now may stay, also if the machine does not know it any more.
    """
    if name not in ("", account.time_zone) and not time_zones.is_zone(name):
        raise ValueError(name)
    account.time_zone = name
    account.save(update_fields=["time_zone"])


def set_shortcuts(account: Account, *, shortcuts: bool) -> None:
    """Set whether single keys do something on the user's pages."""
    account.shortcuts = shortcuts
    account.save(update_fields=["shortcuts"])
