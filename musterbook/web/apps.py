"""The Django app configuration of the pages."""

from django.apps import AppConfig


class Web(AppConfig):
    """The pages, their templates, and their assets."""

    name = "musterbook.web"
    label = "web"

    def ready(self) -> None:
        """Connect to the account library's signal for sign-in steps."""
        from allauth.account.signals import authentication_step_completed

        from musterbook.http import reauthentication

        authentication_step_completed.connect(
            reauthentication.handle_sign_in_step, dispatch_uid=reauthentication.__name__
        )
