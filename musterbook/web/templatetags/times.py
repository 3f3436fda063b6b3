"""Template filters for times."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from musterbook.web import times

register = template.Library()


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Return a time in the reader's zone, with the exact time on hover, or “never” for None."""
    return times.render_time(at, timezone.get_current_timezone()) if at else "never"
