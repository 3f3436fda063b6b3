"""What is due by the clock: messages of endpoints that take none are given up, and old messages are forgotten."""

from datetime import datetime, timedelta

from django.db.models import Q

from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.storage import looks

KEPT_FOR = timedelta(days=30)
"""For this long a message is kept after it was delivered or given up."""
_FORGOTTEN_AT_ONCE = 5_000


def give_up_old(at: datetime) -> int:
    """Give up messages whose time is over and that are not being sent. Return their number.

    Those of an endpoint that takes messages are given up at their last attempt.
    """
    if not looks.has_any(models.WebhookMessage, "ended_at IS NULL"):
        return 0
    idle = Q(paused_at__isnull=False) | Q(disabled_at__isnull=False) | Q(failing_since__isnull=False)
    endpoints = models.WebhookEndpoint.objects.filter(idle).values_list("pk", flat=True)
    waiting = models.WebhookMessage.objects.filter(endpoint__in=list(endpoints), ended_at=None)
    waiting = waiting.exclude(endpoint__agency__in=pausing.select_paused())
    return waiting.filter(until__lt=at - timedelta(hours=1)).update(ended_at=at)


def forget_old(at: datetime) -> int:
    """Delete some of the messages that ended KEPT_FOR ago. Return their number."""
    old = models.WebhookMessage.objects.filter(ended_at__lt=at - KEPT_FOR).order_by("ended_at")
    number, _ = models.WebhookMessage.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
    ).delete()
    return number
