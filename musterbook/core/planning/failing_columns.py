"""Optional columns of a file that fail in most rows, because they hold something else (F5)."""

import polars as pl

from musterbook.core.domain.columns import OPTIONAL
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table

_MIN_ROWS = 3


def note_failing(table: Table, problems: pl.DataFrame) -> list[Problem]:
    """Return a note for each optional column that has a problem in most rows: the heading can be left out."""
    if problems.is_empty():
        return []
    optional = [column.heading for column in OPTIONAL if column in table.present]
    counted = problems.filter(pl.col("column").is_in(optional)).group_by("column").agg(pl.col("row").n_unique())
    headings = {name: table.file.headings[at] for name, at in table.file.positions.items()}
    total = table.cells.height
    return [
        Problem.of("column-fails", column=column, value=headings[column], rows=f"{rows:,} of {total:,} rows")
        for column, rows in sorted(counted.iter_rows())
        if rows >= _MIN_ROWS and 2 * rows > total and column in headings
    ]
