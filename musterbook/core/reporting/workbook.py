"""Workbooks of one sheet whose cells are all text, so that no spreadsheet changes an id (rule A2)."""

from collections.abc import Iterable, Sequence
from typing import IO, Any

MOST_ROWS = 1_048_575
"""The most rows that a sheet holds below its headings."""
_LONGEST = 32_767
"""The most characters that a cell holds."""
_WIDTH = 24


def write_workbook(target: IO[bytes], name: str, headings: Sequence[str], rows: Iterable[Iterable[str | None]]) -> None:
    """Write the headings and the rows, at most MOST_ROWS, into a workbook, row by row. Blank cells are left out."""
    import xlsxwriter  # type: ignore[import-untyped]  # it has no types; imported here, since it is slow to load

    with xlsxwriter.Workbook(target, {"constant_memory": True}) as book:
        sheet = book.add_worksheet(name)
        form = book.add_format({"num_format": "@"})
        sheet.set_column(0, len(headings) - 1, _WIDTH, form)
        sheet.freeze_panes(1, 0)
        _write_row(sheet, form, 0, headings)
        for number, cells in enumerate(rows, 1):
            _write_row(sheet, form, number, cells)


def _write_row(sheet: Any, form: object, number: int, cells: Iterable[str | None]) -> None:
    for column, cell in enumerate(cells):
        if cell:
            sheet.write_string(number, column, cell[:_LONGEST], form)
