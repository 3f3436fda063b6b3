"""The rows matched to the users that they mean (M1), with every value of the final state (M2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core.checking import check
from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.snapshot import MARKS, Snapshot
from musterbook.core.domain.snapshot import SCHEMA as STORED
from musterbook.core.domain.table import CHECKED, CheckedTable, Table
from musterbook.core.planning import unchanged
from musterbook.core.values import keys

VALUES = {
    columns.EMAIL: "email",
    columns.BADGE_NUMBER: "badge_number",
    columns.FIRST_NAME: "first_name",
    columns.LAST_NAME: "last_name",
    columns.STATUS: "active",
    columns.USERNAME: "username",
    columns.ROLE: "role_id",
    columns.LOCATION: "location",
    columns.RANK: "rank_id",
    columns.EVIDENCE_GROUP_EXT_ID: "group_id",
    columns.PHONE: "phone",
}
"""Column → the name of its value in a user's row. The supervisor is a link, and is evaluated separately."""

USERS = {**STORED, **{column.key: pl.String for column in columns.KEYED}}
"""The columns of `MatchedTable.users`."""

SCHEMA = {
    **{"active" if name == "status" else name: kind for name, kind in CHECKED.items()},
    "id": pl.Int64,
    **{f"was_{name}": kind for name, kind in USERS.items() if name not in ("id", "external_id")},
    "differs": pl.Boolean,
}
"""The columns of `MatchedTable.rows`: the checked row, its user as stored, and whether they differ.

`supervisor_email` and its key are missing where the file has no such column.
"""

_RELEASED_ON = " (until "
RELEASED = r" \(until [0-9]{4}-[0-9]{2}-[0-9]{2}\)(?:, .*)?$"
"""The end of a badge that was released: the day until which the user had it, and their external ID if that is not enough."""

_BLANK = {"rank_id": "rank_blank", "group_id": "group_blank"}


@dataclass(frozen=True, slots=True)
class MatchedTable:
    """A table matched to a directory.

    - `users` (USERS): the users of the snapshot, with the keys that some row asks for.
    - `unchanged_rows`: the rows of the unchanged fast path (unchanged.SCHEMA), and those of users that files leave unchanged,
      without the links that they repeat.
    - `rows` (SCHEMA): all other rows, as checked (`status` as `active`), with every value of the final state, the user
      that each row means (`id` and the stored values, `was_…`; null for a new user), and `differs`: whether any value
      other than the supervisor changes.
    - `problems`: the problems that checking found.
    - `resting`, `marks`, `padded`, `replaced`: the resting names, the marks, the fields of padded numbers and the replaced
      addresses of the snapshot.
    - `repeated`: rows that are the same as an earlier one in every cell (M6). They are not among the others.
    """

    users: pl.DataFrame
    unchanged_rows: pl.DataFrame
    rows: pl.DataFrame
    problems: pl.DataFrame
    resting: pl.DataFrame | None = None
    marks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MARKS))
    padded: Mapping[str, int] = field(default_factory=dict)
    replaced: pl.DataFrame | None = None
    repeated: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.UInt32))


def match_table(table: Table, snapshot: Snapshot, defaults: pl.DataFrame | None = None) -> MatchedTable:
    """Match the table to the directory.

    A row of the unchanged fast path is evaluated with the others if one of them has its external ID, changes the
    address of its supervisor, or takes the badge of its user, who is Inactive. In the second case the address that the
    row repeats may now mean another user. In the third, the badge may be released.
    `defaults`: one row with the values of new users in columns that the table does not have (F14).
    """
    same, rest = unchanged.split(table, snapshot)
    rest, repeated = drop_repeated(rest, table.faults)
    checked = check.check(replace(table, cells=rest), snapshot.vocabulary)
    rows = _join_stored(checked, snapshot.users)
    moving = rows.filter(pl.col("email_key") != pl.col("was_email_key"))["id"]
    rechecks = same.filter(
        pl.col("external_id").is_in(rows["external_id"].implode())
        | pl.col("supervisor_id").is_in(moving.implode())
        | pl.col("id").is_in(_find_losing_badge(rows, snapshot.users).implode())
    )
    if not rechecks.is_empty():
        cells = table.cells.join(rechecks, on="row", how="semi", maintain_order="left")
        more = check.check(replace(table, cells=cells, faults=problems.build_frame()), snapshot.vocabulary)
        checked = _combine_checks(checked, more)
        same = same.join(rechecks, on="row", how="anti", maintain_order="left")
        rows = _join_stored(checked, snapshot.users)
    if defaults is not None and defaults.width:
        rows = _add_defaults(rows, defaults)
    rows, same, checked = _leave_unchanged(rows, same, checked, table, snapshot.marks)
    users = _add_keys(snapshot.users, [column for column in columns.KEYED if _needs_keys(rows, column)])
    final = _add_final_values(_keep_released(rows) if table.guarded else rows, checked)
    return MatchedTable(
        users,
        same,
        final,
        checked.problems,
        snapshot.resting,
        snapshot.marks,
        snapshot.padded,
        snapshot.replaced,
        repeated,
    )


