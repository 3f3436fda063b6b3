"""The undo of an import of groups, members, roles or ranks: what it has changed, from its record and the audit trail."""

import polars as pl

from musterbook.core.domain.columns import MEMBERS
from musterbook.core.domain.policy import Policy
from musterbook.core.planning.entries import reversal
from musterbook.core.planning.entries.reversal import Undone
from musterbook.core.planning.entry_changes import EntryChange, EntryKind
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import entry_state
from musterbook.directory.storage import frames

_EVENT = {"id": pl.Int64, **dict.fromkeys(("external_id", "kind", "before", "after"), pl.String)}
_MONITOR_KINDS = (EventKind.GROUP_MONITOR_ADDED, EventKind.GROUP_MONITOR_REMOVED)


def make_plan(record: models.Import, agency: models.Agency, what: str, policy: Policy) -> Plan:
    """Return the plan of the undo of an import of this layout."""
    undone = Undone(
        [EntryChange.of_json(change) for change in record.entries],
        _read_moves(record),
        _read_monitors(record),
        _find_used(agency, record),
    )
    state = entry_state.read_entries(agency, policy.operator)
    if what == MEMBERS.name:
        users = pl.concat([undone.moves["id"], undone.monitors["id"]]).unique().to_list()
        state = entry_state.add_users(agency, state, users)
    return reversal.make_plan(undone, state, policy)


def _read_moves(record: models.Import) -> pl.DataFrame:
    found = _read_events(record, [EventKind.USER_UPDATED], "EVIDENCE_GROUP_EXT_ID")
    return found.select("id", "external_id", was_group="before", group="after")


def _read_monitors(record: models.Import) -> pl.DataFrame:
    found = _read_events(record, _MONITOR_KINDS, "group")
    added = pl.col("kind") == EventKind.GROUP_MONITOR_ADDED.value
    return found.select("id", "external_id", group=pl.when(added).then("after").otherwise("before"), added=added)


def _read_events(record: models.Import, kinds: "list[EventKind] | tuple[EventKind, ...]", name: str) -> pl.DataFrame:
    """Return the import's events of these kinds: the user as they are called now, and one field before and after."""
    events, users = frames.table(models.Event), frames.table(models.User)
    condition, parameter = frames.match_any("e.kind", [kind.value for kind in kinds])
    rows = frames.read_frame(
        f"SELECT u.id, u.external_id, e.kind, e.changes FROM {events} e JOIN {users} u ON u.id = e.subject_id"
        f" WHERE e.of_id = %s AND {condition} ORDER BY e.id",
        [record.pk, parameter],
        {"id": pl.Int64, "external_id": pl.String, "kind": pl.String, "changes": pl.String},
    )
    pairs = rows["changes"].str.json_decode(pl.Struct({name: pl.List(pl.String)})).struct.field(name)
    return rows.with_columns(before=pairs.list.get(0), after=pairs.list.get(1)).select(list(_EVENT)).cast(
        pl.Schema(_EVENT)
    )  # fmt: skip


def _find_used(agency: models.Agency, record: models.Import) -> dict[EntryKind, frozenset[str]]:
    """Return the keys of what the import has added, if it is in use now."""
    added = [change for change in map(EntryChange.of_json, record.entries) if change.before is None]
    keys = {kind: [change.key for change in added if change.kind is kind] for kind in EntryKind}
    users = models.User.objects.filter(agency=agency)
    groups = models.Group.objects.filter(agency=agency, external_id__in=keys[EntryKind.GROUP])
    used = {*users.filter(group__in=groups).values_list("group__external_id", flat=True).distinct()}
    for model, field in ((models.Monitor, "group"), (models.GroupMonitor, "group"), (models.GroupMonitor, "monitor")):
        pairs = model.objects.filter(**{f"{field}__in": groups})
        used |= {*pairs.values_list(f"{field}__external_id", flat=True)}
    roles = users.filter(role__name_key__in=keys[EntryKind.ROLE]).values_list("role__name_key", flat=True)
    ranks = users.filter(rank__name_key__in=keys[EntryKind.RANK]).values_list("rank__name_key", flat=True)
    return {
        EntryKind.GROUP: frozenset(used),
        EntryKind.ROLE: frozenset(roles.distinct()),
        EntryKind.RANK: frozenset(ranks.distinct()),
    }
