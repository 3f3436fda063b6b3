"""The backend of sessions. Each session stores the name of this class, so neither the class nor the module is renamed."""

from django.contrib.auth.backends import BaseBackend

from musterbook.accounts.account import load_account
from musterbook.accounts.models import Account


class Backend(BaseBackend):
    """The backend that finds the account of a session, as long as its user may sign in.

    `signing_in` checks passwords.
    """

    def get_user(self, user_id: int) -> Account | None:
        """Return the account, unless its user is Inactive."""
        account = load_account(user_id)
        return account if account and account.user.active else None