def _find_losing_badge(rows: pl.DataFrame, users: pl.DataFrame) -> pl.Series:
    """Return the Inactive users whose badge some row newly asks for."""
    key = columns.BADGE_NUMBER.key
    asked = rows.filter(pl.col(key).is_not_null(), pl.col(key).ne_missing(pl.col(f"was_{key}"))).select(key)
    if asked.is_empty():
        return users["id"].clear()
    inactive = _add_keys(users.filter(~pl.col("active")), [columns.BADGE_NUMBER])
    return inactive.join(asked, on=key, how="semi")["id"]


def _leave_unchanged(
    rows: pl.DataFrame, same: pl.DataFrame, checked: CheckedTable, table: Table, marks: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, CheckedTable]:
    """Return the rows without those of users that files leave unchanged (S11), and the unchanged rows with them.

    Nothing else in such a row counts, so its problems do not either. Two kinds of rows stay, because they may mean
    another user: rows in which reading found a fault, and rows whose external ID is in another row too.
    """
    if not marks["no_files"].any():
        return rows, same, checked
    theirs = pl.col("id").is_in(marks.filter("no_files")["id"].implode())
    links = ("supervisor_id", "group_id")
    same = same.with_columns(pl.when(~theirs).then(name).alias(name) for name in links)
    kept = rows.filter(
        theirs, ~pl.col("external_id").is_duplicated(), ~pl.col("row").is_in(table.faults["row"].implode())
    )
    if kept.is_empty():
        return rows, same, checked
    moved = kept.select("row", "id", "external_id", **{name: pl.lit(None, pl.Int64) for name in links})
    rest = {
        name: getattr(checked, name).join(kept, on="row", how="anti", maintain_order="left")
        for name in ("rows", "problems")
    }
    remaining = rows.join(kept, on="row", how="anti", maintain_order="left")
    return remaining, pl.concat([same, moved]).sort("row"), replace(checked, **rest)


def drop_repeated(
    cells: pl.DataFrame, faults: pl.DataFrame, key: str = "external_id"
) -> tuple[pl.DataFrame, pl.Series]:
    """Return the cells without rows that are the same as an earlier one, and these rows (M6).

    No such row is on the fast path: its external ID occurs twice. A row with a fault is none: its cells are not certain.
    `key`: a column in which equal rows are equal.
    """
    duplicated = cells[key].is_duplicated()
    if not duplicated.any():
        return cells, cells["row"].clear()
    candidates = cells.filter(duplicated, ~pl.col("row").is_in(faults["row"].implode()))
    again = candidates.filter(~pl.struct(pl.all().exclude("row")).is_first_distinct())["row"]
    return cells.filter(~pl.col("row").is_in(again.implode())) if again.len() else cells, again


def _combine_checks(one: CheckedTable, other: CheckedTable) -> CheckedTable:
    return replace(one, rows=pl.concat([one.rows, other.rows]), problems=pl.concat([one.problems, other.problems]))


def _add_keys(users: pl.DataFrame, keyed: Sequence[Column]) -> pl.DataFrame:
    """Return the users with the keys that compare their emails, badges and usernames (M4).

    A key is null where no key is wanted.
    """
    none = pl.lit(None, pl.String)
    return users.with_columns(
        keys.make_keys(users[column.field]).alias(column.key) if column in keyed else none.alias(column.key)
        for column in columns.KEYED
    )


