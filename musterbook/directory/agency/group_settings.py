"""The groups of an agency as its agency file lists them, and as the audit trail describes them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from musterbook.core.planning.entries import parents
from musterbook.directory import models


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """A group in an agency file.

    `parent`: the external ID of the group that it is part of ("": none). `monitors`: those of the groups whose members
    monitor it. None for both: the file does not mention them, so they stay.
    """

    external_id: str
    name: str
    active: bool = True
    parent: str | None = None
    monitors: tuple[str, ...] | None = None


class WrongGroups(Exception):
    """The groups of a file cannot be written; `sentences` say why."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(*sentences)
        self.sentences = sentences


def write_groups(agency: models.Agency, groups: Sequence[GroupSettings]) -> None:
    """Add the groups and update them to match the file. Raise WrongGroups."""
    for group in groups:
        models.Group.objects.update_or_create(
            agency=agency, external_id=group.external_id, defaults={"name": group.name, "active": group.active}
        )
    known = {group.external_id: group for group in models.Group.objects.filter(agency=agency)}
    _check_links(agency, groups, known)
    for group in groups:
        if group.parent is not None:
            models.Group.objects.filter(pk=known[group.external_id].pk).update(parent=known.get(group.parent))
        if group.monitors is not None:
            _write_monitors(known[group.external_id], [known[name] for name in group.monitors])


def _check_links(agency: models.Agency, groups: Sequence[GroupSettings], known: dict[str, models.Group]) -> None:
    unknown = {name for group in groups for name in (group.parent, *(group.monitors or ())) if name} - known.keys()
    text = _("there is no group “%(name)s”.")
    wrong = [text % {"name": name} for name in sorted(unknown)]
    stored = {key: parent or "" for key, parent in _list_parents(agency)}
    circles = parents.find_circles(
        stored, {group.external_id: group.parent for group in groups if group.parent is not None}
    )
    text = _("the group would be part of itself: %(path)s.")
    wrong += [text % {"path": path} for path in circles.values()]
    if wrong:
        raise WrongGroups(wrong)


def _list_parents(agency: models.Agency) -> list[tuple[str, str | None]]:
    return list(models.Group.objects.filter(agency=agency).values_list("external_id", "parent__external_id"))


def _write_monitors(group: models.Group, monitors: list[models.Group]) -> None:
    models.GroupMonitor.objects.filter(group=group).exclude(monitor__in=monitors).delete()
    for monitor in monitors:
        models.GroupMonitor.objects.get_or_create(group=group, monitor=monitor)


def describe_groups(agency: models.Agency) -> dict[str, str]:
    """Return each group by a name of its own, in the words of the trail."""
    monitors: dict[int, list[str]] = defaultdict(list)
    pairs = models.GroupMonitor.objects.filter(group__agency=agency).order_by("monitor__external_id")
    for group, monitor in pairs.values_list("group", "monitor__external_id"):
        monitors[group].append(monitor)
    names = ("pk", "external_id", "name", "active", "parent__external_id")
    return {
        f"group {external_id}": _describe(name, active, parent or "", monitors.get(pk, []))
        for pk, external_id, name, active, parent in models.Group.objects.filter(agency=agency)
        .order_by("pk")
        .values_list(*names)
    }


def _describe(name: str, active: bool, parent: str, monitors: Sequence[str]) -> str:
    above = f"; part of {parent}" if parent else ""
    monitored = f"; monitored by the groups {', '.join(monitors)}" if monitors else ""
    return f"{name} ({'active' if active else 'not active'}){above}{monitored}"
