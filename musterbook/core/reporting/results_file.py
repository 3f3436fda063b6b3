"""The results file and the errors file: the uploaded rows with their outcomes (rule A2).

They are CSV or a workbook. Our three columns come first. So a short row stays short, and cells beyond the headings keep
their position: the corrected file can be uploaded as it is. In CSV, a cell that a spreadsheet would run as a formula
gets an apostrophe, which reading removes again. The cells of a workbook are text, which a spreadsheet does not change.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Literal, TypeAlias

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.table import Table
from musterbook.core.reading import headings
from musterbook.core.reporting import workbook
from musterbook.core.reporting.report import describe_rows
from musterbook.core.values.text import FORMULA, TRIMMED, guard_cell

ResultsKind: TypeAlias = Literal["results", "errors"]
ResultsForm: TypeAlias = Literal["csv", "xlsx"]

COLUMNS = ("X_ROW", "X_RESULT", "X_PROBLEMS")
_LOST = "#N/A"
"""The text of a cell without a true value: if it is not corrected, it is an error again, not a value."""
_LOST_VALUES = ("no-result", "number-too-long", "spreadsheet-damage")
_MARK = "\ufeff".encode()
_PART = 50_000
"""The number of rows that are written at once."""


def results_file(table: Table, outcomes: pl.DataFrame, *, head: bool = True) -> bytes:
    """Return all rows of an upload as CSV (UTF-8 with a byte order mark, CRLF).

    `outcomes` holds `row` (UInt32), `outcome` (`added`, `updated`, `unchanged`, `errored`, `skipped`) and `problems`
    (finished text). A row that is not in it is shown as skipped if reading skipped it, and otherwise without a result.
    """
    return _render_file(table, _select_rows(table, outcomes, "results"), head)


def stream_parts(table: Table, rows: pl.DataFrame, faults: pl.DataFrame, which: ResultsKind) -> Iterator[bytes]:
    """Yield the results file or the errors file in parts, never holding all of it in memory.

    - `rows`: `row`, `outcome` of each row of the plan.
    - `faults`: the problems (problems.SCHEMA) of all rows.
    """
    for number, (part, outcomes) in enumerate(_split(table, rows, faults)):
        yield _render_file(part, _select_rows(part, outcomes, which), head=number == 0)


def write_workbook(
    target: IO[bytes], table: Table, rows: pl.DataFrame, faults: pl.DataFrame, which: ResultsKind
) -> None:
    """Write the same as a workbook of text cells. It has at most `workbook.MOST_ROWS` rows."""
    names = _list_names(table)
    top = [*COLUMNS, *(table.file.headings[int(name)] for name in names)]
    cells = (
        cells
        for part, outcomes in _split(table, rows, faults)
        for cells in _list_cells(part, _select_rows(part, outcomes, which), names)
    )
    workbook.write_workbook(target, "Users", top, cells)


def _list_cells(table: Table, rows: pl.DataFrame, names: list[str]) -> Iterator[list[str]]:
    """Yield the cells of each row, with those that a short row lacks as lost, so that it cannot clear anything."""
    known = {str(table.file.headings.index(heading)) for heading in table.file.mapped}
    marked = _mark_unread(table, rows).select(pl.col("row").cast(pl.String), "outcome", "problems", *names)
    for number, outcome, problem, *values in marked.iter_rows():
        own = [number, outcome or "", problem or ""]
        if outcome != "errored" or None not in values:
            yield [*own, *(value or "" for value in values), *_get_surplus(table, int(number))]
            continue
        lost = {name for name, value in zip(names, values, strict=True) if value is None}
        # If the row lacks only columns that are not read, a cell beyond the headings keeps it an error.
        yield [*own, *(_LOST if value is None else value for value in values), *([] if lost & known else [_LOST])]


def _split(table: Table, rows: pl.DataFrame, faults: pl.DataFrame) -> Iterator[tuple[Table, pl.DataFrame]]:
    """Yield the table in parts, each with the outcomes of its rows."""
    for part in table.original.iter_slices(_PART) if table.original.height else [table.original]:
        here = pl.col("row").is_between(part["row"].min() or 0, part["row"].max() or 0)
        outcomes = describe_rows(rows.filter(here), problems.list_problems(faults.filter(here)))
        row_numbers = set(part["row"]) if table.surplus else set()
        surplus = {row: cells for row, cells in table.surplus.items() if row in row_numbers}
        yield replace(table, original=part, surplus=surplus, skipped=table.skipped.filter(here)), outcomes


def errors_file(table: Table, outcomes: pl.DataFrame, *, head: bool = True) -> bytes:
    """Return only the errored rows, in the format of the results file."""
    return _render_file(table, _select_rows(table, outcomes, "errors"), head)


def _select_rows(table: Table, outcomes: pl.DataFrame, which: ResultsKind) -> pl.DataFrame:
    """Return the rows of a file with `outcome` and `problems`: all of them, or the errored ones."""
    known = outcomes.select("row", "outcome", "problems")
    if which == "errors":
        errored = known.filter(pl.col("outcome") == "errored")
        return table.original.join(errored, on="row", how="inner", maintain_order="left")
    skipped = table.skipped.join(known, on="row", how="anti")
    skipped = skipped.with_columns(outcome=pl.lit("skipped"), problems=pl.lit(""))
    return table.original.join(pl.concat([known, skipped]), on="row", how="left", maintain_order="left")


def _list_names(table: Table) -> list[str]:
    """Return the columns of the file, without ours of an earlier results file."""
    return [
        str(i) for i, heading in enumerate(table.file.headings) if headings.normalize_heading(heading) not in COLUMNS
    ]


def _render_file(table: Table, rows: pl.DataFrame, head: bool) -> bytes:
    """Return the rows as lines, with `head` after the byte order mark and the header row."""
    names = _list_names(table)
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
    """Return the rows with _LOST in cells for which a workbook stored no true value."""
    columns = {column: str(index) for column, index in table.file.positions.items()}
    lost = table.faults.filter(pl.col("code").is_in(_LOST_VALUES))
    for (column,), faults in lost.group_by("column"):
        name = columns[str(column)]
        damaged = pl.col("row").is_in(faults["row"].implode())
        rows = rows.with_columns(pl.when(damaged).then(pl.lit(_LOST)).otherwise(pl.col(name)).alias(name))
    return rows


def _get_surplus(table: Table, row: int) -> list[str]:
    """Return the cells of a row beyond the headings. If all are blank, one is lost, so that the row stays an error."""
    cells = list(table.surplus.get(row, ()))
    return cells if not cells or any(cell.strip(TRIMMED) for cell in cells) else [*cells[:-1], _LOST]


def _render_surplus(table: Table) -> pl.DataFrame:
    """Return the cells beyond the headings, as CSV text, by row."""
    schema = pl.Schema({"row": pl.UInt32(), "cell": pl.List(pl.String())})
    texts = [_get_surplus(table, row) for row in table.surplus]
    cells = pl.DataFrame({"row": list(table.surplus), "cell": texts}, schema).explode("cell")
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
