"""What a file may ask for while it is read, by its size: everything that is kept of it is counted before it is copied.

A few bytes of a workbook can ask for gigabytes: a cell that repeats, a text that a thousand cells share, a cell in the last
row. The budget bounds the sum, whatever it is made of.
"""

import sys
from dataclasses import dataclass

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.grid import Refusal

AT_LEAST = 64 * 1024 * 1024
TIMES = 16
"""A file may ask for AT_LEAST bytes and so many times its size. A CSV file cannot ask for more: each cell is a byte of it."""
FAULT = 160
OBJECT = 200
"""The bytes that a fault takes, and what is kept of a sheet, a style or a reference beside its texts."""
PROBLEMS, BYTES_OF_PROBLEM = 200_000, 80
"""A file may have so many problems of rows, or one for each so many bytes of it if that is more."""
LONGEST_CELL = 32_767
"""The most characters that a cell of a spreadsheet holds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a file may hold (rule F9)."""

    bytes: int = 512 * 1024 * 1024
    rows: int = 5_000_000
    characters_in_cell: int = 10_000


def most_problems(size: int) -> int:
    """The most problems that the rows of a file of that size may have; what is no file (size 0) may have any number."""
    return max(PROBLEMS, size // BYTES_OF_PROBLEM) if size else sys.maxsize


class Budget:
    """The bytes that a file of that size may still ask for; `cell`: where reading stops in one cell."""

    def __init__(self, size: int, cell: int = LONGEST_CELL) -> None:
        self.most = AT_LEAST + TIMES * size
        self.left = self.most
        self.cell = max(cell, LONGEST_CELL) + 1

    def take(self, amount: int, of: str) -> None:
        """Count bytes that are about to be kept; `of` says where the file asks for them. Raises Refusal."""
        self.left -= amount
        if self.left < 0:
            raise Refusal(Problem("expands-too-far", value=f"{self.most / 1024**2:,.0f} MB", detail=of))

    def keep(self, of: str, *texts: str) -> None:
        """Count one thing that is kept, with its texts."""
        self.take(OBJECT + sum(map(sys.getsizeof, texts)), of)
