"""The Django configuration of the accounts."""

from django.apps import AppConfig


class Accounts(AppConfig):
    """The app with the credentials of users."""

    name = "musterbook.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add tokens to the checks of the audit trail, and credentials to what a former person loses."""
        from musterbook.accounts import former_persons, tokens
        from musterbook.directory.apply import former_persons as directory_side
        from musterbook.directory.audit import cross_checks

        cross_checks.MORE_CHECKS[:] = [tokens.find_unrecorded]
        directory_side.MORE_CREDENTIALS[:] = [former_persons.forget_credentials]
