"""What the rows of a file of members change: users who move, groups that move, and monitors."""

import json
from collections.abc import Iterator, Mapping

import polars as pl

from musterbook.core.domain.columns import EVIDENCE_GROUP_EXT_ID, PARENT_EXT_ID
from musterbook.core.planning.entries.assembling import Judgement
from musterbook.core.planning.entries.groups import get_values
from musterbook.core.planning.entries.removals import Removed
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.entry_changes import MONITORS, MOVES, SHOWN, EntryChange, EntryKind
from musterbook.core.planning.harms import HARMED

MONITOR_OF = "MONITOR_OF"
"""The name of a monitored group in what is shown."""
_IS_USER, _IS_GROUP = pl.col("type") == "User", pl.col("type") == "Group"
_JOINS, _MONITORS = pl.col("link") == "Member", pl.col("link") == "Monitor"
MOVES_USER = _IS_USER & _JOINS & pl.col("user_id").is_not_null() & pl.col("group_id").ne_missing(pl.col("was_group_id"))
"""Whether a row puts a user into a group that they are not in."""
MOVES_GROUP = (
    _IS_GROUP & _JOINS & pl.col("member_id").is_not_null() & (pl.col("was_parent") != pl.col("group_ext_id"))
)  # fmt: skip
"""Whether a row makes a group part of another one than now."""


def combine(
    ok: pl.DataFrame, removed: Removed, keys: Mapping[int, str], found: pl.DataFrame, state: EntryState
) -> Judgement:
    """Return what the rows without problems and the removals change."""
    moves = pl.concat([_select_moves(ok), removed.moves])
    monitors = pl.concat([_select_monitors(ok, state), removed.monitors])
    changes = [*_list_changes(ok, state), *removed.changes]
    shown = pl.concat([show_moves(moves), show_monitors(monitors), _show_changes(changes, state)])
    lost = moves.filter(pl.col("was_group_id").is_not_null())
    notes = removed.flag_kept(ok.filter(MOVES_USER, "no_files"))
    return Judgement(
        keys, found, shown=shown.sort("row", nulls_last=True, maintain_order=True), changes=changes, moves=moves,
        monitors=monitors, losses=lost.select(HARMED.keys()), notes=notes, file_notes=removed.notes,
    )  # fmt: skip


def _select_moves(ok: pl.DataFrame) -> pl.DataFrame:
    moving = ok.filter(MOVES_USER, ~pl.col("no_files"))
    return moving.select(
        "row", id="user_id", external_id="member_ext_id", name="user_name", was_group="was_group",
        group="group_ext_id", role_id="role_id", was_role_id="role_id", group_id="group_id", was_group_id="was_group_id",
    ).cast(MOVES)  # fmt: skip


def _select_monitors(ok: pl.DataFrame, state: EntryState) -> pl.DataFrame:
    wanted = ok.filter(_IS_USER, _MONITORS)
    new = wanted.join(state.monitors, on=["group_id", "user_id"], how="anti", maintain_order="left")
    return new.select(
        "row", id="user_id", external_id="member_ext_id", name="user_name", group="group_ext_id", group_id="group_id",
        added=pl.lit(True),
    ).cast(MONITORS)  # fmt: skip


def _list_changes(ok: pl.DataFrame, state: EntryState) -> Iterator[EntryChange]:
    """Yield the groups that become part of another one, and those that monitor another one."""
    names = ("row", "member_ext_id", "group_ext_id")
    for row, member, group in ok.filter(MOVES_GROUP).select(names).iter_rows():
        before = get_values(state.groups[member])
        yield EntryChange(EntryKind.GROUP, member, before, {**before, "parent": group}, row=row)
    for row, member, group in ok.filter(_IS_GROUP, _MONITORS).select(names).iter_rows():
        if (group, member) not in state.group_monitors:
            yield EntryChange(EntryKind.MONITOR, group, None, {}, other=member, row=row)


def _pair(heading: str, before: pl.Expr, after: pl.Expr) -> pl.Expr:
    """Return the values of one heading before and after, as JSON text."""
    return pl.struct(pl.concat_list(before, after).alias(heading)).struct.json_encode()


def describe_moves() -> pl.Expr:
    """Return the group of users before and after, as the JSON text of an event."""
    return _pair(EVIDENCE_GROUP_EXT_ID.heading, pl.col("was_group"), pl.col("group"))


def describe_monitors(heading: str) -> pl.Expr:
    """Return the group of new and of former monitors, as the JSON text of an event."""
    group, none = pl.col("group"), pl.lit("")
    return pl.when("added").then(_pair(heading, none, group)).otherwise(_pair(heading, group, none))


def show_moves(moves: pl.DataFrame) -> pl.DataFrame:
    """Return users who move (MOVES), as they are shown."""
    outcome = (
        pl.when(pl.col("group_id").is_null()).then(pl.lit("removed"))
        .when(pl.col("was_group_id").is_null()).then(pl.lit("added"))
        .otherwise(pl.lit("updated"))
    )  # fmt: skip
    return moves.select(
        "row", "external_id", "name", outcome=outcome, changes=describe_moves(), user_id="id"
    ).cast(SHOWN)  # fmt: skip


def show_monitors(monitors: pl.DataFrame) -> pl.DataFrame:
    """Return new and former monitors (MONITORS), as they are shown."""
    outcome = pl.when("added").then(pl.lit("added")).otherwise(pl.lit("removed"))
    return monitors.select(
        "row", "external_id", "name", outcome=outcome, changes=describe_monitors(MONITOR_OF), user_id="id"
    ).cast(SHOWN)  # fmt: skip


def _show_changes(changes: list[EntryChange], state: EntryState) -> pl.DataFrame:
    rows = [_show_change(change, state) for change in changes]
    return pl.DataFrame(rows, schema=SHOWN)


def _show_change(change: EntryChange, state: EntryState) -> dict[str, object]:
    if change.kind is EntryKind.MONITOR:
        key = change.other
        pair = (change.key, "") if change.after is None else ("", change.key)
        heading, outcome = MONITOR_OF, "removed" if change.after is None else "added"
    else:
        key, heading = change.key, PARENT_EXT_ID.heading
        pair = ((change.before or {})["parent"], (change.after or {})["parent"])
        outcome = "removed" if not pair[1] else "updated" if pair[0] else "added"
    return {
        "row": change.row or None, "external_id": key, "name": state.groups[key].name, "outcome": outcome,
        "changes": json.dumps({heading: pair}, ensure_ascii=False), "user_id": None,
    }  # fmt: skip
