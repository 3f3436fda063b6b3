"""Times that were written by a clock that was wrong: they are in the future when it is set right, and nothing waits for them."""

from datetime import datetime, timedelta

from django.db.models import Q

SKEW = timedelta(minutes=1)
"""How much the clocks of two machines may differ. A time further in the future is one of a clock that was set back."""


def is_recent(column: str, at: datetime, span: timedelta) -> Q:
    """Return the condition that the time in the column is within the span before `at`."""
    return Q(**{f"{column}__gt": at - span, f"{column}__lte": at + SKEW})
