"""When a message is tried again: soon at first, then less often, for three days (`docs/reference/webhooks.md`)."""

import secrets
from datetime import datetime, timedelta

from musterbook.directory import models

WAITS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 900, 1800, 3600))
"""The waits after the first failures. After the last one, there is an attempt every hour."""
JITTER = 0.2
"""Each wait is longer by a random share up to this one, so that many messages do not come back at the same moment."""
LONGEST_WAIT = WAITS[-1] * (1 + JITTER)
RESTS_AFTER = 3
"""After so many failures in a row, an endpoint rests: only one message is tried at a time, after the same waits."""


def find_next(message: models.WebhookMessage, at: datetime) -> datetime | None:
    """Return when a message is tried again that has failed at that time; None if it is given up.

    The last attempt is at the time at which it ends.
    """
    return None if at >= message.until else min(at + _wait(message.attempts), message.until)


def find_end_of_rest(failures: int, at: datetime) -> datetime | None:
    """Return the end of the rest of an endpoint after this number of failures in a row; None if it does not rest."""
    return at + _wait(failures - RESTS_AFTER + 1) if failures >= RESTS_AFTER else None


def _wait(failures: int) -> timedelta:
    wait = WAITS[min(failures, len(WAITS)) - 1]
    return wait * (1 + JITTER * secrets.randbelow(1000) / 1000)
