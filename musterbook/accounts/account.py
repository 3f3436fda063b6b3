"""One account: with what it is loaded, and what its user chooses."""

from musterbook.accounts.models import Account


def load_account(pk: int) -> Account | None:
    """Return the account as it is now, with its user, their agency and their role, or None."""
    return Account.objects.select_related("user__agency", "user__role").filter(pk=pk).first()


def set_time_zone(account: Account, name: str) -> None:
    """Set the time zone in which the user reads times; "" for UTC."""
    account.time_zone = name
    account.save(update_fields=["time_zone"])
