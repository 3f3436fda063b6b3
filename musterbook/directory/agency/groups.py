"""Groups: list, add, change, end and delete them. Users hold their membership; monitors are handled here."""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.agency import agencies, vocabularies
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks


def list_groups(agency: models.Agency) -> list[models.Group]:
    """Return the agency's groups, by name."""
    return list(models.Group.objects.filter(agency=agency).order_by("name", "external_id"))


def search_groups(agency: models.Agency, text: str, most: int) -> list[tuple[models.Group, int]]:
    """Return the first groups whose name or external ID contains the text, by name, each with its number of members.

    `text`: "" for all groups. `most`: the most groups to return.
    """
    matching = models.Group.objects.filter(agency=agency).select_related("parent").order_by("name", "pk")
    if text:
        matching = matching.filter(Q(name__icontains=text) | Q(external_id__icontains=text))
    groups = list(matching[:most])
    members = vocabularies.count_users(agency, "group", [group.pk for group in groups])
    return [(group, members.get(group.pk, 0)) for group in groups]


def list_members(group: models.Group, most: int) -> list[models.User]:
    """Return the first members of the group, by name, each with role and rank."""
    members = models.User.objects.filter(agency=group.agency_id, group=group).select_related("role", "rank")
    return list(members.order_by("name_key", "pk")[:most])


def list_groups_in(group: models.Group) -> list[models.Group]:
    """Return the groups that are part of the group, by name."""
    return list(models.Group.objects.filter(agency=group.agency_id, parent=group).order_by("name", "external_id"))


def list_monitor_groups(group: models.Group) -> list[models.Group]:
    """Return the groups whose members monitor the group, by name."""
    ids = models.GroupMonitor.objects.filter(group=group).values("monitor")
    return list(models.Group.objects.filter(agency=group.agency_id, pk__in=ids).order_by("name", "external_id"))


def list_monitors(group: models.Group) -> list[models.User]:
    """Return the users who monitor the group, by name."""
    monitor_ids = models.Monitor.objects.filter(group=group).values("user")
    return list(models.User.objects.filter(agency=group.agency_id, pk__in=monitor_ids).order_by("name_key", "pk"))


def add(agency: models.Agency, external_id: str, name: str, context: AuditContext) -> models.Group:
    """Add a new, active group, and return it. Raise InvalidValue."""
    with agencies.changing(agency, context):
        return insert(agency, external_id, name)


def insert(agency: models.Agency, external_id: str, name: str = "") -> models.Group:
    """Add a new, active group as `add` does. The caller records the change (`agencies.changing`)."""
    return models.Group.objects.create(agency=agency, **_clean_fields(agency, external_id, name))


def change(
    group: models.Group, external_id: str, name: str, active: bool, context: AuditContext, *, parent: str | None = None
) -> None:
    """Rename a group, end it or make it active again; its members stay in it. Raise InvalidValue.

    `parent`: the external ID of the group that it is part of from now on, "" for none. None: as it is.
    """
    with agencies.changing(group.agency, context):
        fields: dict[str, Any] = _clean_fields(group.agency, external_id, name, group.pk)
        if parent is not None:
            fields["parent"] = _find_parent(group, parent.strip())
        models.Group.objects.filter(pk=group.pk).update(active=active, changed_at=context.at, **fields)


def _find_parent(group: models.Group, external_id: str) -> models.Group | None:
    """Return the group with this external ID, of which the group can be a part. Raise InvalidValue."""
    if not external_id:
        return None
    parent = find_by_id(group.agency, external_id)
    if parent is None:
        raise InvalidValue("parent", _("There is no group with the external ID %(id)s.") % {"id": external_id})
    above: models.Group | None = parent
    while above is not None:
        if above.pk == group.pk:
            raise InvalidValue(
                "parent",
                _("The group %(id)s is part of this one, or is this one. Enter another.") % {"id": external_id},
            )
        above = above.parent
    return parent


def find_by_id(agency: models.Agency, external_id: str) -> models.Group | None:
    """Return the agency's group with this external ID, or None."""
    return models.Group.objects.filter(agency=agency, external_id=external_id).first()


def _clean_fields(agency: models.Agency, external_id: str, name: str, except_id: int = 0) -> dict[str, str]:
    stored_id = vocabularies.clean_text(external_id, "external_id")
    if models.Group.objects.filter(agency=agency, external_id=stored_id).exclude(pk=except_id).exists():
        raise InvalidValue(
            "external_id", _("Another group has the external ID %(id)s. Enter another.") % {"id": stored_id}
        )
    return {"external_id": stored_id, "name": vocabularies.clean_text(name, "name", required=False) or stored_id}


def delete(group: models.Group, context: AuditContext) -> None:
    """Delete a group that has no members. Raise InUse."""
    with agencies.changing(group.agency, context):
        vocabularies.delete_entry(group, "group")


def add_monitor_group(group: models.Group, monitor: models.Group, context: AuditContext) -> bool:
    """Let every member of another group of the agency monitor the group; return whether they did not do so already."""
    with agencies.changing(group.agency, context):
        _pair, added = models.GroupMonitor.objects.get_or_create(group=group, monitor=monitor)
    return added


def remove_monitor_group(group: models.Group, monitor: models.Group, context: AuditContext) -> bool:
    """Remove a group as a monitor of the group; return whether it was one."""
    with agencies.changing(group.agency, context):
        removed, _by_model = models.GroupMonitor.objects.filter(group=group, monitor=monitor).delete()
    return bool(removed)


def add_monitor(group: models.Group, user: models.User, context: AuditContext) -> bool:
    """Make a user of the same agency a monitor of the group; return whether they were not one already."""
    with transaction.atomic():
        locks.lock_row(group.agency)
        _, added = models.Monitor.objects.get_or_create(group=group, user=user)
        if added:
            trail.record_event(
                group.agency, context, EventKind.GROUP_MONITOR_ADDED, user, {"group": ("", group.external_id)}
            )
    return added


def remove_monitor(group: models.Group, user: models.User, context: AuditContext) -> bool:
    """Remove a user as a monitor of the group; return whether they were one."""
    with transaction.atomic():
        locks.lock_row(group.agency)
        removed, _ = models.Monitor.objects.filter(group=group, user=user).delete()
        if removed:
            trail.record_event(
                group.agency, context, EventKind.GROUP_MONITOR_REMOVED, user, {"group": (group.external_id, "")}
            )
    return bool(removed)
