"""Times on pages."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from musterbook.accounts import times

register = template.Library()


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """A time in the reader's zone, the exact one on hover; “never” for none."""
    return times.element(at, timezone.get_current_timezone()) if at else "never"
