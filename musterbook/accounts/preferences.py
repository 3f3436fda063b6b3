"""The preferences of an account: what its user chooses for themselves."""

from musterbook.accounts.models import Account


def set_time_zone(account: Account, name: str) -> None:
    """Set the time zone in which the user reads times; "" for UTC."""
    account.time_zone = name
    account.save(update_fields=["time_zone"])
