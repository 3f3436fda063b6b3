"""Requests for a new password: the page only stores the request, and the worker finds the user.

So the page does the same work whether or not the name exists, and its response time does not reveal which it was.
"""

from contextlib import suppress

from django.db import transaction

from musterbook.accounts import registration
from musterbook.accounts.models import ResetRequest
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.directory.storage import isolation, locks, looks


def store_request(agency: Agency, name: str, context: AuditContext) -> None:
    """Store a request for a new password, for the user with that username or address."""
    ResetRequest.objects.create(
        agency=agency, name=name, at=context.at, address=context.address, agent=context.agent[:255]
    )


def answer_requests() -> int:
    """Answer each stored request once, and return how many there were. Those of paused agencies wait."""
    if not looks.has_any(ResetRequest, "TRUE"):
        return 0
    waiting = ResetRequest.objects.filter(agency__paused_at=None).select_related("agency").order_by("pk")
    return sum(_answer_request(request) for request in waiting.iterator())


def _answer_request(request: ResetRequest) -> bool:
    context = AuditContext(request.at, "", "page", request.address, request.agent)
    # An agency that is paused meanwhile keeps its request.
    with suppress(locks.AgencyPaused), isolation.limit_to(request.agency_id), transaction.atomic():
        deleted, _ = ResetRequest.objects.filter(pk=request.pk).delete()
        if deleted:
            registration.request_reset(request.agency, request.name, context)
            return True
    return False
