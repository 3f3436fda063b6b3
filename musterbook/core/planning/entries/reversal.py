"""The plan that takes back what an import has changed in groups, members, roles and ranks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import assembling, groups, membership, parents, ranks, removals, roles
from musterbook.core.planning.entries.assembling import Judgement, Outcome
from musterbook.core.planning.entries.rows import CheckedRows
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.entry_changes import MONITORS, MOVES, EntryChange, EntryKind
from musterbook.core.planning.harms import HARMED
from musterbook.core.planning.plan import Plan

_DESCRIBE = {
    EntryKind.GROUP: groups.describe_values, EntryKind.ROLE: roles.describe_values, EntryKind.RANK: ranks.describe_values,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Undone:
    """What an import has changed.

    - `moves`: `id`, `external_id`, `was_group` and `group` (external IDs, "" for none) of users.
    - `monitors`: `id`, `external_id`, `group` and `added` of monitors.
    - `used`: the keys of groups, roles and ranks that users have, by kind.
    """

    changes: Sequence[EntryChange]
    moves: pl.DataFrame
    monitors: pl.DataFrame
    used: Mapping[EntryKind, frozenset[str]] = field(default_factory=dict)


@dataclass
class _Row:
    """One change to take back, as a row of the undo: `now` is what it is now, `change` what the undo does (None: nothing)."""

    number: int
    done: EntryChange
    now: Mapping[str, Any] | None
    change: EntryChange | None = None
    problems: list[Problem] = field(default_factory=list)


def make_plan(undone: Undone, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of the undo. What was changed since is a problem, and stays. What is as before needs nothing."""
    rows = [_reverse(number, change, state) for number, change in enumerate(undone.changes, 2)]
    for row in rows:
        if row.change:
            row.problems += _check(row, undone, state, policy)
    _check_links(rows, state)
    ok = [row for row in rows if not row.problems]
    users = _judge_users(undone, state, policy, first=len(rows) + 2)
    changes = [row.change for row in ok if row.change]
    judged = Judgement(
        {**{row.number: row.done.other or _name(row) for row in rows}, **users.keys},
        pl.concat([problems.build_frame(p for row in rows for p in row.problems), users.found]),
        changes=changes,
        shown=pl.concat([assembling.build_outcomes([_describe(row, state) for row in ok]), users.shown]),
        moves=users.moves,
        monitors=users.monitors,
        losses=pl.concat([users.losses, state.find_users("role", _list_roles(changes, state, lose=True))]),
        privileges=state.find_users("role", _list_roles(changes, state, lose=False)),
    )
    numbers = pl.Series("row", list(judged.keys), dtype=pl.UInt32)
    table = Table.of_values(numbers.to_frame())
    return assembling.assemble(CheckedRows(table, numbers.to_frame(), problems.build_frame()), judged, state, policy)


def _reverse(number: int, done: EntryChange, state: EntryState) -> _Row:
    """Return the row that takes a change back."""
    now = _find_now(done, state)
    row = _Row(number, done, now)
    if now == done.before:
        return row
    if now != done.after:
        row.problems.append(Problem.of("changed-since", number, _name_column(done), _name_value(done, now)))
        return row
    row.change = replace(done, before=done.after, after=done.before, row=number)
    return row


def _find_now(done: EntryChange, state: EntryState) -> Mapping[str, Any] | None:
    if done.kind is EntryKind.MONITOR:
        return {} if (done.key, done.other) in state.group_monitors else None
    if done.kind is EntryKind.GROUP:
        group = state.groups.get(done.key)
        return groups.get_values(group) if group else None
    if done.kind is EntryKind.ROLE:
        return roles.get_values(next((role for role in state.roles if role.key == done.key), None))
    return next((ranks.get_values(rank, at) for at, rank in enumerate(state.ranks) if rank.key == done.key), None)


_COLUMNS = {EntryKind.GROUP: "NAME", EntryKind.ROLE: "NAME", EntryKind.RANK: "NAME", EntryKind.MONITOR: "RELATION"}


