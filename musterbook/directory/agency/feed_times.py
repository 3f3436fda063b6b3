"""The times in the settings of a feed: how often and when it is checked, and when its file is expected."""

from collections.abc import Iterator
from datetime import date, time
from typing import Any

from django.utils.translation import gettext as _

from musterbook.directory.agency.feed_errors import Errors, show_value

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of a week, as `feeds.schedule` names them."""
MINUTES = (1, 1440)
"""The fewest and the most minutes between two checks."""
_MOST, _MOST_BLACKOUT = 20, 366
_WINDOW = '{ days = ["mon", "tue"], from = "01:00", to = "06:00" }'
_DEADLINE = '{ days = ["mon", "tue"], at = "06:00" }'
_END = "24:00"


def parse_minutes(value: object, errors: Errors) -> int:
    """Return the minutes between two checks."""
    return errors.read_number(value, *MINUTES)


def parse_windows(value: object, errors: Errors) -> list[dict[str, Any]]:
    """Return the windows in which the feed is checked."""
    windows = []
    for table in _read_tables(value, ("days", "from", "to"), _WINDOW, errors):
        window = {
            "days": _read_days(table, errors),
            "from": _read_time(table, "from", _WINDOW, errors),
            "to": _read_time(table, "to", _WINDOW, errors),
        }
        if window["from"] == window["to"]:
            same = _("A window begins and ends at %(time)s. Write from 00:00 to 24:00 for a whole day.")
            errors.add(same % {"time": window["from"]})
        windows.append(window)
    return windows


def parse_deadlines(value: object, errors: Errors) -> list[dict[str, Any]]:
    """Return the times by which a file is expected."""
    return [
        {"days": _read_days(table, errors), "at": _read_time(table, "at", _DEADLINE, errors)}
        for table in _read_tables(value, ("days", "at"), _DEADLINE, errors)
    ]


def parse_blackout(value: object, errors: Errors) -> list[str]:
    """Return the days on which the feed is not checked, and no file is expected."""
    return sorted({day for entry in errors.read_list(value, _MOST_BLACKOUT) for day in _read_dates(entry, errors)})


def _read_dates(value: object, errors: Errors) -> Iterator[str]:
    try:
        # TOML has dates of its own. One with a time is not a day.
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-12-25") else value
    except ValueError:
        day = None
    if type(day) is date:
        yield day.isoformat()
    else:
        errors.add(_("%(value)s is not a day. Write it like 2026-12-25.") % {"value": show_value(value)})


def _read_tables(value: object, known: tuple[str, ...], example: str, errors: Errors) -> Iterator[dict[str, Any]]:
    for entry in errors.read_list(value, _MOST):
        if isinstance(entry, dict) and set(entry) <= set(known):
            yield entry
        else:
            text = _("%(value)s is not possible. Write it like %(example)s.")
            errors.add(text % {"value": show_value(entry), "example": example})


def _read_days(table: dict[str, Any], errors: Errors) -> list[str]:
    """Return the days of a table in the order of the week. A table without days is for every day."""
    given = errors.read_texts(table.get("days", list(DAYS)), len(DAYS), 20)
    days = [day for day in DAYS if day in given]
    if not days or set(given) - set(DAYS):
        text = _("%(value)s are not days. Write a list of any of these: %(days)s.")
        errors.add(text % {"value": show_value(given), "days": ", ".join(DAYS)})
    return days


def _read_time(table: dict[str, Any], name: str, example: str, errors: Errors) -> str:
    value = table.get(name)
    # TOML has times of its own.
    text = value.isoformat() if isinstance(value, time) else value
    try:
        if text == _END and name == "to":
            return _END
        # Python 3.14 reads 24:00 as the midnight after, which no time of a day is.
        if isinstance(text, str) and len(text) in {len("01:00"), len("01:00:00")} and not text.startswith("24"):
            found = time.fromisoformat(text)
            if found == found.replace(second=0, microsecond=0, tzinfo=None):
                return f"{found:%H:%M}"
    except ValueError:
        pass
    wrong = _("%(value)s is not a time. Write it like %(example)s.")
    errors.add(wrong % {"value": show_value("" if value is None else value), "example": example})
    return ""
