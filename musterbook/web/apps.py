"""The Django app configuration of the pages."""

from typing import Any

from django.apps import AppConfig


class Web(AppConfig):
    """The pages, their templates, and their assets."""

    name = "musterbook.web"
    label = "web"

    def ready(self) -> None:
        """Connect to the account library's signal for sign-in steps."""
        from allauth.account.signals import authentication_step_completed

        authentication_step_completed.connect(_handle_sign_in_step, dispatch_uid=__name__)


def _handle_sign_in_step(**step: Any) -> None:
    # Commands send no such signal, so they do not load what handles it: that takes a tenth of a second.
    from musterbook.http import reauthentication

    reauthentication.handle_sign_in_step(**step)
