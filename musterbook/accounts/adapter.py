"""The backend of sessions. Each session stores the name of this class, so neither the class nor the module is renamed."""

from django.contrib.auth.backends import BaseBackend

from musterbook.accounts.models import Account


class Backend(BaseBackend):
    """The backend that finds the account of a session, as long as its user may sign in.

    `signing_in` checks passwords.
    """

    def get_user(self, user_id: int) -> Account | None:
        """Return the account, unless its user is Inactive."""
        accounts = Account.objects.select_related("user__agency", "user__role")
        return accounts.filter(pk=user_id, user__active=True).first()
