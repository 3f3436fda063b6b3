"""The example file: the thirteen headings and four rows that an import recognizes and skips (rule F6)."""

import csv
import io
from typing import Literal

from musterbook.core.domain.columns import COLUMNS, EXAMPLES


def build_example(form: Literal["csv", "xlsx"]) -> bytes:
    """Return the example file as CSV (UTF-8 with a byte order mark) or as a workbook of text cells."""
    rows = [tuple(column.heading for column in COLUMNS), *EXAMPLES]
    return _render_workbook(rows) if form == "xlsx" else _render_csv(rows)


def _render_csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def _render_workbook(rows: list[tuple[str, ...]]) -> bytes:
    import xlsxwriter  # type: ignore[import-untyped]  # it has no types; imported here because it is slow to load

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet("Users")
        text = workbook.add_format({"num_format": "@"})
        sheet.set_column(0, len(COLUMNS) - 1, 24, text)
        for index, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write_string(index, column, cell, text)
    return target.getvalue()
