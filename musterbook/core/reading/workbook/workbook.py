"""The workbook reader: it selects the sheet, then takes its rows as the text that a person sees."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from musterbook.core.domain.columns import USERS, Layout
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.reading import headings
from musterbook.core.reading.budget import Budget, FileLimits
from musterbook.core.reading.grid import MOST_CELLS, MOST_COLUMNS, CellFault, Grid, GridBuilder, Refusal, too_wide
from musterbook.core.reading.workbook.archive import Archive, damaged
from musterbook.core.reading.workbook.ods import OdsBook
from musterbook.core.reading.workbook.sheet import Row
from musterbook.core.reading.workbook.xlsx import XlsxBook


class Book(Protocol):
    """An open workbook."""

    @property
    def sheets(self) -> Sequence[str]:
        """Return the names of the visible sheets, in workbook order."""

    def first(self, sheet: str) -> Row | None:
        """Return the first row of a sheet that is not empty."""

    def rows(self, sheet: str) -> Iterator[Row]:
        """Yield the rows of a sheet that are not empty, in ascending order."""


_BOOKS: Mapping[str, Callable[[Archive, Budget], Book]] = {"xlsx": XlsxBook, "ods": OdsBook}
_MAX_LISTED = 20
_MAX_SHEETS = 50
"""The number of sheets that are examined. A sheet beyond them must be named."""


def read_grid(
    content: bytes,
    form: str,
    limits: FileLimits,
    mapping: Mapping[str, str],
    named_sheet: str | None,
    layout: Layout = USERS,
) -> Grid:
    """Return the grid of a workbook of the form `xlsx` or `ods`. Raise Refusal if it cannot be read.

    The sheet is the named one, or the only visible one whose first row has the required headings (`mapping`: heading →
    column). Otherwise it is the sheet that comes closest, so that its faults can be reported.
    """
    budget = Budget(len(content), limits.characters_in_cell)
    book = _BOOKS[form](Archive(content), budget)
    if not book.sheets:
        raise damaged("it has no visible sheet")
    first_rows = {sheet: _read_first_row(book, sheet) for sheet in book.sheets[:_MAX_SHEETS]}
    sheet = _find_sheet(book, named_sheet) if named_sheet else _choose_sheet(first_rows, mapping, layout)
    others = [headings.quote_text(name) for name, cells in first_rows.items() if name != sheet and cells is not None]
    notes = (Problem.of("other-sheets", value=sheet, others=_join_names(others)),) if others else ()
    return _read_sheet(book, FileFacts(format=form, sheet=sheet), limits.rows, budget, notes)


def _read_first_row(book: Book, sheet: str) -> list[str] | None:
    """Return the cells of row 1, empty if that is blank, or None for a sheet without contents."""
    first = book.first(sheet)
    if first is None:
        return None
    return _list_cells(first, max(first.cells, default=-1) + 1) if first.number == 1 else []


def _list_cells(row: Row, width: int) -> list[str]:
    return [row.cells.get(index, "") for index in range(width)]


def _find_sheet(book: Book, name: str) -> str:
    for sheet in book.sheets:
        if sheet.strip().casefold() == name.strip().casefold():
            return sheet
    raise Refusal(
        Problem.of("no-such-sheet", value=name, sheets=_join_names([headings.quote_text(s) for s in book.sheets]))
    )


def _choose_sheet(first_rows: Mapping[str, list[str] | None], mapping: Mapping[str, str], layout: Layout) -> str:
    rows = {sheet: cells or [] for sheet, cells in first_rows.items()}
    complete = [
        sheet for sheet, cells in rows.items() if headings.resolve_headings(cells, {}, mapping, layout).complete
    ]
    if len(complete) > 1:
        raise Refusal(Problem.of("which-sheet", sheets=_join_names([headings.quote_text(sheet) for sheet in complete])))
    filled = [sheet for sheet, cells in first_rows.items() if cells is not None] or list(rows)
    return (
        complete[0] if complete else max(filled, key=lambda sheet: headings.count_known(rows[sheet], mapping, layout))
    )


def _join_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MAX_LISTED], *(["…"] if len(names) > _MAX_LISTED else [])])


@dataclass(slots=True)
class _RowCollector:
    """The rows of a sheet on their way into a grid. `last` is the number of the last row."""

    builder: GridBuilder
    faults: list[CellFault] = field(default_factory=list)
    last: int = 1

    def add(self, row: Row) -> None:
        """Add a row, and the blank rows before it."""
        width = self.builder.width
        nothing, why = [""] * width, f"the blank rows above row {row.number}"
        for number in range(self.last + 1, row.number):
            self.builder.add(number, nothing, why)
        extra = [text for index, text in sorted(row.cells.items()) if index >= width]
        self.builder.add(row.number, _list_cells(row, width) + extra)
        self.faults += row.faults
        self.last = row.number


def _read_sheet(book: Book, file: FileFacts, most_rows: int, budget: Budget, notes: tuple[Problem, ...]) -> Grid:
    rows = book.rows(file.sheet)
    first = next(rows, None)
    if first is not None and first.number != 1:
        rows, first = itertools.chain([first], rows), None
    width = max(first.cells, default=-1) + 1 if first else 0
    if width > MOST_COLUMNS:
        raise too_wide(1, MOST_COLUMNS)
    header = tuple(_list_cells(first, width)) if first else ()
    collector = _RowCollector(GridBuilder(width, min(most_rows, MOST_CELLS // max(width, 1)), budget))
    for row in rows:
        collector.add(row)
    file = replace(file, headings=header)
    frame, surplus = collector.builder.rows(), collector.builder.surplus
    return Grid(header, frame, surplus, collector.faults, blank_to=width, file=file, notes=notes)
