"""Times as a reader has them: in their zone, with the exact time behind it."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from django.utils.html import format_html
from django.utils.safestring import SafeString

from musterbook.accounts.models import Account


def zones() -> list[str]:
    """The names of the zones that one can choose from."""
    return sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))


def zone(account: Account) -> tzinfo:
    """The zone of the account; UTC where none was chosen, or this machine does not know it."""
    try:
        return ZoneInfo(account.time_zone) if account.time_zone else UTC
    except (OSError, ValueError, KeyError):
        return UTC


def element(at: datetime, where: tzinfo) -> SafeString:
    """The time as an element of a page: to the minute, as it is there; the exact time, with its distance to UTC, on hover."""
    local = at.astimezone(where)
    name = local.tzname() or ""
    shown = f"{local.day} {local:%B %Y, %H:%M}{' UTC' if name == 'UTC' else ''}"
    exact = f"{local.isoformat(' ', 'seconds')} ({name})"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, shown)
