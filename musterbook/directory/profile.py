"""What there is to tell of one user: their state, who reports to them, what was done to them, and by which imports."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models.expressions import RawSQL

from musterbook.core import report
from musterbook.directory import models, states, users
from musterbook.directory.filters import USERS, Wanted

MOST_REPORTS, MOST_EVENTS, MOST_IMPORTS = users.PAGE, 20, 10


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a user. `by`: the name of who did it, "" for the system; `number`: the import's."""

    at: datetime
    kind: str
    actor: str
    by: str
    through: str
    address: str
    outcome: str
    changes: report.Changes
    number: str


def state(user: models.User, at: datetime) -> str:
    """The user's state at that time, one of states.STATES."""
    of = RawSQL(*states.state(f"{USERS}.", at))  # noqa: S611  (nothing in it comes from outside)
    return str(models.User.objects.filter(pk=user.pk).values_list(of, flat=True).get())


def reports(user: models.User, at: datetime) -> tuple[list[users.Listed], int]:
    """Whose supervisor the user is, the first of them by name, and how many in all (10,001: more than 10,000)."""
    wanted = Wanted(supervisor=user.pk)
    first = users.page(user.agency, wanted, at=at).users
    return first, len(first) if len(first) < MOST_REPORTS else users.count(user.agency, wanted, at=at)


def monitors(user: models.User) -> list[models.Group]:
    """The groups that the user monitors, by name."""
    watched = models.Monitor.objects.filter(user=user).values("group")
    return list(models.Group.objects.filter(agency=user.agency_id, pk__in=watched).order_by("name", "pk"))


def imports(user: models.User) -> list[models.Import]:
    """The imports that have changed the user, the latest first."""
    touched = models.Event.objects.filter(subject=user, agency=user.agency_id, of__isnull=False)
    ids = touched.order_by("-of_id").values_list("of_id", flat=True).distinct()[:MOST_IMPORTS]
    return list(models.Import.objects.filter(pk__in=list(ids)).order_by("-number"))


def happened(user: models.User) -> list[Happened]:
    """The latest events of which the user is the subject."""
    events = models.Event.objects.filter(subject=user, agency=user.agency_id).select_related("of").order_by("-pk")
    latest = list(events[:MOST_EVENTS])
    names = names_of(user.agency, {event.actor for event in latest})
    return [
        Happened(
            event.at,
            event.kind,
            event.actor,
            names.get(event.actor, event.actor),
            event.through,
            event.address,
            event.outcome,
            report.parsed(event.changes),
            event.of.number if event.of else "",
        )
        for event in latest
    ]


def names_of(agency: models.Agency, external_ids: Iterable[str]) -> dict[str, str]:
    """External id → name, of those who are users of the agency."""
    found = models.User.objects.filter(agency=agency, external_id__in=set(external_ids))
    return {who: f"{first} {last}" for who, first, last in found.values_list("external_id", "first_name", "last_name")}
