"""What waits to be sent to endpoints, and what was given up, for the metrics."""

from collections import Counter
from datetime import datetime

from django.db import connection
from django.db.models import Count, Min

from musterbook.directory.agency import pausing
from musterbook.directory.models import WebhookEndpoint, WebhookMessage
from musterbook.directory.storage import frames

ENDPOINT_STATES = ("sending", "paused", "disabled")
"""The states of endpoints. “disabled”: it did not take messages, and gets no new ones."""


def read_backlog(at: datetime) -> tuple[int, int, float]:
    """Return how many messages wait, how many were given up, and the age in seconds of the oldest one (0: none waits).

    Those of paused agencies wait for no worker.
    """
    # An index has the ids of those that wait, so no message is read but the oldest.
    resting = WebhookEndpoint.objects.filter(agency__in=pausing.select_paused())
    unsent = WebhookMessage.objects.filter(ended_at=None).exclude(endpoint__in=resting)
    waiting = unsent.aggregate(number=Count("id"), first=Min("id"))
    oldest = WebhookMessage.objects.filter(pk=waiting["first"]).values_list("at", flat=True).first()
    return waiting["number"], _count_given_up(), max((at - oldest).total_seconds(), 0) if oldest else 0.0


def _count_given_up() -> int:
    # SQLite would take the larger index of all messages that have ended.
    hint = "" if frames.on_postgres() else "INDEXED BY webhook_message_given_up"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM {frames.table(WebhookMessage)} {hint} WHERE ended_at IS NOT NULL AND NOT delivered"  # noqa: S608  (only names of our own)
        )
        return int(cursor.fetchone()[0])


def count_endpoints() -> Counter[str]:
    """Return the number of endpoints of all agencies in each of ENDPOINT_STATES. Those of paused agencies are paused."""
    states = WebhookEndpoint.objects.values_list("agency__paused_at", "disabled_at", "paused_at")
    return Counter(
        "paused" if resting else "disabled" if disabled else "paused" if paused else "sending"
        for resting, disabled, paused in states
    )
