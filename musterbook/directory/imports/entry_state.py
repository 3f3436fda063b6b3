"""What an agency has now of what a file of groups, members, roles or ranks names (`core.planning.entries.state`)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import polars as pl

from musterbook.core.domain.columns import GROUP_EXT_ID, MEMBER_EXT_ID, MEMBERS
from musterbook.core.domain.policy import Mode, Operator
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries.state import (
    MONITORINGS,
    USERS,
    EntryState,
    StoredGroup,
    StoredRank,
    StoredRole,
)
from musterbook.core.planning.harms import HARMED
from musterbook.core.values import text
from musterbook.directory import models, permissions
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.storage import frames

_MOST_LIKE = 100
"""The most unknown external IDs for which a user with nearly the same one is looked for."""
_USER_COLUMNS = "id, external_id, first_name || ' ' || last_name, role_id, group_id, active, no_files"


def read_state(agency: models.Agency, what: str, table: Table, mode: Mode, operator: Operator | None) -> EntryState:
    """Return what the agency has now, as far as the plan of a file with this layout (`what`) needs it."""
    state = read_entries(agency, operator)
    if what != MEMBERS.name or table.problems:
        return state
    ids = {group.external_id: group.id for group in state.groups.values()}
    named = [ids[name] for name in _list_cells(table, GROUP_EXT_ID.field) if name in ids]
    return add_members(agency, state, _list_cells(table, MEMBER_EXT_ID.field), named, with_all=mode is Mode.SYNC)


def read_entries(agency: models.Agency, operator: Operator | None) -> EntryState:
    """Return the agency's groups, roles and ranks, without users."""
    own_role = models.User.objects.get(pk=operator.id).role_id if operator else 0
    return EntryState(
        {group.external_id: group for group in _read_groups(agency)},
        [
            StoredRole(
                role.pk, role.name, role.name_key, permissions.get_permissions(role), role.administrator,
                role.second_factor,
            )
            for role in models.Role.objects.filter(agency=agency).order_by("pk")
        ],
        [
            StoredRank(rank.pk, rank.name, rank.name_key, rank.abbreviation)
            for rank in models.Rank.objects.filter(agency=agency).order_by("position", "pk")
        ],
        find_users=partial(_find_users, agency),
        headcount=snapshot_queries.count_active(agency),
        permissions=permissions.ALL,
        own_role=own_role,
    )  # fmt: skip


def _read_groups(agency: models.Agency) -> list[StoredGroup]:
    rows = models.Group.objects.filter(agency=agency).order_by("pk")
    names = ("pk", "external_id", "name", "active", "parent__external_id")
    return [
        StoredGroup(pk, external_id, name, active, parent or "")
        for pk, external_id, name, active, parent in rows.values_list(*names)
    ]


def _list_cells(table: Table, name: str) -> list[str]:
    """Return the different values of a column, as they are compared."""
    return text.clean(table.cells[name].unique(), guarded=table.guarded).unique().sort().to_list()


def add_members(
    agency: models.Agency, state: EntryState, users: Sequence[str], groups: Sequence[int], *, with_all: bool
) -> EntryState:
    """Return the state with these users (their external IDs), and the monitors of these groups.

    `with_all`: also with everyone who is in the groups, or monitors them.
    """
    monitors = _read_frame(
        f"SELECT group_id, user_id FROM {frames.table(models.Monitor)} WHERE", "group_id", groups, MONITORINGS
    )
    found = [_read_users(agency, "external_id", users)]
    if with_all:
        found += [_read_users(agency, "group_id", groups), _read_users(agency, "id", monitors["user_id"].to_list())]
    known = pl.concat(found).unique("id", keep="any")
    unknown = sorted(set(users) - set(known["external_id"]) - {""})[:_MOST_LIKE]
    known = pl.concat([known, _read_alike(agency, unknown)]).unique("id", keep="any").sort("id")
    return replace(state, users=known, monitors=monitors, group_monitors=_read_group_monitors(agency))


def add_users(agency: models.Agency, state: EntryState, ids: Sequence[int]) -> EntryState:
    """Return the state with these users, and the groups that they monitor."""
    sql = f"SELECT group_id, user_id FROM {frames.table(models.Monitor)} WHERE"
    return replace(
        state,
        users=_read_users(agency, "id", ids),
        monitors=_read_frame(sql, "user_id", ids, MONITORINGS),
        group_monitors=_read_group_monitors(agency),
    )


def _read_group_monitors(agency: models.Agency) -> frozenset[tuple[str, str]]:
    pairs = models.GroupMonitor.objects.filter(group__agency=agency)
    return frozenset(pairs.values_list("group__external_id", "monitor__external_id"))


def _read_frame(sql: str, column: str, values: Sequence[int] | Sequence[str], schema: frames.Schema) -> pl.DataFrame:
    condition, parameter = frames.match_any(column, [*values])
    return frames.read_frame(f"{sql} {condition}", [parameter], schema)


def _read_users(agency: models.Agency, column: str, values: Sequence[int] | Sequence[str]) -> pl.DataFrame:
    sql = f"SELECT {_USER_COLUMNS} FROM {frames.table(models.User)} WHERE agency_id = {agency.pk} AND"
    return _read_frame(sql, column, values, USERS)


def _read_alike(agency: models.Agency, unknown: Sequence[str]) -> pl.DataFrame:
    """Return users whose external IDs differ from these only in leading zeros and case."""
    if not unknown:
        return pl.DataFrame(schema=USERS)
    return _read_users(agency, "ltrim(lower(external_id), '0')", [one.lower().lstrip("0") for one in unknown])


def _find_users(agency: models.Agency, noun: str, ids: Sequence[int]) -> pl.DataFrame:
    """Return the active users of some roles, or all users of some groups (harms.HARMED)."""
    if not ids:
        return pl.DataFrame(schema=HARMED)
    active = " AND active" if noun == "role" else ""
    found = _read_frame(
        f"SELECT external_id, role_id, group_id FROM {frames.table(models.User)} WHERE agency_id = {agency.pk}{active} AND",
        f"{noun}_id",
        ids,
        {"external_id": pl.String, "role_id": pl.Int64, "group_id": pl.Int64},
    )
    return found.sort("external_id").select(
        "external_id", "role_id", "group_id", row=pl.lit(None, pl.UInt32), was_role_id="role_id",
        was_group_id="group_id",
    ).select(HARMED.keys())  # fmt: skip
