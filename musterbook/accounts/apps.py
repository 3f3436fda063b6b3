"""The Django configuration of the accounts."""

from django.apps import AppConfig


class Accounts(AppConfig):
    """The app with the credentials of users."""

    name = "musterbook.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect to the library's signal for sign-in steps, and add tokens to the checks of the audit trail."""
        from allauth.account.signals import authentication_step_completed

        from musterbook.accounts import again, tokens
        from musterbook.directory.audit import cross_checks

        cross_checks.ALSO[:] = [tokens.untold]
        authentication_step_completed.connect(again.signed_in, dispatch_uid="musterbook.accounts.again")
