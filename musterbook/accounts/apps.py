"""Names the accounts to Django."""

from django.apps import AppConfig


class Accounts(AppConfig):
    """What users sign in with."""

    name = "musterbook.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
