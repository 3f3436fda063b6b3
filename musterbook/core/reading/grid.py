"""A grid: the cells of a file as text, row by row, before its columns have a meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.values.text import TRIMMED

if TYPE_CHECKING:
    from musterbook.core.reading.budget import Budget

_CELL = 16
"""The bytes that a cell takes in addition to its text."""
MOST_COLUMNS = 1_000
MOST_CELLS = 200_000_000
MOST_IN_ROW = 20_000
"""Limits that no file of users approaches.

Without them, a few bytes of rows under a header row of that width would fill the memory.
"""


def too_wide(row: int, most: int) -> "Refusal":
    """Return the refusal of a file for a row of more than `most` cells."""
    return Refusal(Problem.of("too-many-columns", in_row=str(row), value=f"{most:,}"))


class Refusal(Exception):
    """A refusal of a file that cannot be read.

    It is raised within reading, and only `intake.read` catches it. `problems` holds the reasons. `headings` is the
    header row, if it could be read, so that its faults are reported as well.
    """

    def __init__(self, *problems: Problem, headings: Sequence[str] = ()) -> None:
        super().__init__(*problems)
        self.problems = problems
        self.headings = headings


@dataclass(frozen=True, slots=True)
class CellFault:
    """A fault that a reader found in one cell: in row `row`, in the grid's column `index`."""

    row: int
    index: int
    code: str
    value: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """The header row of a file.

    - `number`: its row.
    - `above`: the rows above it that are not blank, each with its number.
    - `sure`: whether it is certain that this row is meant: it has the required headings, or it was named.
    - `others`: other rows among the first ones that have all required headings.
    """

    number: int = 1
    cells: tuple[str, ...] = ()
    above: tuple[tuple[int, tuple[str, ...]], ...] = ()
    sure: bool = True
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a file or sheet.

    - `headings`: the cells of the header row.
    - `rows`: `row` (UInt32, ascending), then one String column "0", "1", … for each heading, null where a short row
      ends before it.
    - `surplus`: the cells beyond the headings, of rows where one of these is not blank.
    - `blank_to`: the number of cells in the header row, including blank ones at its end, which are not among the
      headings.
    - `wider`: the number of cells of rows that end in more blank cells than the header row.
    - `header`: the header row and the rows above it.
    - `cut_off`: the last row, if it ends inside a quoted cell and no line ending follows; 0: none.
    - `merged`: the merged cells of a sheet: the first and last row, and the first and last column.
    - `elsewhere`: other sheets that have the required headings, as text.
    """

    headings: tuple[str, ...]
    rows: pl.DataFrame
    surplus: Mapping[int, Sequence[str]] = field(default_factory=dict)
    faults: Sequence[CellFault] = ()
    blank_to: int = field(kw_only=True)
    file: FileFacts = field(default_factory=FileFacts)
    notes: tuple[Problem, ...] = ()
    wider: Mapping[int, int] = field(default_factory=dict)
    header: HeaderRow = field(default_factory=HeaderRow)
    cut_off: int = 0
    merged: Sequence[tuple[int, int, int, int]] = ()
    elsewhere: str = ""


def name_columns(width: int) -> list[str]:
    """Return the names of a grid's columns."""
    return [str(index) for index in range(width)]


def is_blank(text: str) -> bool:
    """Return whether a cell holds only white space."""
    return not text.strip(TRIMMED)


class GridBuilder:
    """A collector that turns single rows into whole columns.

    It converts a few thousand rows at a time, so that memory use stays small.
    """

    CHUNK = 20_000
    CHUNK_OF_CELLS = 1_000_000

    def __init__(self, width: int, most_rows: int, budget: "Budget", *, blank_to: int = 0) -> None:
        self.width = width
        self._blank_to = max(width, blank_to)
        self.wider: dict[int, int] = {}
        self._budget = budget
        self._chunk = max(1, min(self.CHUNK, self.CHUNK_OF_CELLS // max(width, 1)))
        self._counted = 0
        self.most_rows = most_rows
        self.surplus: dict[int, Sequence[str]] = {}
        self.count = 0
        self._numbers: list[int] = []
        self._rows: list[Sequence[str | None]] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, number: int, cells: Sequence[str], asked_by: str = "") -> None:
        """Add the row `number`.

        It may have fewer or more cells than the grid has columns. `asked_by` is the reason why the row exists.
        """
        self.count += 1
        if self.count > self.most_rows:
            raise Refusal(Problem.of("too-many-rows", limit=f"{self.most_rows:,}"))
        size = sum(map(len, cells)) + _CELL * max(self.width, len(cells))
        self._counted += size
        self._budget.take(size, asked_by or f"its rows down to row {number}")
        self._numbers.append(number)
        self._rows.append(cells if len(cells) == self.width else self._fitted(number, cells))
        if len(self._rows) == self._chunk:
            self._flush()

    def rows(self) -> pl.DataFrame:
        """Return all rows added, as `Grid.rows`."""
        self._flush()
        return pl.concat(self._frames)

    def _fitted(self, number: int, cells: Sequence[str]) -> Sequence[str | None]:
        extra = cells[self.width :]
        if not is_blank("".join(extra)):
            self._budget.keep(f"its rows down to row {number}", "")
            self.surplus[number] = extra
        elif len(cells) > self._blank_to:
            self._budget.keep(f"its rows down to row {number}", "")
            self.wider[number] = len(cells)
        missing: list[str | None] = [None] * (self.width - len(cells))
        return [*cells[: self.width], *missing]

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * self.width
        data = {"row": pl.Series(self._numbers, dtype=pl.UInt32)}
        data |= {
            name: pl.Series(cells, dtype=pl.String)
            for name, cells in zip(name_columns(self.width), columns, strict=True)
        }
        self._frames.append(pl.DataFrame(data))
        # Letters beyond ASCII take more bytes than counted so far.
        more = int(self._frames[-1].estimated_size()) - self._counted
        self._budget.take(max(more, 0), f"its rows down to row {self._numbers[-1]}" if self._numbers else "")
        self._numbers, self._rows, self._counted = [], [], 0
