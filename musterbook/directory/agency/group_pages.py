"""The groups of an agency, their members and their monitors, page by page, in orders that have an index."""

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Q

from musterbook.directory import models
from musterbook.directory.agency import vocabularies


def read_groups(agency: models.Agency, text: str, after: str, most: int) -> list[tuple[models.Group, int]]:
    """Return the next groups after an external ID ("": from the first), by external ID, each with its number of members.

    `text`: a part of the name or of the external ID, "" for all groups.
    """
    matching = models.Group.objects.filter(agency=agency, external_id__gt=after)
    if text:
        matching = matching.filter(Q(name__icontains=text) | Q(external_id__icontains=text))
    groups = list(matching.select_related("parent").order_by("external_id")[:most])
    members = vocabularies.count_users(agency, "group", [group.pk for group in groups])
    return [(group, members.get(group.pk, 0)) for group in groups]


def map_monitor_groups(groups: Sequence[models.Group]) -> dict[int, list[str]]:
    """Return the external IDs of the groups whose members monitor each of these groups. A group without any is left out."""
    found: dict[int, list[str]] = defaultdict(list)
    pairs = models.GroupMonitor.objects.filter(group__in=[group.pk for group in groups]).order_by(
        "monitor__external_id"
    )
    for group, monitor in pairs.values_list("group", "monitor__external_id"):
        found[group].append(monitor)
    return found


def read_members(group: models.Group, after: int, most: int) -> list[models.User]:
    """Return the next members of the group after the user with this number (0: from the first), by number."""
    members = models.User.objects.filter(agency=group.agency_id, group=group, pk__gt=after)
    return list(members.order_by("pk")[:most])


def read_monitors(group: models.Group, after: int, most: int) -> list[models.User]:
    """Return the next users who monitor the group themselves, after the user with this number, by number."""
    monitors = models.Monitor.objects.filter(group=group, user__agency=group.agency_id, user__gt=after)
    return [monitor.user for monitor in monitors.select_related("user").order_by("user")[:most]]
