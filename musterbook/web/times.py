"""Times as a reader sees them: in the reader's zone and language, with the exact time on hover."""

from datetime import date, datetime, tzinfo

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

_UTC = "UTC"


def format_time(at: datetime, where: tzinfo) -> str:
    """Return the time in that zone, to the minute, as the reader's language writes it. UTC is named."""
    local = at.astimezone(where)
    # Translators: a date with a time, in the letters that Django's documentation of `date` lists.
    text = date_format(local, pgettext("date", "j F Y, H:i"))
    return f"{text} {_UTC}" if local.tzname() == _UTC else text


def format_day(day: date) -> str:
    """Return a day as the reader's language writes it."""
    # Translators: a date, in the letters that Django's documentation of `date` lists.
    return str(date_format(day, pgettext("date", "j F Y")))


def render_time(at: datetime, where: tzinfo) -> SafeString:
    """Return the time as an HTML element, in local time and to the minute.

    The exact time, with its offset from UTC, appears on hover.
    """
    local = at.astimezone(where)
    exact = f"{local.isoformat(' ', 'seconds')} ({local.tzname() or ''})"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, format_time(at, where))


def render_moment(at: datetime | None) -> SafeString | str:
    """Return a time in the reader's zone as an HTML element, or “never” for None."""
    return render_time(at, timezone.get_current_timezone()) if at else _("never")
