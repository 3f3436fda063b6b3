"""Merged cells of a sheet: only the first cell of a merge has a value, as spreadsheets show it (rule F15)."""

from collections import defaultdict
from dataclasses import replace

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.grid import Grid, is_blank
from musterbook.core.reading.headings import Headings

_MOST_MERGES = 10_000
_MOST_CELLS = 2_000_000
_MAX_LISTED = 20


def blank_covered(grid: Grid, header: Headings) -> tuple[Grid, list[Problem]]:
    """Return the grid with blank cells under its merges, and a note for each column in which a value is missing there."""
    covered = _find_covered(grid, header)
    if not covered:
        return grid, []
    rows = grid.rows
    for index, places in covered.items():
        numbers = pl.concat([pl.int_range(first, last + 1, dtype=pl.UInt32, eager=True) for first, last, _ in places])
        name, cell = str(index), pl.col(str(index))
        under = pl.col("row").is_in(numbers.unique().implode()) & cell.is_not_null()
        rows = rows.with_columns(pl.when(under).then(pl.lit("")).otherwise(cell).alias(name))
    notes = []
    for column, index in header.columns.items():
        ranges = [
            f"{first}" if first == last else f"{first}–{last}" for first, last, has in covered.get(index, ()) if has
        ]
        if ranges:
            listed = ", ".join([*ranges[:_MAX_LISTED], *(["…"] if len(ranges) > _MAX_LISTED else [])])
            notes.append(Problem.of("merged-cells", column=column.heading, in_rows=listed))
    return replace(grid, rows=rows), notes


def _find_covered(grid: Grid, header: Headings) -> dict[int, list[tuple[int, int, bool]]]:
    """Return the covered rows of each known column: first, last, and whether the merge has a value."""
    covered: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    top, left = grid.header.number + 1, _MOST_CELLS
    bottom = int(grid.rows["row"][-1]) if grid.rows.height else 0
    for first, last, begin, end in grid.merged[:_MOST_MERGES]:
        down = min(last, bottom)
        value = grid.rows[first - top, str(begin)] if top <= first <= bottom and begin < len(grid.headings) else ""
        for index in sorted({index for index in header.columns.values() if begin <= index <= end}):
            start = max(first + (index == begin), top)
            left -= max(down - start + 1, 0)
            if start <= down and left > 0:
                covered[index].append((start, down, not is_blank(value or "")))
    return covered
