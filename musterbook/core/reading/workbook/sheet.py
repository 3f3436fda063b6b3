"""A row of a workbook's sheet, in the form that both workbook types return."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from musterbook.core.reading.budget import OBJECT, Budget
from musterbook.core.reading.grid import CellFault

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
"""The bounds of a spreadsheet. A cell outside them is damage."""

MOST_DIGITS = 15
DATE = "a spreadsheet turned the value into a date"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number, its nonblank cells by column (from 0), and the faults of some cells."""

    number: int
    cells: dict[int, str] = field(default_factory=dict)
    faults: list[CellFault] = field(default_factory=list)


HEAD = 30


def take_head(rows: Iterable[Row], budget: Budget) -> list[Row]:
    """Return the rows as far as row 30, and at least the first one."""
    head: list[Row] = []
    for row in rows:
        if head and row.number > HEAD:
            break
        budget.take(
            sum(map(len, row.cells.values())) + OBJECT * (1 + len(row.cells) // 2), "the first rows of its sheets"
        )
        head.append(row)
    return head


class SilentHandler:
    """An XML handler that ignores everything."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""

    def end(self, name: str) -> None:
        """Handle the end of an element."""

    def text(self, text: str) -> None:
        """Handle text."""


def has_lost_digits(value: Decimal) -> bool:
    """Return whether this is a whole number of which a spreadsheet has lost digits."""
    return bool(value) and value.adjusted() >= MOST_DIGITS


def unescape_text(text: str) -> str:
    """Return text with Office escapes such as `_x000D_` replaced by their characters."""
    return _ESCAPE.sub(_decode_character, text) if "_x" in text else text


_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _decode_character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code <= 0xDFFF else chr(code)
