"""The builder of a grid from single rows, of a sheet or of a CSV file."""

from collections.abc import Sequence

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.budget import Budget
from musterbook.core.reading.grid import Refusal, is_blank, name_columns

_CELL = 16
"""The bytes that a cell takes in addition to its text."""


class GridBuilder:
    """A collector that turns single rows into whole columns.

    It converts a few thousand rows at a time, so that memory use stays small.
    """

    CHUNK = 20_000
    CHUNK_OF_CELLS = 1_000_000

    def __init__(self, width: int, most_rows: int, budget: Budget, *, blank_to: int = 0) -> None:
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
