"""The unchanged fast path: rows that equal the stored values in every column.

They are valid and unchanged, and skip all further checks (speed).
"""

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary

SCHEMA = {"row": pl.UInt32, "id": pl.Int64, "external_id": pl.String, "supervisor_id": pl.Int64, "group_id": pl.Int64}
"""The columns of the rows on the fast path."""

_NEVER_GUARDED = (columns.STATUS, columns.PHONE)


def split(table: Table, snapshot: Snapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows on the fast path (SCHEMA), and the cells of the others.

    A row is on the fast path if the user with its external ID has exactly its text in all its columns: stored values
    have passed every check of a single row. A row is not on it if its external ID occurs twice in the file, or if it
    has a fault.
    """
    cells, users = table.cells, snapshot.users
    if users.is_empty() or cells.is_empty():
        return pl.DataFrame(schema=SCHEMA), cells
    positions = _find_positions(cells["external_id"], users["external_id"])
    compared = [column for column in table.present if column is not columns.EXTERNAL_ID]
    texts = users.select(_render_stored(column, snapshot.vocabulary).alias(column.field) for column in compared)
    comparisons = [_cell_equals(column, texts[column.field], users, positions) for column in compared]
    guarded = [column for column in table.present if table.guarded and column not in _NEVER_GUARDED]
    plain = [~_may_be_guarded(column) for column in guarded]
    conditions = [
        pl.lit(positions.is_not_null() & ~positions.is_duplicated()),
        ~pl.col("row").is_in(table.faults["row"].implode()),
    ]
    # Each result is a separate column first. So they are computed in parallel, and no text column outlives its
    # comparison.
    results = cells.select(each.alias(str(number)) for number, each in enumerate([*comparisons, *plain, *conditions]))
    same = results.select(pl.all_horizontal(pl.all().fill_null(False))).to_series()
    at = positions.filter(same)
    data = [cells["row"].filter(same), *(users[name].gather(at) for name in SCHEMA if name != "row")]
    return pl.DataFrame(data), cells.filter(~same)


def _find_positions(targets: pl.Series, ids: pl.Series) -> pl.Series:
    """Return the position of each wanted external ID among the ids, null where it is not one of them."""
    index = pl.DataFrame({"id": ids}).with_row_index("place")
    return pl.DataFrame({"id": targets}).join(index, on="id", how="left", maintain_order="left")["place"]


def _may_be_guarded(column: Column) -> pl.Expr:
    """Return whether the value of a cell may differ from its text (C1).

    Such a cell is read in the normal way.
    """
    cell = pl.col(column.field)
    return cell.str.starts_with("'") | cell.str.starts_with("=")


def _cell_equals(column: Column, stored: pl.Series, users: pl.DataFrame, positions: pl.Series) -> pl.Expr:
    """Return whether a cell equals the stored text of the user at its position."""
    if column is columns.SUPERVISOR_EMAIL:
        boss = _find_supervisors(users).gather(positions)
        return pl.col(column.field) == pl.lit(stored).gather(pl.lit(boss)).fill_null("")
    return pl.col(column.field) == pl.lit(stored).gather(pl.lit(positions))


def _render_stored(column: Column, words: Vocabulary) -> pl.Expr:
    """Return what a file would contain for each user in a column; for that of supervisors, what it would for their reports."""
    if column is columns.SUPERVISOR_EMAIL:
        return pl.col("email")
    if column is columns.STATUS:
        return pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive"))
    if column is columns.ROLE:
        return name_ids("role_id", {role.id: role.name for role in words.roles})
    if column is columns.RANK:
        return name_ids("rank_id", {rank.id: rank.name for rank in words.ranks})
    if column is columns.EVIDENCE_GROUP_EXT_ID:
        return name_ids("group_id", {group.id: group.external_id for group in words.groups})
    return pl.col(column.field)


def _find_supervisors(users: pl.DataFrame) -> pl.Series:
    """Return the position of each user's supervisor, null where there is none."""
    index = users.select(supervisor_id="id").with_row_index("place")
    return users.select("supervisor_id").join(index, on="supervisor_id", how="left", maintain_order="left")["place"]


def name_ids(ids: str, names: dict[int, str]) -> pl.Expr:
    """Return the names for a column of ids, "" where there is none."""
    return pl.col(ids).replace_strict(names, default="", return_dtype=pl.String) if names else pl.lit("")
