"""The directory as an application of Django's: agencies, their users, and all that is done to them."""

from django.apps import AppConfig


class DirectoryConfig(AppConfig):
    """The directory."""

    name = "musterbook.directory"
    label = "directory"
    default_auto_field = "django.db.models.BigAutoField"
