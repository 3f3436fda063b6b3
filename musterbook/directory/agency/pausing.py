"""The pause of an agency: nobody signs in, nothing is changed or sent, and no worker does anything for it, until it is resumed.

A paused agency is whole and at rest, so it can move to another installation: no change can follow that is lost.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks

_LONGEST_WAIT = timedelta(minutes=6)
"""The longest time to wait for what workers have begun: longer than their claims last."""
_POLL_SECONDS = 0.2


class CannotPause(Exception):
    """The agency cannot be paused or resumed. The message says why and what to do."""


def select_paused() -> "QuerySet[models.Agency]":
    """Return the paused agencies, as a query set."""
    return models.Agency.objects.filter(paused_at__isnull=False)


def pause(agency: models.Agency, context: AuditContext, wait: Callable[[], None] = lambda: None) -> None:
    """Pause the agency, and return when nothing is in progress: no import, no check of a feed, no message on its way.

    An agency that is paused already stays so, and only what is in progress is waited for.

    `wait`: is called while it waits. An import that runs is finished first. Raise CannotPause, even if the command is
    interrupted when the agency is paused already; before that, the interrupt goes on.
    """
    try:
        if not agency.paused_at:
            _pause(agency, context, wait)
        _wait_until_idle(agency, wait)
    except KeyboardInterrupt:
        if not select_paused().filter(pk=agency.pk).exists():
            raise
        raise CannotPause(
            _(
                "%(slug)s is paused, but a worker may still send or check something for it. Before you export the agency, run "
                "`muster agency pause %(slug)s` again: it waits. `muster agency resume %(slug)s` ends the pause."
            )
            % {"slug": agency.slug}
        ) from None


def _pause(agency: models.Agency, context: AuditContext, wait: Callable[[], None]) -> None:
    with locks.hold_import_lock(agency, wait), transaction.atomic():
        # The event comes first: nothing is recorded of a paused agency.
        trail.record_event(agency, context, EventKind.AGENCY_PAUSED)
        models.Agency.objects.filter(pk=agency.pk).update(paused_at=context.at)
    agency.paused_at = context.at


def _wait_until_idle(agency: models.Agency, wait: Callable[[], None]) -> None:
    until = time.monotonic() + _LONGEST_WAIT.total_seconds()
    # Claims that began before the pause may be committed after the first look.
    for _look in range(2):
        time.sleep(_POLL_SECONDS)
        while is_busy(agency, datetime.now(UTC)):
            if time.monotonic() > until:
                raise CannotPause(
                    _(
                        "%(slug)s is paused, but a worker still sends or checks something for it. Before you export the "
                        "agency, run `muster agency pause %(slug)s` again, or end the worker."
                    )
                    % {"slug": agency.slug}
                )
            wait()
            time.sleep(_POLL_SECONDS)


def is_busy(agency: models.Agency, at: datetime) -> bool:
    """Return whether a worker holds a claim on something of the agency: an email, a feed or a webhook."""
    held = Q(lease_until__gt=at)
    return (
        models.Mail.objects.filter(held, agency=agency, ended_at=None).exists()
        or models.Feed.objects.filter(held, agency=agency).exists()
        or models.WebhookEndpoint.objects.filter(held, agency=agency).exists()
    )


def resume(agency: models.Agency, context: AuditContext, *, exported: bool = False) -> None:
    """End the pause: users sign in, feeds run, and what waits is sent.

    `exported`: even if the agency was exported since it was paused, so that another installation may have it. Raise
    CannotPause.
    """
    with transaction.atomic():
        locks.lock_row(agency, paused=True)
        agency.refresh_from_db(fields=["paused_at"])
        if agency.paused_at is None:
            raise CannotPause(_("%(slug)s is not paused.") % {"slug": agency.slug})
        if not exported and has_export(agency):
            raise CannotPause(
                _(
                    "%(slug)s was exported after it was paused. If another installation has it now, it would run twice: "
                    "emails would be sent twice, and each would know only some of the changes. If no other installation "
                    "has it, add --yes."
                )
                % {"slug": agency.slug}
            )
        models.Agency.objects.filter(pk=agency.pk).update(paused_at=None)
        agency.paused_at = None
        trail.record_event(agency, context, EventKind.AGENCY_RESUMED)


def has_export(agency: models.Agency) -> bool:
    """Return whether the agency was exported since it was paused."""
    return models.Event.objects.filter(
        agency=agency, kind=EventKind.AGENCY_EXPORTED, at__gte=agency.paused_at, subject=None
    ).exists()