def _name_column(done: EntryChange) -> str:
    return _COLUMNS[done.kind]


def _name_value(done: EntryChange, now: Mapping[str, Any] | None) -> str:
    return str((now or {}).get("name", "")) or done.other


def _name(row: _Row) -> str:
    if row.done.kind is EntryKind.GROUP:
        return row.done.key
    return str((row.done.after or row.done.before or {}).get("name", row.done.key))


def _check(row: _Row, undone: Undone, state: EntryState, policy: Policy) -> Iterator[Problem]:
    """Yield why a change may not be taken back: what is in use stays, and nobody gives a permission that they lack."""
    change = row.change
    if change is None:  # pragma: no cover  (the caller has checked it)
        return
    if change.after is None and change.key in undone.used.get(change.kind, frozenset()):
        yield Problem.of("entry-in-use", row.number, _name_column(change), _name(row))
    if change.kind is EntryKind.MONITOR and change.after is not None:
        gone = next((name for name in (change.key, change.other) if name not in state.groups), "")
        if gone:
            yield Problem.of("no-such-group", row.number, "GROUP_EXT_ID", gone, advice="")
    if change.kind is EntryKind.ROLE:
        stored = next((role for role in state.roles if role.key == change.key), None)
        yield from roles.check_authority(row.number, change.before, change.after, stored, state, policy)


def _check_links(rows: list[_Row], state: EntryState) -> None:
    """Flag the changes of groups whose former parent is gone, or would close a circle now."""
    stored = {group.external_id: group.parent for group in state.groups.values()}
    while True:
        ok = {row.done.key: row for row in rows if not row.problems and row.change and row.done.kind is EntryKind.GROUP}
        gone = {key for key, row in ok.items() if row.change and row.change.after is None}
        known = (stored.keys() | ok.keys()) - gone
        wanted = {key: str(row.change.after["parent"]) for key, row in ok.items() if row.change and row.change.after}
        kept = {key: parent for key, parent in {**stored, **wanted}.items() if key not in gone}
        wrong = {key for key, parent in wanted.items() if parent and parent not in known}
        for key in wrong:
            ok[key].problems.append(
                Problem.of("no-such-group", ok[key].number, "PARENT_EXT_ID", wanted[key], advice="")
            )
        held = {parent for key, parent in kept.items() if key not in wrong} & gone
        for key in held:
            ok[key].problems.append(Problem.of("entry-in-use", ok[key].number, "EXTERNAL_ID", key))
        circles = {} if wrong or held else parents.find_circles(stored, wanted)
        for key, path in circles.items():
            ok[key].problems.append(Problem.of("group-circle", ok[key].number, "PARENT_EXT_ID", wanted[key], path=path))
        if not (wrong or held or circles):
            return


def _list_roles(changes: Sequence[EntryChange], state: EntryState, *, lose: bool) -> list[int]:
    ids = {role.key: role.id for role in state.roles}
    found = []
    for change in changes:
        if change.kind is EntryKind.ROLE and change.before and change.after:
            was, now = set(change.before["permissions"]), set(change.after["permissions"])
            found += [ids[change.key]] if (was - now if lose else now - was) else []
    return found


def _describe(row: _Row, state: EntryState) -> Outcome:
    key = row.done.other or _name(row)
    if row.change is None:
        return Outcome(row.number, key, "unchanged")
    if row.done.kind is EntryKind.MONITOR:
        added = row.change.after is not None
        pair = ("", row.done.key) if added else (row.done.key, "")
        name = state.groups[key].name if key in state.groups else ""
        return Outcome(row.number, key, "added" if added else "removed", name, {membership.MONITOR_OF: pair})
    outcome = "added" if row.change.before is None else "removed" if row.change.after is None else "updated"
    return Outcome(row.number, key, outcome, "", _DESCRIBE[row.done.kind](row.change.before, row.change.after))


