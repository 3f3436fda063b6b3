"""The end of a file: its trailer, where it was cut off, and its number of rows (F6, F11).

Only the plan can decide what a last row with a single cell is, because it knows the users.
"""

from dataclasses import replace

import polars as pl

from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Doubt, Table
from musterbook.core.reading.special_rows import get_only_cell, list_counts

_SHOWN_LENGTH = 80


def settle_end(table: Table, users: pl.DataFrame) -> Table:
    """Return the table with its trailer skipped, and with what its end says about its completeness.

    `users`: the users of the snapshot. A last row with the external ID of one of them is not a trailer.
    """
    text = _read_trailer(table)
    if text and text not in users["external_id"]:
        table = _skip_trailer(table, text)
    if table.cut_off and table.cut_off not in table.skipped["row"]:
        note = Problem.of("cut-off", in_row=str(table.cut_off))
        doubt = Doubt("cut-off", table.cells.height, str(table.cut_off))
        table = replace(table, notes=(*table.notes, note), doubts=(*table.doubts, doubt))
    return table


def find_count_problems(table: Table, policy: Policy) -> tuple[Problem, ...]:
    """Return the problem of a file that has another number of data rows than the operator expects."""
    expected = policy.expect_rows
    if expected is None or expected == table.cells.height:
        return ()
    return (Problem.of("row-count", value=f"{table.cells.height:,}", expected=f"{expected:,}"),)


def skip_repeated(table: Table, rows: pl.Series) -> Table:
    """Return the table without rows that are the same as an earlier one in every cell (M6)."""
    if rows.is_empty():
        return table
    listed = ", ".join(map(str, rows.sort().head(20)))
    note = Problem.of("repeated-row", in_rows=f"{listed}, …" if rows.len() > 20 else listed)
    return replace(_skip_rows(table, rows), notes=(*table.notes, note))


def _read_trailer(table: Table) -> str:
    """Return the only cell of the last row if it may be a trailer, otherwise ""."""
    row = table.original.filter(pl.col("row") == table.trailer) if table.trailer else table.original.clear()
    return get_only_cell(row.row(0)[1:]) if row.height else ""


def _skip_trailer(table: Table, text: str) -> Table:
    table = _skip_rows(table, pl.Series([table.trailer], dtype=pl.UInt32))
    counts, rows = list_counts(text), table.cells.height
    sentence, doubts = "", table.doubts
    if rows in counts:
        sentence = f"Its count agrees: the file has {rows:,} data rows."
    elif len(set(counts)) == 1:
        sentence = f"Its count is {counts[0]:,}, but the file has {rows:,} data rows."
        doubts = (*doubts, Doubt("row-count", rows, str(counts[0])))
    note = Problem.of("trailer", value=text[:_SHOWN_LENGTH], count=sentence)
    return replace(table, notes=(*table.notes, note), doubts=doubts)


def _skip_rows(table: Table, rows: pl.Series) -> Table:
    skipped = pl.col("row").is_in(rows.implode())
    return replace(
        table,
        cells=table.cells.filter(~skipped),
        faults=table.faults.filter(~skipped),
        skipped=pl.concat([table.skipped, rows.to_frame("row")]).sort("row"),
    )
