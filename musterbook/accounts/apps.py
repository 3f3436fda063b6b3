"""The Django configuration of the accounts."""

from django.apps import AppConfig


class Accounts(AppConfig):
    """The app with the credentials of users."""

    name = "musterbook.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add tokens to the checks of the audit trail."""
        from musterbook.accounts import tokens
        from musterbook.directory.audit import cross_checks

        cross_checks.MORE_CHECKS[:] = [tokens.find_unrecorded]