@dataclass(frozen=True, slots=True)
class _Users:
    """What the undo does to users: the rows, and what each changes."""

    keys: Mapping[int, str]
    found: pl.DataFrame
    shown: pl.DataFrame
    moves: pl.DataFrame
    monitors: pl.DataFrame
    losses: pl.DataFrame


def _judge_users(undone: Undone, state: EntryState, policy: Policy, *, first: int) -> _Users:
    """Take back who moved to another group, and who became or no longer is a monitor."""
    ids = {group.external_id: group.id for group in state.groups.values()}
    moved = _join_now(undone.moves.with_row_index("row", first), state)
    back = moved.filter(pl.col("now") == pl.col("group"), pl.col("now") != pl.col("was_group"))
    later = moved.filter(pl.col("now") != pl.col("group"), pl.col("now") != pl.col("was_group"))
    gone = back.filter(~pl.col("was_group").is_in(["", *ids]))
    monitors = _join_monitors(undone.monitors.with_row_index("row", first + moved.height), state, ids)
    lost = monitors.filter(pl.col("group_id").is_null(), ~pl.col("added"))
    found = pl.concat(
        [
            problems.flag_rows(later, "changed-since", column="EVIDENCE_GROUP_EXT_ID", value=pl.col("now")),
            problems.flag_rows(gone, "no-such-group", column="GROUP_EXT_ID", value=pl.col("was_group"), advice=""),
            problems.flag_rows(lost, "no-such-group", column="GROUP_EXT_ID", value=pl.col("group"), advice=""),
            *removals.flag_forbidden(back, state, policy),
        ]
    )
    ok = back.filter(~pl.col("row").is_in(found["row"].implode()))
    moves = ok.select(
        "row", "id", "external_id", "name", "role_id", was_role_id="role_id", was_group="group", group="was_group",
        was_group_id="group_id", group_id=pl.col("was_group").replace_strict(ids, default=None, return_dtype=pl.Int64),
    ).select(list(MOVES)).cast(MOVES)  # fmt: skip
    changing = monitors.filter(pl.col("group_id").is_not_null(), pl.col("monitors") == pl.col("added"))
    back_monitors = changing.select(list(MONITORS)).with_columns(~pl.col("added"))
    keys = dict(pl.concat([moved.select("row", "external_id"), monitors.select("row", "external_id")]).iter_rows())
    shown = pl.concat([membership.show_moves(moves), membership.show_monitors(back_monitors)])
    losses = moves.filter(pl.col("was_group_id").is_not_null()).select(list(HARMED))
    return _Users(keys, found, shown, moves, back_monitors, losses)


def _join_now(moved: pl.DataFrame, state: EntryState) -> pl.DataFrame:
    """Return the moved users as they are now, with the external ID of their group (`now`)."""
    names = {group.id: group.external_id for group in state.groups.values()}
    now = pl.col("group_id").replace_strict(names, default="", return_dtype=pl.String)
    users = state.users.select("id", "name", "role_id", "group_id", now=now.fill_null(""))
    joined = moved.join(users, on="id", maintain_order="left").with_columns(pl.col("row").cast(pl.UInt32))
    return joined.select("row", "id", "external_id", "name", "role_id", "group_id", "was_group", "group", "now")


def _join_monitors(rows: pl.DataFrame, state: EntryState, ids: Mapping[str, int]) -> pl.DataFrame:
    """Return the monitors with whether they monitor the group now, and the group's id, null if it is gone."""
    now = state.monitors.select("group_id", id="user_id", monitors=pl.lit(True))
    group = pl.col("group").replace_strict(ids, default=None, return_dtype=pl.Int64)
    joined = rows.with_columns(pl.col("row").cast(pl.UInt32), group_id=group)
    named = joined.join(state.users.select("id", "name"), on="id", how="left", maintain_order="left")
    return named.join(now, on=["group_id", "id"], how="left", maintain_order="left").with_columns(
        pl.col("monitors").fill_null(False), pl.col("name").fill_null("")
    )
