"""The writing of groups, roles, ranks, of who is in a group and who monitors it, as a plan has them."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from musterbook.core.planning.entries.membership import describe_monitors, describe_moves
from musterbook.core.planning.entry_changes import Entries, EntryChange, EntryKind
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency import agencies
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames

_PART = 50_000


def write(agency: models.Agency, entries: Entries, context: AuditContext, *, of: int | None) -> None:
    """Write what the plan changes, and the same events as if it was done by hand.

    The caller holds the agency's lock, and has made the plan under it. `of`: the id of the import.
    """
    before = agencies.read_settings(agency) if entries.changes else {}
    for kind, write_kind in _WRITERS.items():
        write_kind(agency, [change for change in entries.changes if change.kind is kind], context.at)
    for part in entries.moves.iter_slices(_PART):
        frames.update(models.User, part.select("id", "group_id"))
    _write_monitors(entries.monitors)
    changed = agencies.compare_settings(before, agencies.read_settings(agency)) if entries.changes else {}
    trail.append_events(agency, context, _build_events(entries, changed), import_id=of)


def _write_groups(agency: models.Agency, changes: list[EntryChange], at: datetime) -> None:
    """Write groups. Those that are new exist before any is part of another one."""
    values = {change.key: change.after for change in changes if change.after is not None}
    gone = [change.key for change in changes if change.after is None]
    models.Group.objects.filter(agency=agency, external_id__in=gone).delete()
    new = [change.key for change in changes if change.before is None]
    models.Group.objects.bulk_create(
        (models.Group(agency=agency, external_id=key, name=values[key]["name"]) for key in new), batch_size=_PART
    )
    if not values:
        return
    ids = dict(models.Group.objects.filter(agency=agency).values_list("external_id", "pk"))
    rows = [
        {"id": ids[key], "name": one["name"], "active": one["active"], "parent_id": ids.get(one["parent"])}
        for key, one in values.items()
    ]
    schema = {"id": pl.Int64, "name": pl.String, "active": pl.Boolean, "parent_id": pl.Int64}
    frames.update(models.Group, pl.DataFrame(rows, schema=schema))
    renamed = [ids[change.key] for change in changes if change.before and change.after and _is_renamed(change)]
    changed = pl.DataFrame({"id": renamed}, schema={"id": pl.Int64})
    frames.update(models.Group, changed.with_columns(changed_at=pl.lit(frames.stamp(at))))


def _is_renamed(change: EntryChange) -> bool:
    """Return whether the name or the state of a group changes, and not only the group that it is part of."""
    before, after = change.before or {}, change.after or {}
    return any(before.get(name) != after.get(name) for name in ("name", "active"))


def _write_roles(agency: models.Agency, changes: list[EntryChange], _at: datetime) -> None:
    """Write roles. That of administrators has its permissions anyway."""
    for change in changes:
        role = models.Role.objects.filter(agency=agency, name_key=change.key).first()
        if change.after is None:
            models.Role.objects.filter(agency=agency, name_key=change.key).delete()
            continue
        role = role or models.Role(agency=agency)
        _set_role(role, change.after)
        role.save()


def _set_role(role: models.Role, values: Mapping[str, Any]) -> None:
    role.second_factor = values["second_factor"]
    if not role.administrator:
        role.name, role.name_key, role.permissions = values["name"], fold(values["name"]), values["permissions"]


def _write_ranks(agency: models.Agency, changes: list[EntryChange], _at: datetime) -> None:
    """Write ranks, and number all of them in their new order."""
    if not changes:
        return
    gone = [change.key for change in changes if change.after is None]
    models.Rank.objects.filter(agency=agency, name_key__in=gone).delete()
    ranks = {rank.name_key: rank for rank in models.Rank.objects.filter(agency=agency).order_by("position", "pk")}
    for place, rank in enumerate(ranks.values()):
        rank.position = place
    for change in changes:
        if change.after is not None:
            rank = ranks.setdefault(change.key, models.Rank(agency=agency))
            rank.name, rank.name_key = change.after["name"], fold(change.after["name"])
            rank.abbreviation, rank.position = change.after["abbreviation"], change.after["position"]
    for place, rank in enumerate(sorted(ranks.values(), key=lambda rank: rank.position)):
        rank.position = place
        rank.save()


def _write_group_monitors(agency: models.Agency, changes: list[EntryChange], _at: datetime) -> None:
    names = {name for change in changes for name in (change.key, change.other)}
    ids = dict(models.Group.objects.filter(agency=agency, external_id__in=names).values_list("external_id", "pk"))
    for change in changes:
        pair = {"group_id": ids[change.key], "monitor_id": ids[change.other]}
        if change.after is None:
            models.GroupMonitor.objects.filter(**pair).delete()
        else:
            models.GroupMonitor.objects.create(**pair)


_WRITERS: Mapping[EntryKind, Callable[[models.Agency, list[EntryChange], datetime], None]] = {
    EntryKind.GROUP: _write_groups,
    EntryKind.ROLE: _write_roles,
    EntryKind.RANK: _write_ranks,
    EntryKind.MONITOR: _write_group_monitors,
}


def _write_monitors(monitors: pl.DataFrame) -> None:
    new = monitors.filter("added").select("group_id", user_id="id")
    frames.insert(models.Monitor, new.with_columns(id=frames.new_ids(models.Monitor, new.height)))
    gone = monitors.filter(~pl.col("added")).partition_by("group_id", as_dict=True)
    for (group,), users in gone.items():
        for part in users.iter_slices(_AT_ONCE):
            models.Monitor.objects.filter(group=group, user__in=part["id"].to_list()).delete()


_AT_ONCE = 500
"""The users in one query: SQLite limits the parameters of a query."""


def _build_events(entries: Entries, changed: Mapping[str, Any]) -> Iterator[pl.DataFrame]:
    """Yield the events: one of what changes in the agency, and one for each user who moves or monitors."""
    if changed:
        yield trail.build_event(EventKind.AGENCY_CHANGED, changed)
    for part in entries.moves.iter_slices(_PART):
        yield _build_event(part, pl.lit(EventKind.USER_UPDATED), describe_moves())
    added, removed = EventKind.GROUP_MONITOR_ADDED, EventKind.GROUP_MONITOR_REMOVED
    kind = pl.when("added").then(pl.lit(added)).otherwise(pl.lit(removed))
    for part in entries.monitors.iter_slices(_PART):
        yield _build_event(part, kind, describe_monitors("group"))


def _build_event(users: pl.DataFrame, kind: pl.Expr, changes: pl.Expr) -> pl.DataFrame:
    return users.select(
        kind=kind, subject_id="id", subject_external_id="external_id", row=pl.col("row").cast(pl.Int64), changes=changes
    )
