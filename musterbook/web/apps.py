"""The Django app configuration of the pages."""

from django.apps import AppConfig


class Web(AppConfig):
    """The pages, their templates, and their assets."""

    name = "musterbook.web"
    label = "web"
