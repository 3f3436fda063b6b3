"""Names the pages to Django."""

from django.apps import AppConfig


class Web(AppConfig):
    """Pages, their templates and assets."""

    name = "musterbook.web"
    label = "web"
