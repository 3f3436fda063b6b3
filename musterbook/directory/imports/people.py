"""The users that an import names by the external IDs of its time, as the directory has them now."""

from collections.abc import Iterable
from dataclasses import dataclass

from musterbook.directory import models


@dataclass(frozen=True, slots=True)
class Person:
    """A user: the id of their page, and their name."""

    pk: int
    name: str


def find_people(record: models.Import, external_ids: Iterable[str]) -> dict[str, Person]:
    """Return a map from external ID to the user of the agency who had it when the import was made."""
    ids = set(external_ids)
    users = models.User.objects.filter(agency=record.agency_id, external_id__in=ids)
    found = {
        external_id: Person(pk, f"{first} {last}")
        for pk, external_id, first, last in users.values_list("pk", "external_id", "first_name", "last_name")
    }
    former = models.FormerId.objects.filter(
        agency=record.agency_id, external_id__in=ids, until__gte=record.started_at
    ).order_by("-until", "-pk")
    fields = ("external_id", "user_id", "user__first_name", "user__last_name")
    for external_id, pk, first, last in former.values_list(*fields):
        found[external_id] = Person(pk, f"{first} {last}")
    return found
