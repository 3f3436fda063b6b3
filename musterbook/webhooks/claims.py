"""The claim of an endpoint: one worker at a time sends to it, for as long as its lease lasts.

So no message is sent by two workers at the same time, and messages about one subject stay in order. A worker that is killed
keeps its lease until it ends, and then another worker claims the endpoint.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.storage import locks, looks
from musterbook.directory.storage.clocks import SKEW
from musterbook.webhooks import schedule

LEASE = timedelta(minutes=2)
PER_AGENCY = 3
"""The most endpoints of one agency that all workers send to at the same time."""

Clock = Callable[[], datetime]
EndCheck = Callable[[], bool]


def claim_next(worker: str, at: datetime) -> models.WebhookEndpoint | None:
    """Claim an endpoint that has a message to send, the one that was served the longest ago; None if there is none.

    It has the name of the claim as its `worker`.
    """
    if not looks.has_any(models.WebhookMessage, "ended_at IS NULL") or not select_due(at).exists():
        return None
    with locks.write_transaction(lambda: None):
        busy = Counter(models.WebhookEndpoint.objects.filter(lease_until__gt=at).values_list("agency_id", flat=True))
        full = [agency for agency, number in busy.items() if number >= PER_AGENCY]
        due = select_due(at).exclude(agency__in=full)
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, of=("self",))
        endpoint = due.select_related("agency")[:1].first()
        if endpoint is None:
            return None
        endpoint.worker, endpoint.lease_until = f"{worker[:52]}-{secrets.token_hex(4)}", at + LEASE
        endpoint.served_at = at
        endpoint.save(update_fields=["worker", "lease_until", "served_at"])
    return endpoint


def select_due(at: datetime) -> "QuerySet[models.WebhookEndpoint]":
    """Return the free endpoints that a message can be sent to, as a query set: those that wait the longest first."""
    free = Q(lease_until=None) | Q(lease_until__lt=at) | Q(lease_until__gt=at + LEASE + SKEW)
    awake = _is_due(at)
    endpoints = models.WebhookEndpoint.objects.filter(free, awake, paused_at=None, disabled_at=None)
    endpoints = endpoints.exclude(agency__in=pausing.select_paused())
    due = select_messages(at).filter(endpoint=OuterRef("pk"))
    return endpoints.filter(Exists(due)).order_by(F("served_at").asc(nulls_first=True), "pk")


def select_messages(at: datetime) -> "QuerySet[models.WebhookMessage]":
    """Return the messages that can be sent now, as a query set: those without an earlier one about the same subject."""
    earlier = models.WebhookMessage.objects.filter(
        endpoint=OuterRef("endpoint"), subject=OuterRef("subject"), ended_at=None, pk__lt=OuterRef("pk")
    )
    return models.WebhookMessage.objects.filter(~Exists(earlier), _is_due(at), ended_at=None)


def _is_due(at: datetime) -> Q:
    """Return whether another attempt is due. One further in the future than any wait is one of a clock that was set back."""
    ahead = Q(next_attempt_at__gt=at + schedule.LONGEST_WAIT + SKEW)
    return Q(next_attempt_at=None) | Q(next_attempt_at__lte=at) | ahead


def is_resting(endpoint: models.WebhookEndpoint, at: datetime) -> bool:
    """Return whether the endpoint rests because it failed several times in a row."""
    rests_until = endpoint.next_attempt_at
    return rests_until is not None and at < rests_until <= at + schedule.LONGEST_WAIT + SKEW


def renew(endpoint: models.WebhookEndpoint, at: datetime) -> bool:
    """Renew the lease, and read the endpoint again. Return False if this worker has lost it, or must send nothing more."""
    mine = _select_mine(endpoint).filter(lease_until__gt=at, paused_at=None, disabled_at=None)
    mine = mine.exclude(agency__in=pausing.select_paused())
    if not mine.update(lease_until=at + LEASE):
        return False
    agency = endpoint.agency
    endpoint.refresh_from_db()
    endpoint.agency = agency
    return True


def hold(endpoint: models.WebhookEndpoint, at: datetime) -> bool:
    """Hold the endpoint until the caller's transaction ends, and write that it was served.

    Return False if this worker has lost it, or if a person has changed its address or resumed it since it was read: a failure
    then says nothing of it.
    """
    same = _select_mine(endpoint).filter(address=endpoint.address, failures=endpoint.failures)
    return bool(same.update(served_at=at))


def write(endpoint: models.WebhookEndpoint, **fields: Any) -> bool:
    """Write columns of the endpoint, in the caller's transaction, if this worker still has it, with the same address.

    What follows at a former address says nothing of the new one.
    """
    return bool(_select_mine(endpoint).filter(address=endpoint.address).update(**fields))


def _select_mine(endpoint: models.WebhookEndpoint) -> "QuerySet[models.WebhookEndpoint]":
    return models.WebhookEndpoint.objects.filter(pk=endpoint.pk, worker=endpoint.worker)


def release(endpoint: models.WebhookEndpoint) -> None:
    """Let others claim the endpoint."""
    with locks.write_transaction(lambda: None):
        _select_mine(endpoint).update(worker="", lease_until=None)
