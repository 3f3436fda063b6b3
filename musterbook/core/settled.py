"""Rows that equal what is stored in every column: they are valid and unchanged, and need no further look (speed)."""

import polars as pl

from musterbook.core import columns
from musterbook.core.columns import Column
from musterbook.core.snapshot import Snapshot
from musterbook.core.table import Table

SCHEMA = {"row": pl.UInt32, "id": pl.Int64, "external_id": pl.String, "supervisor_id": pl.Int64, "group_id": pl.Int64}
"""The columns of settled rows."""

_NEVER_GUARDED = (columns.STATUS, columns.PHONE)


def split(table: Table, snapshot: Snapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The settled rows (SCHEMA), and the cells of the others.

    A row is settled if the user with its external id has exactly its text in all its columns; what is stored has
    passed every check of one row. An external id that stands twice in the file, or a row with a fault, is not settled.
    """
    cells = table.cells
    if snapshot.users.is_empty() or cells.is_empty():
        return pl.DataFrame(schema=SCHEMA), cells
    compared = [column for column in table.present if column is not columns.EXTERNAL_ID]
    stored = _as_text(snapshot, compared)
    joined = cells.join(stored, on="external_id", how="left", suffix="_stored", maintain_order="left")
    same = [pl.col(column.field) == pl.col(f"{column.field}_stored") for column in compared]
    plain = [~_guarded(column) for column in table.present if column not in _NEVER_GUARDED]
    judged = pl.all_horizontal(
        *same, *plain, ~pl.col("id").is_duplicated(), ~pl.col("row").is_in(table.faults["row"].implode())
    )
    settled = joined.select(judged.fill_null(False)).to_series()
    return joined.filter(settled).select(SCHEMA.keys()), cells.filter(~settled)


def _guarded(column: Column) -> pl.Expr:
    """Whether a cell may mean another text than it bears (C1): it is read as a whole file's cells are read."""
    cell = pl.col(column.field)
    return cell.str.starts_with("'") | cell.str.starts_with("=")


def _as_text(snapshot: Snapshot, compared: list[Column]) -> pl.DataFrame:
    """The stored users as a file would bear them: each compared column's text, named as the file's column."""
    users, words = snapshot.users, snapshot.vocabulary
    text: dict[str, pl.Expr] = {
        "status": pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive")),
        "role": named("role_id", {role.id: role.name for role in words.roles}),
        "rank": named("rank_id", {rank.id: rank.name for rank in words.ranks}),
        "evidence_group_ext_id": named("group_id", {group.id: group.external_id for group in words.groups}),
    }
    if columns.SUPERVISOR_EMAIL in compared:
        users = with_supervisor_email(users)
    return users.select(
        "id",
        "external_id",
        "supervisor_id",
        "group_id",
        *(text.get(c.field, pl.col(c.field)).alias(c.field) for c in compared),
    )


def named(ids: str, names: dict[int, str]) -> pl.Expr:
    """The names behind a column of ids, "" where there is none."""
    return pl.col(ids).replace_strict(names, default="", return_dtype=pl.String) if names else pl.lit("")


def with_supervisor_email(users: pl.DataFrame) -> pl.DataFrame:
    """The users with `supervisor_email`, the address of their supervisor, "" where there is none."""
    bosses = users.select(supervisor_id="id", supervisor_email="email")
    joined = users.join(bosses, on="supervisor_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("supervisor_email").fill_null(""))
