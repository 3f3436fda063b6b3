"""The results file and the errors file: the uploaded rows with their outcomes (rule A2).

Our three columns come first. So a short row stays short, and cells beyond the headings keep their position: the
corrected file can be uploaded as it is. A cell that a spreadsheet would run as a formula gets an apostrophe, which
reading removes again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.table import Table
from musterbook.core.reading import headings
from musterbook.core.reporting.report import describe_rows
from musterbook.core.values.text import FORMULA, guard_cell

ResultsKind: TypeAlias = Literal["results", "errors"]

COLUMNS = ("X_ROW", "X_RESULT", "X_PROBLEMS")
_LOST_VALUES = ("no-result", "number-too-long", "spreadsheet-damage")
_MARK = "\ufeff".encode()
_PART = 50_000
"""The number of rows that are written at once."""


def results_file(table: Table, outcomes: pl.DataFrame, *, head: bool = True) -> bytes:
    """Return all rows of an upload as CSV (UTF-8 with a byte order mark, CRLF).

    `outcomes` holds `row` (UInt32), `outcome` (`added`, `updated`, `unchanged`, `errored`, `skipped`) and `problems`
    (finished text). A row that is not in it is shown as skipped if reading skipped it, and otherwise without a result.
    """
    known = outcomes.select("row", "outcome", "problems")
    skipped = table.skipped.join(known, on="row", how="anti")
    skipped = skipped.with_columns(outcome=pl.lit("skipped"), problems=pl.lit(""))
    rows = table.original.join(pl.concat([known, skipped]), on="row", how="left", maintain_order="left")
    return _render_file(table, rows, head)


def stream_parts(table: Table, rows: pl.DataFrame, faults: pl.DataFrame, which: ResultsKind) -> Iterator[bytes]:
    """Yield the results file or the errors file in parts, never holding all of it in memory.

    - `rows`: `row`, `outcome` of each row of the plan.
    - `faults`: the problems (problems.SCHEMA) of all rows.
    """
    render = results_file if which == "results" else errors_file
    parts = table.original.iter_slices(_PART) if table.original.height else [table.original]
    for number, part in enumerate(parts):
        here = pl.col("row").is_between(part["row"].min() or 0, part["row"].max() or 0)
        outcomes = describe_rows(rows.filter(here), problems.list_problems(faults.filter(here)))
        row_numbers = set(part["row"]) if table.surplus else set()
        surplus = {row: cells for row, cells in table.surplus.items() if row in row_numbers}
        part_table = replace(table, original=part, surplus=surplus, skipped=table.skipped.filter(here))
        yield render(part_table, outcomes, head=number == 0)


def errors_file(table: Table, outcomes: pl.DataFrame, *, head: bool = True) -> bytes:
    """Return only the errored rows, in the format of the results file."""
    errored = outcomes.filter(pl.col("outcome") == "errored").select("row", "outcome", "problems")
    return _render_file(table, table.original.join(errored, on="row", how="inner", maintain_order="left"), head)


def _render_file(table: Table, rows: pl.DataFrame, head: bool) -> bytes:
    """Return the rows as lines, with `head` after the byte order mark and the header row."""
    names = [
        str(i) for i, heading in enumerate(table.file.headings) if headings.normalize_heading(heading) not in COLUMNS
    ]
    rows = _mark_unread(table, rows)
    header = [*COLUMNS, *(table.file.headings[int(name)] for name in names)]
    first = pl.DataFrame([header], orient="row", schema=dict.fromkeys(map(str, range(len(header))), pl.String))
    own_cells = [pl.col("row").cast(pl.String), pl.col("outcome").fill_null(""), _render_cell("problems").fill_null("")]
    surplus = _render_surplus(table)
    # A cell that a short row does not have is null, and produces no delimiter.
    line = pl.concat_str(
        [*own_cells, *(_render_cell(name) if _needs_quotes(rows[name]) else name for name in names), "surplus"],
        separator=",",
        ignore_nulls=True,
    )
    lines = rows.join(surplus, on="row", how="left", maintain_order="left").select(line.alias("line"))
    top = first.select(pl.concat_str([_render_cell(name) for name in first.columns], separator=",").alias("line"))
    text = pl.concat([top, lines] if head else [lines])["line"].str.join("\r\n").item()
    return (_MARK if head else b"") + (f"{text}\r\n".encode() if head or lines.height else b"")


def _mark_unread(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `#N/A` in cells for which a workbook stored no true value.

    If such a cell is not corrected, it must be an error again, not a value.
    """
    positions = {column: index for index, column in enumerate(table.file.headings)}
    columns = {column: str(positions[heading]) for heading, column in table.file.mapped.items()}
    lost = table.faults.filter(pl.col("code").is_in(_LOST_VALUES))
    for (column,), faults in lost.group_by("column"):
        name = columns[str(column)]
        damaged = pl.col("row").is_in(faults["row"].implode())
        rows = rows.with_columns(pl.when(damaged).then(pl.lit("#N/A")).otherwise(pl.col(name)).alias(name))
    return rows


def _render_surplus(table: Table) -> pl.DataFrame:
    """Return the cells beyond the headings, as CSV text, by row."""
    schema = pl.Schema({"row": pl.UInt32(), "cell": pl.List(pl.String())})
    cells = pl.DataFrame({"row": list(table.surplus), "cell": list(table.surplus.values())}, schema).explode("cell")
    return cells.group_by("row", maintain_order=True).agg(_render_cell("cell").str.join(",").alias("surplus"))


_NEEDS_QUOTES = f'[",\\r\\n]|{FORMULA}|^[ \\t]|[ \\t]$'


def _needs_quotes(cells: pl.Series) -> bool:
    """Return whether some cell of a column cannot be written as it is. Most columns have no such cell."""
    return bool(cells.str.contains(_NEEDS_QUOTES).any())


def _render_cell(name: str) -> pl.Expr:
    """Return a cell as CSV writes it, guarded so that no spreadsheet runs it."""
    guarded = guard_cell(pl.col(name))
    quoted = '"' + guarded.str.replace_all('"', '""', literal=True) + '"'
    return pl.when(guarded.str.contains('[",\r\n]|^[ \t]|[ \t]$')).then(quoted).otherwise(guarded)
