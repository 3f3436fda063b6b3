"""Fragments of pages, which htmx requests."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


def is_part(request: HttpRequest) -> bool:
    """Return whether the request asks for a fragment and not for the whole page."""
    return bool(HtmxDetails(request))
