"""Times as a reader sees them: in the reader's time zone, with the exact time on hover."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from django.utils.html import format_html
from django.utils.safestring import SafeString

from musterbook.accounts.models import Account


def list_zones() -> list[str]:
    """Return the names of the time zones that a user can choose."""
    return sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))


def find_zone(account: Account) -> tzinfo:
    """Return the time zone of the account.

    Return UTC if no zone was chosen, or if this machine does not know it.
    """
    try:
        return ZoneInfo(account.time_zone) if account.time_zone else UTC
    except (OSError, ValueError, KeyError):
        return UTC


def render_time(at: datetime, where: tzinfo) -> SafeString:
    """Return the time as an HTML element, in local time and to the minute.

    The exact time, with its offset from UTC, appears on hover.
    """
    local = at.astimezone(where)
    name = local.tzname() or ""
    text = f"{local.day} {local:%B %Y, %H:%M}{' UTC' if name == 'UTC' else ''}"
    exact = f"{local.isoformat(' ', 'seconds')} ({name})"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, text)
