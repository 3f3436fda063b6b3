"""Cells corrected on the page.

A user enters a replacement for what the file contains, before it is checked again (rule A3).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import polars as pl

from musterbook.core.domain.columns import ALL
from musterbook.core.domain.table import COLUMN_SEPARATOR, Table

Corrections: TypeAlias = Mapping[str, Mapping[str, str]]
"""Row, as a number in text form → heading (`EMAIL`) → the new text of the cell."""

_FIELDS = {column.heading: column.field for column in ALL}
_CELL_COUNT = "cell-count"


def merge_corrections(before: Corrections, now: Corrections) -> dict[str, dict[str, str]]:
    """Return both merged. Where both name a cell, the newer text wins."""
    return {row: {**before.get(row, {}), **now.get(row, {})} for row in {**before, **now}}


def correct_table(table: Table, corrections: Corrections) -> Table:
    """Return the table with the corrected cells in place of the file's, and without their faults.

    Rows that the table does not have are ignored. A row with too few or too many cells now has as many cells as the
    header row, because the user who corrected it saw all of them.
    """
    by_field: dict[str, dict[int, str]] = defaultdict(dict)
    for row, cells in corrections.items():
        for heading, cell in cells.items():
            by_field[_FIELDS[heading]][int(row)] = cell
    present = {name: cells for name, cells in _share_cells(table, by_field).items() if name in table.cells.columns}
    if not present:
        return table
    rows = pl.Series([int(row) for row in corrections], dtype=pl.UInt32)
    shifted = table.faults.filter(pl.col("code") == _CELL_COUNT, pl.col("row").is_in(rows.implode()))["row"]
    return replace(
        table,
        cells=table.cells.with_columns(_put_cells(name, cells, name) for name, cells in present.items()),
        faults=_drop_faults(table.faults, present, shifted),
        original=_correct_original(table, present, shifted),
        surplus={row: cells for row, cells in table.surplus.items() if row not in set(shifted)},
    )


def _share_cells(table: Table, by_field: Mapping[str, Mapping[int, str]]) -> dict[str, Mapping[int, str]]:
    """Return the cells with those of other columns that the same heading serves: they are the same cells of the file."""
    shared: dict[str, Mapping[int, str]] = {**by_field}
    for joined in table.file.mapped.values():
        fields = [_FIELDS[column] for column in joined.split(COLUMN_SEPARATOR)]
        cells = {row: cell for field in fields for row, cell in by_field.get(field, {}).items()}
        shared |= dict.fromkeys(fields, cells) if len(fields) > 1 and cells else {}
    return shared


def _put_cells(column: str, cells: Mapping[int, str], name: str) -> pl.Expr:
    """Return the column with these cells in their rows."""
    rows = pl.Series(cells.keys(), dtype=pl.UInt32)
    current = pl.col(column)
    return pl.col("row").replace_strict(rows, [*cells.values()], default=current, return_dtype=pl.String).alias(name)


def _drop_faults(faults: pl.DataFrame, by_field: Mapping[str, Mapping[int, str]], shifted: pl.Series) -> pl.DataFrame:
    """Return the faults of all other cells."""
    pairs = [(row, name.upper()) for name, cells in by_field.items() for row in cells]
    edits = pl.DataFrame(pairs, schema={"row": pl.UInt32, "column": pl.String}, orient="row")
    whole = (pl.col("code") == _CELL_COUNT) & pl.col("row").is_in(shifted.implode())
    return faults.filter(~whole).join(edits, on=["row", "column"], how="anti", maintain_order="left")


def _correct_original(table: Table, by_field: Mapping[str, Mapping[int, str]], shifted: pl.Series) -> pl.DataFrame:
    """Return the uploaded rows with the corrected cells, for the results file and the errors file."""
    positions = {column: str(index) for column, index in table.file.positions.items()}
    padding = pl.when(pl.col("row").is_in(shifted.implode())).then(pl.all().exclude("row").fill_null(""))
    rows = table.original.with_columns(padding.otherwise(pl.all().exclude("row")))
    by_position = {positions[name.upper()]: cells for name, cells in by_field.items()}
    return rows.with_columns(_put_cells(position, cells, position) for position, cells in by_position.items())
