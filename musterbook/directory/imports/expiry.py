"""Access that expires: users whose last day is over, and users who have not signed in for a long time.

Released names that no rule needs any more expire on the same round.

Sources: CJIS Security Policy AC-2(2) (temporary accounts end automatically) and AC-2(3) (accounts without use are
disabled). Both are bulk deactivations by the system. They are recorded in the audit trail, subject to the limits of
deactivations, and can be undone.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import polars as pl
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from musterbook.core.domain.policy import Confirmed, LimitKind
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.storage import frames, isolation

_ZONE_MARGIN = timedelta(hours=12)
"""A day is over in every time zone 12 hours after it is over in UTC.

No user loses access in the middle of their last shift.
"""
_REACTIVATED = '"STATUS":["Inactive","Active"]'


def submit_due(at: datetime) -> int:
    """Submit the deactivations of users whose access has ended, and delete expired names, in every agency, once a day.

    A worker carries the deactivations out. Return the number of users concerned.
    """
    day = (at - _ZONE_MARGIN).date()
    due = models.Agency.objects.filter(Q(looked_on=None) | Q(looked_on__lt=day), paused_at=None)
    if not due.exists():
        return 0
    concerned = _find_concerned(due, day, at)
    quiet = [agency for agency in due.order_by("pk").values_list("pk", flat=True) if agency not in concerned]
    for start in range(0, len(quiet), _AGENCIES_AT_ONCE):
        models.Agency.objects.filter(pk__in=quiet[start : start + _AGENCIES_AT_ONCE]).update(looked_on=day)
    found = (models.Agency.objects.filter(pk=agency).first() for agency in sorted(concerned))
    return sum(_submit_limited(agency, day, at) for agency in found if agency)


_AGENCIES_AT_ONCE = 5_000


def _find_concerned(due: "QuerySet[models.Agency]", day: date, at: datetime) -> set[int]:
    """Return the ids of those agencies in which something ends on that day, or might.

    The number of queries does not depend on the number of agencies: most of thousands have nothing to do.
    """
    ended = models.User.objects.filter(active=True, ends_on__lt=day, agency__in=due).values_list("agency", flat=True)
    concerned = {*ended.distinct(), *due.filter(unused_days__gt=0).values_list("pk", flat=True)}
    kept = due.annotate(days=Greatest("reuse_days", "replaced_addresses_days"))
    for days in set(kept.values_list("days", flat=True)):
        names = models.ReleasedName.objects.filter(
            released_at__lt=at - timedelta(days=days), agency__in=kept.filter(days=days).values("pk")
        )
        concerned.update(names.values_list("agency", flat=True).distinct())
    return concerned


def _submit_limited(agency: models.Agency, day: date, at: datetime) -> int:
    with isolation.limit_to(agency.pk):
        return _submit(agency, day, at)


def _submit(agency: models.Agency, day: date, at: datetime) -> int:
    ended = _find_ended(agency, day)
    unused = sorted(set(find_unused(agency, agency.unused_days, at)) - set(ended))
    # The person who set these last days has confirmed them. The limits of deactivations hold the others, if too many.
    confirmed = _confirm_if_many(agency, len(ended))
    _deactivate(agency, ended, f"Last day was before {day}", f"ended {day}", at, confirmed)
    _deactivate(agency, unused, f"No sign-in for {agency.unused_days} days", f"unused {day}", at, {})
    _forget_names(agency, at)
    models.Agency.objects.filter(pk=agency.pk).update(looked_on=day)
    return len(ended) + len(unused)


def _confirm_if_many(agency: models.Agency, number: int) -> Confirmed:
    """Return the confirmation of that number of deactivations, or nothing if no limit can hold them."""
    active = models.User.objects.filter(agency=agency, active=True).count()
    own = [one for one in limits.read_limits(agency) if one.kind is LimitKind.DEACTIVATIONS and not one.off]
    allowed = min((one.allowed(active) if one.whole else one.users for one in own), default=number)
    return {LimitKind.DEACTIVATIONS.value: number} if number > allowed else {}


def _deactivate(
    agency: models.Agency, users: list[int], reason: str, key: str, at: datetime, confirmed: Confirmed
) -> None:
    if users:
        queue.submit_bulk(
            agency, users, BulkChange("deactivate"), context=AuditContext(at, "", "system"), preview=False,
            confirmed=confirmed, key=key, name=reason,
        )  # fmt: skip


def _find_ended(agency: models.Agency, day: date) -> list[int]:
    """Return the ids of the Active users whose last day is before that day."""
    users = models.User.objects.filter(agency=agency, active=True, ends_on__lt=day)
    return list(users.order_by("pk").values_list("pk", flat=True))


_NAMES_AT_ONCE = 10_000
"""Rows deleted in one transaction, so that an import does not wait long."""


def _forget_names(agency: models.Agency, at: datetime) -> None:
    """Delete the names that users released so long ago that they neither rest (IA-4) nor mean the same person (M9)."""
    since = at - timedelta(days=max(agency.reuse_days, agency.replaced_addresses_days))
    expired = models.ReleasedName.objects.filter(agency=agency, released_at__lt=since)
    while True:
        number, _ = models.ReleasedName.objects.filter(pk__in=expired.values("pk")[:_NAMES_AT_ONCE]).delete()
        if number < _NAMES_AT_ONCE:
            return


def find_unused(agency: models.Agency, days: int, at: datetime) -> list[int]:
    """Return the ids of the Active, registered users without a sign-in or reactivation for that many days.

    Return none for 0 days. Users who are exempt from synchronize are also exempt here: shared and service accounts,
    which a person has to maintain.
    """
    if not days:
        return []
    since = at - timedelta(days=days)
    registered = models.User.objects.filter(agency=agency, active=True, registered_at__isnull=False, exempt=False)
    used = Coalesce("last_sign_in_at", "registered_at")
    unused = registered.annotate(used=used).filter(used__lt=since, managed_by="")
    ids = list(unused.order_by("pk").values_list("pk", flat=True))
    reactivated = _find_reactivated(agency, ids, since)
    return [user for user in ids if user not in reactivated]


def _find_reactivated(agency: models.Agency, users: Iterable[int], since: datetime) -> set[int]:
    condition, parameter = frames.match_any("subject_id", list(users))
    sql = (
        f"SELECT DISTINCT subject_id FROM {frames.table(models.Event)}"
        f" WHERE agency_id = %s AND {condition} AND at > %s AND changes LIKE %s"
    )
    events = frames.read_frame(
        sql, [agency.pk, parameter, frames.stamp(since), f"%{_REACTIVATED}%"], {"subject_id": pl.Int64}
    )
    return set(events["subject_id"])
