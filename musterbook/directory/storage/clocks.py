"""Times that were written by a clock that was wrong: they are in the future when it is set right, and nothing waits for them."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from musterbook.directory.storage import frames

SKEW = timedelta(minutes=1)
"""How much the clocks of two machines may differ. A time further in the future is one of a clock that was set back."""


def is_recent(column: str, at: datetime, span: timedelta) -> Q:
    """Return the condition that the time in the column is within the span before `at`."""
    return Q(**{f"{column}__gt": at - span, f"{column}__lte": at + SKEW})


def confirm(at: datetime) -> datetime:
    """Return the time of this machine, or that of the database's server if this machine is far behind it.

    What another machine has just written must not seem to be in the future because this one has a clock that is behind.
    """
    if not frames.on_postgres():
        return at  # the database is on this machine
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        server: datetime = cursor.fetchone()[0]
    return max(at, server - SKEW)
