"""A grid: the cells of a file as text, row by row, before its columns have a meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.values.text import TRIMMED

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