def _needs_keys(rows: pl.DataFrame, column: Column) -> bool:
    """Return whether some row names a key that is not its own user's.

    Only for such a column must the owner of the keys be known.
    """
    if column is columns.EMAIL and "supervisor_email" in rows.columns and not rows.is_empty():
        return True
    # People sign in with either. So a new value of one column may be another user's value in the other (M4).
    names = (columns.EMAIL, columns.USERNAME)
    return any(_changes_key(rows, other) for other in (names if column in names else (column,)))


def _changes_key(rows: pl.DataFrame, column: Column) -> bool:
    key = rows[column.key]
    return bool((key.is_not_null() & key.ne_missing(rows[f"was_{column.key}"])).any())


def _join_stored(checked: CheckedTable, users: pl.DataFrame) -> pl.DataFrame:
    """Return each row with the stored values of the user who has its external ID (`id`, `was_…`), null for a new user."""
    rows = checked.rows.rename({"status": "active"}, strict=False)
    matches = _add_keys(users.join(rows.select("external_id"), on="external_id", how="semi"), columns.KEYED)
    stored = matches.rename({name: f"was_{name}" for name in matches.columns if name not in ("external_id", "id")})
    if stored.is_empty():
        # The same as the result of the join, but the nulls of a million rows take no memory.
        nothing = [pl.lit(None, kind).alias(name) for name, kind in stored.schema.items() if name != "external_id"]
        return rows.with_columns(nothing)
    return rows.join(stored, on="external_id", how="left", maintain_order="left")


def _add_defaults(rows: pl.DataFrame, defaults: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the defaults of new users. Existing users keep what they have, and ask for no supervisor."""
    values = defaults.rename({"status": "active"}, strict=False).row(0, named=True)
    kept = {name: f"was_{name}" for name in VALUES.values()}
    links = ("supervisor_email", "supervisor_email_key")
    return rows.with_columns(
        pl.when(pl.col("id").is_null()).then(pl.lit(value)).otherwise(kept.get(name)).alias(name)
        for name, value in values.items()
        if name in kept or name in links
    )


def _add_final_values(rows: pl.DataFrame, checked: CheckedTable) -> pl.DataFrame:
    """Return the rows with the values of the final state and `differs`.

    Columns that are absent keep their values. The texts of new users are "".
    """
    fields = [name for column, name in VALUES.items() if column in checked.present]
    stored = [_keep_value(rows, name).alias(name) for name in VALUES.values() if name not in rows.columns]
    missing = [pl.lit(False).alias(name) for name in (*_BLANK.values(), "group_inactive") if name not in rows.columns]
    return rows.with_columns(*stored, *missing).with_columns(
        differs=pl.any_horizontal(_value_differs(name) for name in fields)
    )


def _keep_released(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a file in which a user whose badge was released keeps the badge that says so (M13).

    Files name the old badge for as long as they list the user. It is the user's again only if they are Active.
    """
    was, key = "was_badge_number", columns.BADGE_NUMBER.key
    if not rows[was].str.contains(_RELEASED_ON, literal=True).any():
        return rows
    released = rows[was].str.contains(RELEASED)
    base = keys.make_keys(rows[was].str.replace(RELEASED, ""))
    active = pl.col("active" if "active" in rows.columns else "was_active")
    kept = pl.lit(released) & ~active & (pl.lit(base) == pl.col(key))
    return rows.with_columns(
        pl.when(kept).then(was).otherwise("badge_number").alias("badge_number"),
        pl.when(kept).then(f"was_{key}").otherwise(key).alias(key),
    )


def _keep_value(rows: pl.DataFrame, name: str) -> pl.Expr:
    was = pl.col(f"was_{name}")
    return was.fill_null("") if rows.schema[f"was_{name}"] == pl.String else was


def _value_differs(name: str) -> pl.Expr:
    """Return whether a value changes.

    A value that could not be read is null, and does not change. A value that is cleared does.
    """
    has_value = pl.col(name).is_not_null() | pl.col(_BLANK[name]) if name in _BLANK else pl.col(name).is_not_null()
    return has_value & pl.col(name).ne_missing(pl.col(f"was_{name}"))
