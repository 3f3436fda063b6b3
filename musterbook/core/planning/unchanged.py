"""Rows that equal what is stored in every column: they are valid and unchanged, and need no further look (speed)."""

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table

SCHEMA = {"row": pl.UInt32, "id": pl.Int64, "external_id": pl.String, "supervisor_id": pl.Int64, "group_id": pl.Int64}
"""The columns of settled rows."""

_NEVER_GUARDED = (columns.STATUS, columns.PHONE)


def split(table: Table, snapshot: Snapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The settled rows (SCHEMA), and the cells of the others.

    A row is settled if the user with its external id has exactly its text in all its columns; what is stored has
    passed every check of one row. An external id that stands twice in the file, or a row with a fault, is not settled.
    """
    cells, users = table.cells, snapshot.users
    if users.is_empty() or cells.is_empty():
        return pl.DataFrame(schema=SCHEMA), cells
    place = _places(cells["external_id"], users["external_id"])
    judged = [_equal(column, snapshot, place) for column in table.present if column is not columns.EXTERNAL_ID]
    plain = [~_guarded(column) for column in table.present if column not in _NEVER_GUARDED]
    named = [pl.lit(place.is_not_null() & ~place.is_duplicated()), ~pl.col("row").is_in(table.faults["row"].implode())]
    # Each is a column of its own first: so they are made side by side, and no column of text outlives its comparison.
    found = cells.select(each.alias(str(number)) for number, each in enumerate([*judged, *plain, *named]))
    same = found.select(pl.all_horizontal(pl.all().fill_null(False))).to_series()
    at = place.filter(same)
    settled = [cells["row"].filter(same), *(users[name].gather(at) for name in SCHEMA if name != "row")]
    return pl.DataFrame(settled), cells.filter(~same)


def _places(wanted: pl.Series, ids: pl.Series) -> pl.Series:
    """The place of each wanted external id among the ids, null where it is none of them."""
    places = pl.DataFrame({"id": ids}).with_row_index("place")
    return pl.DataFrame({"id": wanted}).join(places, on="id", how="left", maintain_order="left")["place"]


def _guarded(column: Column) -> pl.Expr:
    """Whether a cell may mean another text than it bears (C1): it is read as a whole file's cells are read."""
    cell = pl.col(column.field)
    return cell.str.starts_with("'") | cell.str.starts_with("=")


def _equal(column: Column, snapshot: Snapshot, place: pl.Series) -> pl.Expr:
    """Whether a cell is what a file would bear of the user at its place."""
    users, words = snapshot.users, snapshot.vocabulary
    cell = pl.col(column.field)
    if column is columns.SUPERVISOR_EMAIL:
        email = pl.lit(users["email"]).gather(pl.lit(_bosses(users).gather(place)))
        return cell == email.fill_null("")
    text: dict[Column, pl.Expr] = {
        columns.STATUS: pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive")),
        columns.ROLE: named("role_id", {role.id: role.name for role in words.roles}),
        columns.RANK: named("rank_id", {rank.id: rank.name for rank in words.ranks}),
        columns.EVIDENCE_GROUP_EXT_ID: named("group_id", {group.id: group.external_id for group in words.groups}),
    }
    stored = users.select("id", text=text.get(column, pl.col(column.field)))["text"]
    return cell == pl.lit(stored).gather(pl.lit(place))


def _bosses(users: pl.DataFrame) -> pl.Series:
    """The place of each user's supervisor, null where there is none."""
    places = users.select(supervisor_id="id").with_row_index("place")
    return users.select("supervisor_id").join(places, on="supervisor_id", how="left", maintain_order="left")["place"]


def named(ids: str, names: dict[int, str]) -> pl.Expr:
    """The names behind a column of ids, "" where there is none."""
    return pl.col(ids).replace_strict(names, default="", return_dtype=pl.String) if names else pl.lit("")
