"""Names the accounts to Django."""

from django.apps import AppConfig


class Accounts(AppConfig):
    """What users sign in with."""

    name = "musterbook.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Has the library tell of each step of a sign-in, and a check of the trail look at tokens too."""
        from allauth.account.signals import authentication_step_completed

        from musterbook.accounts import again, tokens
        from musterbook.directory.audit import cross_checks

        cross_checks.ALSO[:] = [tokens.untold]
        authentication_step_completed.connect(again.signed_in, dispatch_uid="musterbook.accounts.again")
