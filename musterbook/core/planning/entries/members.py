"""The plan of a file of members: which user or group is a member of a group, or monitors it."""

from collections.abc import Callable

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import GROUP_EXT_ID, MEMBER_EXT_ID, MEMBER_TYPE, MEMBERS, RELATION, Column
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import assembling, membership, parents, removals
from musterbook.core.planning.entries import rows as reading
from musterbook.core.planning.entries.assembling import Judgement
from musterbook.core.planning.entries.rows import CheckedRows
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.plan import Plan

TYPES = ("User", "Group")
RELATIONS = ("Member", "Monitor")
MOST_ROWS = 5_000_000


def make_plan(table: Table, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of a file of members.

    A user is in at most one group, and so is a group: a row moves them. If the named groups are synchronized, their members
    and monitors become exactly those of the file. No other group changes, except that members move out of it.
    """
    return assembling.run(table, state, policy, MEMBERS, _judge, has_trailer=True, most=MOST_ROWS)


def _judge(checked: CheckedRows, state: EntryState, policy: Policy) -> Judgement:
    rows = _read_rows(checked, state)
    found = [
        _flag_words(rows, MEMBER_TYPE, "type", TYPES),
        _flag_words(rows, RELATION, "link", RELATIONS),
        _flag_repeated(rows),
        _flag_two_groups(rows),
        _flag_unknown(rows, state),
        *_flag_forbidden(rows, state, policy),
    ]
    flagged = pl.concat([problems.build_frame(), *found])
    ok = _drop(rows, pl.concat([checked.faults["row"], flagged["row"]]))
    circles = _flag_circles(ok, state)
    ok = _drop(ok, circles["row"])
    flagged = pl.concat([flagged, circles])
    wrong = pl.concat([checked.faults["row"], flagged["row"]])
    removed = removals.find_removals(rows, ok, wrong, state, policy)
    keys = dict(rows.select("row", pl.col("member_ext_id").fill_null("")).iter_rows())
    return membership.combine(ok, removed, keys, flagged, state)


def _drop(rows: pl.DataFrame, wrong: pl.Series) -> pl.DataFrame:
    return rows.filter(~pl.col("row").is_in(wrong.implode()))


def _read_rows(checked: CheckedRows, state: EntryState) -> pl.DataFrame:
    """Return the rows with what they name: `type`, `link` (null for another word), the group, the user, the member group."""
    groups = pl.DataFrame(
        [(one.external_id, one.id, one.active, one.name, one.parent) for one in state.groups.values()],
        schema={
            "group_ext_id": pl.String, "group_id": pl.Int64, "group_active": pl.Boolean, "group_name": pl.String,
            "parent": pl.String,
        },
        orient="row",
    )  # fmt: skip
    rows = checked.rows.with_columns(type=_read_word("member_type", TYPES), link=_read_word("relation", RELATIONS))
    users = state.users.select(
        pl.col("external_id").alias("member_ext_id"), type=pl.lit("User"), user_id="id", user_name="name",
        role_id="role_id", was_group_id="group_id", no_files="no_files", user_active="active",
    )  # fmt: skip
    members = groups.select(
        member_ext_id="group_ext_id", type=pl.lit("Group"), member_id="group_id", member_name="group_name",
        was_parent="parent",
    )  # fmt: skip
    names = groups.select(was_group_id="group_id", was_group="group_ext_id")
    return (
        rows.join(groups.drop("group_name", "parent"), on="group_ext_id", how="left", maintain_order="left")
        .join(users, on=["member_ext_id", "type"], how="left", maintain_order="left")
        .join(members, on=["member_ext_id", "type"], how="left", maintain_order="left")
        .join(names, on="was_group_id", how="left", maintain_order="left")
        .with_columns(pl.col("was_group").fill_null(""), pl.col("no_files").fill_null(False))
    )


def _read_word(name: str, words: tuple[str, ...]) -> pl.Expr:
    """Return the word that a cell means, regardless of case, or null."""
    known = {word.casefold(): word for word in words}
    return pl.col(name).str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.String)


def _flag_words(rows: pl.DataFrame, column: Column, name: str, words: tuple[str, ...]) -> pl.DataFrame:
    wrong = rows.filter(pl.col(name).is_null(), pl.col(column.field).is_not_null(), pl.col(column.field) != "")
    advice = {
        text: reading.flag_choice(0, column, text, words).hint
        for text in wrong[column.field].unique().head(_MOST_ADVISED)
    }
    return problems.flag_rows(
        wrong, "invalid-choice", column=column.heading, value=pl.col(column.field), choices=", ".join(words),
        advice=pl.col(column.field).replace_strict(advice, default="", return_dtype=pl.String),
    )  # fmt: skip


_MOST_ADVISED = 100
_KEY = ("group_ext_id", "type", "member_ext_id", "link")


def _flag_repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the problem of every row that says the same as another one, in other words."""
    whole = rows.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in _KEY))
    repeated = whole.filter(pl.struct(_KEY).is_duplicated())
    return _flag_others(repeated, list(_KEY), "duplicate-in-file", advice="")


