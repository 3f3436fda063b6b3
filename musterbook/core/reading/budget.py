"""The memory that a file may use while it is read, by its size.

Everything that is kept of the file is counted before it is copied. A few bytes of a workbook can ask for gigabytes: a
cell that repeats, a text that a thousand cells share, a cell in the last row. The budget limits the sum, regardless of
its source.
"""

import sys
from dataclasses import dataclass

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.grid import Refusal

AT_LEAST = 64 * 1024 * 1024
TIMES = 16
"""A file may ask for AT_LEAST bytes plus TIMES its size.

A CSV file cannot ask for more, because each cell takes at least one byte of it.
"""
FAULT = 160
OBJECT = 200
"""The bytes that one fault takes, and that one object takes in addition to its texts.

An object is a sheet, a style or a reference.
"""
PROBLEMS, BYTES_OF_PROBLEM = 200_000, 80
"""The limit on row problems: PROBLEMS, or one per BYTES_OF_PROBLEM bytes of the file if that is more."""
LONGEST_CELL = 32_767
"""The maximum number of characters in a spreadsheet cell."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The maximum contents of a file (rule F9)."""

    bytes: int = 512 * 1024 * 1024
    rows: int = 5_000_000
    characters_in_cell: int = 10_000


def limit_problems(size: int) -> int:
    """Return the maximum number of row problems for a file of that size.

    Input that is not a file (size 0) may have any number.
    """
    return max(PROBLEMS, size // BYTES_OF_PROBLEM) if size else sys.maxsize


class Budget:
    """The bytes that a file of that size may still ask for.

    `cell` is the number of characters after which reading stops within one cell.
    """

    def __init__(self, size: int, cell: int = LONGEST_CELL) -> None:
        self.most = AT_LEAST + TIMES * size
        self.left = self.most
        self.cell = max(cell, LONGEST_CELL) + 1

    def take(self, amount: int, of: str) -> None:
        """Count bytes that are about to be kept.

        `of` names the part of the file that asks for them. Raise Refusal if the budget is exceeded.
        """
        self.left -= amount
        if self.left < 0:
            raise Refusal(Problem.of("expands-too-far", value=f"{self.most / 1024**2:,.0f} MB", cause=of))

    def keep(self, of: str, *texts: str) -> None:
        """Count one item that is kept, with its texts."""
        self.take(OBJECT + sum(map(sys.getsizeof, texts)), of)
