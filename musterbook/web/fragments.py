"""Parts of pages, which htmx asks for."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


def is_part(request: HttpRequest) -> bool:
    """Whether a part of the page is asked for, and not all of it."""
    return bool(HtmxDetails(request))
