"""A row of a workbook's sheet, as both kinds of workbook give it out."""

import re
from dataclasses import dataclass, field
from decimal import Decimal

from musterbook.core.reading.grid import CellFault

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
"""The bounds of a spreadsheet: a cell outside them is damage."""

MOST_DIGITS = 15
DATE = "a date, which no id or number is: the spreadsheet has taken it for one"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number, its cells that are not blank by their column (from 0), and what is wrong with some."""

    number: int
    cells: dict[int, str] = field(default_factory=dict)
    faults: list[CellFault] = field(default_factory=list)


class Silent:
    """A handler of XML that lets everything pass."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, text: str) -> None:
        """Some text."""


def too_long(value: Decimal) -> bool:
    """True of a whole number of which a spreadsheet has lost digits."""
    return bool(value) and value.adjusted() >= MOST_DIGITS


def unescaped(text: str) -> str:
    """Text with the `_x000D_` of Office read as the characters they stand for."""
    return _ESCAPE.sub(_character, text) if "_x" in text else text


_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code <= 0xDFFF else chr(code)