def _flag_two_groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the problem of every row that makes a user or group a member of one group, if another row names another one."""
    whole = rows.filter(pl.col("link") == "Member", *(pl.col(name).is_not_null() for name in _KEY))
    named = pl.col("group_ext_id").n_unique().over("type", "member_ext_id")
    return _flag_others(whole.filter(named > 1), ["type", "member_ext_id"], "two-groups")


def _flag_others(rows: pl.DataFrame, keys: list[str], code: str, **params: str) -> pl.DataFrame:
    if rows.is_empty():
        return problems.build_frame()
    listed = pl.col("row").sort().head(_LISTED).cast(pl.String).implode().list.join(", ").over(keys)
    return problems.flag_rows(
        rows.with_columns(listed=listed), code, column=MEMBER_EXT_ID.heading, value=pl.col("member_ext_id"),
        in_rows=pl.col("listed"), **params,
    )  # fmt: skip


_LISTED = 20


def _flag_unknown(rows: pl.DataFrame, state: EntryState) -> pl.DataFrame:
    """Return the problems of rows that name a group or a user that does not exist."""
    advise = reading.make_adviser(state.groups)
    no_group = rows.filter(pl.col("group_id").is_null(), pl.col("group_ext_id").is_not_null())
    named = pl.col("member_ext_id").is_not_null() & (pl.col("member_ext_id") != "")
    no_member = rows.filter(named, pl.col("type") == "Group", pl.col("member_id").is_null())
    no_user = rows.filter(named, pl.col("type") == "User", pl.col("user_id").is_null())
    near = state.users.group_by(near=_loosen("external_id")).agg(pl.col("external_id").min().alias("like"))
    users = no_user.with_columns(near=_loosen("member_ext_id")).join(near, on="near", how="left", maintain_order="left")
    return pl.concat(
        [
            _flag_names(no_group, GROUP_EXT_ID.heading, "group_ext_id", advise),
            _flag_names(no_member, MEMBER_EXT_ID.heading, "member_ext_id", advise),
            problems.flag_rows(
                users, "unknown-user", column=MEMBER_EXT_ID.heading, value=pl.col("member_ext_id"),
                advice=pl.coalesce(pl.format("Did you mean {}?", "like"), pl.lit("")),
            ),
        ]
    )  # fmt: skip


def _flag_names(rows: pl.DataFrame, heading: str, name: str, advise: Callable[[str], str]) -> pl.DataFrame:
    texts = {text: advise(text) for text in rows[name].unique().sort().head(_MOST_ADVISED)}
    advice = pl.col(name).replace_strict(texts, default="", return_dtype=pl.String)
    return problems.flag_rows(rows, "no-such-group", column=heading, value=pl.col(name), advice=advice)


def _loosen(name: str) -> pl.Expr:
    """Return ids without what spreadsheets change most: leading zeros, and case."""
    return pl.col(name).str.to_lowercase().str.strip_chars_start("0")


def _flag_forbidden(rows: pl.DataFrame, state: EntryState, policy: Policy) -> list[pl.DataFrame]:
    """Return the problems of rows that add to a deleted group, or change a user that the operator may not change."""
    joining = rows.filter(pl.col("link") == "Member", pl.col("group_id").is_not_null())
    moving = joining.filter(membership.MOVES_USER)
    moved = moving.filter(~pl.col("no_files"))
    new = pl.concat([moving, joining.filter(membership.MOVES_GROUP)])
    inactive = problems.flag_rows(
        new.filter(~pl.col("group_active")), "inactive-group", column=GROUP_EXT_ID.heading, value=pl.col("group_ext_id")
    )
    return [inactive, *removals.flag_forbidden(moved, state, policy)]


def _flag_circles(ok: pl.DataFrame, state: EntryState) -> pl.DataFrame:
    """Return the problems of rows that would make a group part of itself."""
    wanted = {
        member: (group, row)
        for row, member, group in ok.filter(membership.MOVES_GROUP)
        .select("row", "member_ext_id", "group_ext_id")
        .iter_rows()
    }
    stored = {group.external_id: group.parent for group in state.groups.values()}
    circles = parents.find_circles(stored, {member: group for member, (group, _) in wanted.items()})
    return problems.build_frame(
        Problem.of("group-circle", wanted[member][1], GROUP_EXT_ID.heading, wanted[member][0], path=path)
        for member, path in circles.items()
    )
