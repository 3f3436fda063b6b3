"""The workbook reader: it selects the sheet, then takes its rows as the text that a person sees."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.reading import headings
from musterbook.core.reading.budget import Budget, FileLimits
from musterbook.core.reading.grid import MOST_CELLS, MOST_COLUMNS, CellFault, Grid, Refusal, too_wide
from musterbook.core.reading.grid_builder import GridBuilder
from musterbook.core.reading.header_rows import LAST, HeaderChoice, find_header_row, rate_rows
from musterbook.core.reading.workbook.archive import Archive, damaged
from musterbook.core.reading.workbook.ods import OdsBook
from musterbook.core.reading.workbook.sheet import Row
from musterbook.core.reading.workbook.xlsx import XlsxBook


class Book(Protocol):
    """An open workbook."""

    @property
    def sheets(self) -> Sequence[str]:
        """Return the names of the visible sheets, in workbook order."""

    @property
    def hidden(self) -> Sequence[str]:
        """Return the names of the hidden sheets."""

    @property
    def merged(self) -> Sequence[tuple[int, int, int, int]]:
        """Return the merged cells of the sheet whose rows were read: first and last row, first and last column."""

    def head(self, sheet: str) -> Sequence[Row]:
        """Return the rows of a sheet that are not empty, as far as row 30, and at least the first one."""

    def rows(self, sheet: str) -> Iterator[Row]:
        """Yield the rows of a sheet that are not empty, in ascending order."""


_BOOKS: Mapping[str, Callable[[Archive, Budget], Book]] = {"xlsx": XlsxBook, "ods": OdsBook}
_MAX_LISTED = 20
_MAX_SHEETS = 50
"""The number of sheets that are examined. A sheet beyond them must be named."""


def read_grid(content: bytes, form: str, limits: FileLimits, choice: HeaderChoice, named_sheet: str | None) -> Grid:
    """Return the grid of a workbook of the form `xlsx` or `ods`. Raise Refusal if it cannot be read.

    The sheet is the named one, or the only visible one that has the required headings. Otherwise it is the sheet that
    comes closest, so that its faults can be reported.
    """
    budget = Budget(len(content), limits.characters_in_cell)
    book = _BOOKS[form](Archive(content), budget)
    if not book.sheets:
        raise damaged("it has no visible sheet")
    heads = {sheet: _read_head(book, sheet) for sheet in book.sheets[:_MAX_SHEETS]}
    sheet = _find_sheet(book, named_sheet) if named_sheet else _choose_sheet(heads, choice)
    others = [headings.quote_text(name) for name, rows in heads.items() if name != sheet and rows]
    notes = (Problem.of("other-sheets", value=sheet, others=_join_names(others)),) if others else ()
    grid = _read_sheet(book, FileFacts(format=form, sheet=sheet), limits.rows, budget, choice)
    return replace(grid, notes=notes, elsewhere=_find_elsewhere(book, heads, grid, choice))


def _read_head(book: Book, sheet: str) -> dict[int, list[str]]:
    """Return the cells of the first rows, by number."""
    return {row.number: _list_all_cells(row) for row in book.head(sheet)}


def _find_elsewhere(book: Book, heads: Mapping[str, Mapping[int, list[str]]], grid: Grid, choice: HeaderChoice) -> str:
    """Return the names of other sheets that have the required headings, including hidden ones, if this one has not."""
    if choice.fits(grid.headings):
        return ""
    visible = [name for name, rows in heads.items() if name != grid.file.sheet and _is_complete(rows, choice)]
    hidden = [name for name in book.hidden[:_MAX_SHEETS] if _is_complete(_read_head(book, name), choice)]
    return _join_names(
        [*map(headings.quote_text, visible), *(f"{headings.quote_text(name)} (hidden)" for name in hidden)]
    )


def _is_complete(rows: Mapping[int, list[str]], choice: HeaderChoice) -> bool:
    return any(choice.fits(cells) for number, cells in rows.items() if number <= LAST)


def _list_cells(row: Row, width: int) -> list[str]:
    return [row.cells.get(index, "") for index in range(width)]


def _list_all_cells(row: Row) -> list[str]:
    """Return the cells as far as the last one that is not blank."""
    return _list_cells(row, max(row.cells, default=-1) + 1)


def _find_sheet(book: Book, name: str) -> str:
    for sheet in book.sheets:
        if sheet.strip().casefold() == name.strip().casefold():
            return sheet
    raise Refusal(
        Problem.of("no-such-sheet", value=name, sheets=_join_names([headings.quote_text(s) for s in book.sheets]))
    )


def _choose_sheet(heads: Mapping[str, Mapping[int, list[str]]], choice: HeaderChoice) -> str:
    complete = [sheet for sheet, rows in heads.items() if _is_complete(rows, choice)]
    if len(complete) > 1:
        raise Refusal(Problem.of("which-sheet", sheets=_join_names([headings.quote_text(sheet) for sheet in complete])))
    filled = [sheet for sheet, rows in heads.items() if rows] or list(heads)
    return complete[0] if complete else max(filled, key=lambda sheet: rate_rows([*heads[sheet].values()], choice))


def _join_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MAX_LISTED], *(["…"] if len(names) > _MAX_LISTED else [])])


@dataclass(slots=True)
class _RowCollector:
    """The rows of a sheet on their way into a grid. `last` is the number of the last row."""

    builder: GridBuilder
    last: int
    faults: list[CellFault] = field(default_factory=list)

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


def _read_sheet(book: Book, file: FileFacts, most_rows: int, budget: Budget, choice: HeaderChoice) -> Grid:
    rows = book.rows(file.sheet)
    first: list[Row] = []
    for row in rows:
        first.append(row)
        if row.number >= choice.last:
            break
    cells = {row.number: _list_all_cells(row) for row in first if row.number <= choice.last}
    header = find_header_row(cells, choice)
    width = len(header.cells)
    if width > MOST_COLUMNS:
        raise too_wide(header.number, MOST_COLUMNS)
    builder = GridBuilder(width, min(most_rows, MOST_CELLS // max(width, 1)), budget)
    collector = _RowCollector(builder, last=header.number)
    for row in itertools.chain(first, rows):
        if row.number > header.number:
            collector.add(row)
    file = replace(file, headings=header.cells, header_row=header.number)
    frame, surplus = builder.rows(), builder.surplus
    return Grid(
        header.cells, frame, surplus, collector.faults, blank_to=width, file=file, header=header, merged=book.merged
    )
