"""Step 2, check: cells as text → normalized and resolved values, and every problem of every row (rules C1–C11).

A quick check of each whole column handles most cells. Each distinct cell of the rest is read once, and its value is
copied to its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from musterbook.core.checking import cells as reading
from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import CheckedTable, FileFacts, Table, list_checked
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.reading import budget
from musterbook.core.values import emails, phones

_PLAIN_ID = "^[0-9A-Za-z][0-9A-Za-z_-]*$"
_PLAIN_NAME = "^[0-9A-Za-z][0-9A-Za-z._@-]*$"
"""Cells that are their own value. The only rule that applies to them is the maximum length."""


_EXAMPLES = 3


class TooManyProblems(Exception):
    """An excessive number of problems in the rows.

    They would take memory out of proportion to the file. `problem` describes this.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _CheckedColumn:
    """The result for one column: its value columns and its problems.

    The value columns have a row for each row of the table.
    """

    values: pl.DataFrame
    found: pl.DataFrame


def check(table: Table, vocabulary: Vocabulary, present: Sequence[Column] | None = None) -> CheckedTable:
    """Return the cells of the table as values.

    `present`: the columns that it has, if they are not those of users.

    A row whose cells may be in the wrong columns has no other problem. Raise TooManyProblems as soon as the columns checked so
    far have too many problems.
    """
    present = table.present if present is None else tuple(present)
    if table.cells.is_empty():
        return CheckedTable(pl.DataFrame(schema=list_checked(present)), present, table.faults)
    values, faults, others = [table.cells.select("row")], table.faults, pl.lit(True)
    if not faults.is_empty():
        is_count = pl.col("code") == "cell-count"
        others = ~pl.col("row").is_in(faults.filter(is_count)["row"].implode())
        faults = faults.filter(is_count | others)
    for column in present:
        part = _check_column(table, column, vocabulary)
        values.append(part.values)
        if not part.found.is_empty():
            faults = pl.concat([faults, part.found.filter(others)])
        refuse_too_many(faults, table.file)
    return CheckedTable(pl.concat(values, how="horizontal"), present, faults)


def refuse_too_many(faults: pl.DataFrame, file: FileFacts) -> None:
    """Raise TooManyProblems if the rows have more problems than a file of this size may have."""
    most = budget.limit_problems(file.size)
    if faults.height > most:
        raise TooManyProblems(Problem.of("too-many-problems", value=f"{most:,}", examples=_show_examples(faults)))


def _show_examples(faults: pl.DataFrame) -> str:
    first = faults.unique(["code", "column"], keep="first", maintain_order=True).head(_EXAMPLES)
    return " ".join(f"Row {problem.row}: {problem.in_english()[0]}" for problem in problems.list_problems(first))


def _check_column(table: Table, column: Column, words: Vocabulary) -> _CheckedColumn:
    """Check one column. A cell with a problem is null in the values.

    A cell that could not be read completely gets no further problems.
    """
    cells = pl.DataFrame([table.cells["row"], table.cells[column.field].alias("cell")])
    if table.faults.is_empty():
        return _check_cells(cells, column, words, guarded=table.guarded)
    unread = table.faults["row"].filter(table.faults["column"] == column.heading)
    if unread.is_empty():
        return _check_cells(cells, column, words, guarded=table.guarded)
    readable = cells.filter(~pl.col("row").is_in(unread.implode()))
    part = _check_cells(readable, column, words, guarded=table.guarded)
    spread = cells.select("row").join(
        pl.concat([readable.select("row"), part.values], how="horizontal"), on="row", how="left", maintain_order="left"
    )
    flags = [pl.col(name).fill_null(False) for name in spread.columns if name.endswith(("_blank", "_inactive"))]
    return _CheckedColumn(spread.with_columns(flags).drop("row"), part.found)


def _check_cells(rows: pl.DataFrame, column: Column, words: Vocabulary, *, guarded: bool) -> _CheckedColumn:
    cells = rows["cell"]
    quick = _QUICK_CHECKS[column.heading](column, cells, words) if column.heading in _QUICK_CHECKS else {}
    if quick and not quick[column.field].null_count():
        return _CheckedColumn(pl.DataFrame(quick), problems.build_frame())
    left = (cells.filter(quick[column.field].is_null()) if quick else cells).unique() if len(cells) > 1 else cells
    result = reading.read_cells(column, left, words, guarded=guarded)
    values = [_spread_values(cells, left, series, quick.get(series.name)) for series in result.values]
    return _CheckedColumn(pl.DataFrame(values), _locate_faults(rows, column, result.faults))


def _spread_values(cells: pl.Series, distinct: pl.Series, values: pl.Series, quick: pl.Series | None) -> pl.Series:
    """Return the value of each cell: from the quick check, or else from its distinct cell."""
    if quick is None and values.dtype == pl.String and values.equals(distinct):
        return cells.alias(values.name)
    if len(cells) == 1:
        return values
    spread = cells.replace_strict(distinct, values, default=None, return_dtype=values.dtype).alias(values.name)
    return spread if quick is None else quick.fill_null(spread)


def _locate_faults(rows: pl.DataFrame, column: Column, faults: pl.DataFrame) -> pl.DataFrame:
    """Return the faults of distinct cells as problems of every row that has such a cell."""
    if faults.is_empty():
        return problems.build_frame()
    joined = rows.join(faults, on="cell", maintain_order="left_right")
    return joined.with_columns(column=pl.lit(column.heading)).select(problems.SCHEMA.keys())


def _quick_id(column: Column, cells: pl.Series, _: Vocabulary) -> dict[str, pl.Series]:
    return _accept_plain(column, cells, cells.str.contains(_PLAIN_ID) & (cells.str.len_bytes() <= column.longest))


def _quick_username(column: Column, cells: pl.Series, _: Vocabulary) -> dict[str, pl.Series]:
    # Two hyphens may begin a part of an internationalized domain, which has another key (M4).
    plain = cells.str.contains(_PLAIN_NAME) & ~cells.str.contains("--", literal=True)
    return _accept_plain(column, cells, plain & (cells.str.len_bytes() <= column.longest))


def _quick_email(column: Column, cells: pl.Series, _: Vocabulary) -> dict[str, pl.Series]:
    return _accept_plain(column, cells, emails.is_plain(cells))


def _accept_plain(column: Column, cells: pl.Series, plain: pl.Series) -> dict[str, pl.Series]:
    values = (cells if plain.all() else cells.set(~plain, None)).alias(column.field)
    key = {column.key: values.str.to_lowercase().alias(column.key)} if column in columns.KEYED else {}
    return {column.field: values, **key}


def _quick_phone(column: Column, cells: pl.Series, words: Vocabulary) -> dict[str, pl.Series]:
    return {column.field: phones.parse_quickly(cells, words.country).alias(column.field)}


# In these columns nearly every cell is different. In the others, a few distinct cells repeat.
_QUICK_CHECKS: Mapping[str, Callable[[Column, pl.Series, Vocabulary], dict[str, pl.Series]]] = {
    "EXTERNAL_ID": _quick_id,
    "NEW_EXTERNAL_ID": _quick_id,
    "BADGE_NUMBER": _quick_id,
    "USERNAME": _quick_username,
    "EMAIL": _quick_email,
    "PHONE": _quick_phone,
}
"""Column → the quick check that finds its value columns. They are null where a cell needs a closer look."""
