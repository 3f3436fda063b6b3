"""Who is removed when the groups that a file names are synchronized, and the users that an operator may not move."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import MEMBER_EXT_ID
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.planning.entries.groups import get_values
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.entry_changes import MONITORS, MOVES, EntryChange, EntryKind

EDIT = "users.edit"
"""The permission to move a user to another group, by hand and by file."""
_WRONG_ROWS = "a row with a problem may name them"
_BY_HAND_ONLY = "files do not change them"
_ABOVE = "their role has permissions that yours does not"
_LACKING = "your role does not have the permission users.edit"


@dataclass(frozen=True, slots=True)
class Removed:
    """Who is removed from the named groups: users, monitors, and groups that were part of them or monitored them.

    `notes`: who stays although the file does not list them.
    """

    moves: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVES))
    monitors: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MONITORS))
    changes: Sequence[EntryChange] = ()
    notes: Sequence[Problem] = ()

    @staticmethod
    def flag_kept(rows: pl.DataFrame) -> pl.DataFrame:
        """Return the note of rows of users that files leave unchanged."""
        return problems.flag_rows(rows, "not-by-files")


def find_roles_above(state: EntryState, policy: Policy) -> list[int]:
    """Return the ids of the roles that have a permission which the operator lacks."""
    if policy.operator is None:
        return []
    return [role.id for role in state.roles if not role.permissions <= policy.operator.permissions]


def flag_forbidden(moving: pl.DataFrame, state: EntryState, policy: Policy) -> list[pl.DataFrame]:
    """Return the problems of rows that move users that the operator may not change."""
    if policy.operator is None:
        return []
    heading = MEMBER_EXT_ID.heading
    if EDIT not in policy.operator.permissions:
        return [problems.flag_rows(moving, "lacks-permission", column=heading, permission=EDIT)]
    sentence = "The user's role has permissions that yours does not, so you cannot change this user."
    above = moving.filter(pl.col("role_id").is_in(find_roles_above(state, policy)))
    return [problems.flag_rows(above, "above-your-role", column=heading, sentence=sentence)]


def find_removals(rows: pl.DataFrame, ok: pl.DataFrame, wrong: pl.Series, state: EntryState, policy: Policy) -> Removed:
    """Return who is removed from the groups that the file names, if they are synchronized.

    `wrong`: the rows with problems. A group that such a row names loses nobody, because the row may mean anybody. No group
    does if the group of such a row is not known.
    """
    if policy.mode is not Mode.SYNC:
        return Removed()
    faulty = rows.filter(pl.col("row").is_in(wrong.implode()))
    named = rows["group_id"].drop_nulls().unique()
    unsure = named if faulty["group_id"].null_count() else faulty["group_id"].unique()
    sure = named.filter(~named.is_in(unsure.implode()))
    missing = _find_missing(faulty, ok, named, state)
    kept = _explain_kept(missing, unsure, state, policy)
    leaving = missing.join(kept, on="id", how="anti", maintain_order="left")
    notes = [
        Problem.of("members-kept", value=f"{number:,}", cause=cause)
        for cause, number in kept["cause"].value_counts(sort=True).iter_rows()
    ]
    return Removed(
        _select_moves(leaving, state),
        _find_monitors(ok, sure, state),
        tuple(_find_changes(ok, faulty, sure, state)),
        notes,
    )


def _find_missing(faulty: pl.DataFrame, ok: pl.DataFrame, named: pl.Series, state: EntryState) -> pl.DataFrame:
    """Return the users in the named groups that no row puts into a group, and no row with a problem names."""
    listed = pl.concat([ok.filter(pl.col("link") == "Member")["user_id"], faulty["user_id"]]).drop_nulls()
    return state.users.filter(pl.col("group_id").is_in(named.implode()), ~pl.col("id").is_in(listed.implode()))


def _explain_kept(missing: pl.DataFrame, unsure: pl.Series, state: EntryState, policy: Policy) -> pl.DataFrame:
    """Return those of the missing users who stay (`id`), each with the `cause`."""
    lacks = policy.operator is not None and EDIT not in policy.operator.permissions
    cause = (
        pl.when(pl.col("group_id").is_in(unsure.implode())).then(pl.lit(_WRONG_ROWS))
        .when("no_files").then(pl.lit(_BY_HAND_ONLY))
        .when(pl.lit(lacks)).then(pl.lit(_LACKING))
        .when(pl.col("role_id").is_in(find_roles_above(state, policy))).then(pl.lit(_ABOVE))
    )  # fmt: skip
    return missing.select("id", cause=cause).drop_nulls("cause")


def _select_moves(leaving: pl.DataFrame, state: EntryState) -> pl.DataFrame:
    names = {group.id: group.external_id for group in state.groups.values()}
    return leaving.select(
        "id", "external_id", "name", "role_id", row=pl.lit(None, pl.UInt32),
        was_group=pl.col("group_id").replace_strict(names, default="", return_dtype=pl.String), group=pl.lit(""),
        was_role_id="role_id", group_id=pl.lit(None, pl.Int64), was_group_id="group_id",
    ).select(MOVES.keys()).cast(MOVES)  # fmt: skip


def _find_monitors(ok: pl.DataFrame, sure: pl.Series, state: EntryState) -> pl.DataFrame:
    listed = ok.filter(pl.col("type") == "User", pl.col("link") == "Monitor")
    gone = state.monitors.filter(pl.col("group_id").is_in(sure.implode())).join(
        listed, on=["group_id", "user_id"], how="anti", maintain_order="left"
    )
    names = {group.id: group.external_id for group in state.groups.values()}
    return gone.join(state.users, left_on="user_id", right_on="id", maintain_order="left", suffix="_of_user").select(
        "external_id", "name", "group_id", row=pl.lit(None, pl.UInt32), id="user_id",
        group=pl.col("group_id").replace_strict(names, default="", return_dtype=pl.String), added=pl.lit(False),
    ).select(MONITORS.keys()).cast(MONITORS)  # fmt: skip


def _find_changes(ok: pl.DataFrame, faulty: pl.DataFrame, sure: pl.Series, state: EntryState) -> "list[EntryChange]":
    """Return the groups that are no longer part of a named group, or no longer monitor it."""
    ids = set(sure)
    named = {group.external_id for group in state.groups.values() if group.id in ids}
    groups = ok.filter(pl.col("type") == "Group")
    members = {*groups.filter(pl.col("link") == "Member")["member_ext_id"], *faulty["member_ext_id"]}
    pairs = set(groups.filter(pl.col("link") == "Monitor").select("group_ext_id", "member_ext_id").iter_rows())
    changes = [
        EntryChange(EntryKind.GROUP, group.external_id, get_values(group), {**get_values(group), "parent": ""})
        for group in state.groups.values()
        if group.parent in named and group.external_id not in members
    ]
    gone = sorted(pair for pair in state.group_monitors - pairs if pair[0] in named)
    return [*changes, *(EntryChange(EntryKind.MONITOR, group, {}, None, other=other) for group, other in gone)]
