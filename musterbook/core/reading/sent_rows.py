"""Rows that a program sends as values: written as the CSV file of an import, which reads every value as it was sent.

So the page of the import, its error file, corrections and undo work as for any other file.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from musterbook.core.domain.columns import Column
from musterbook.core.values import text

ENCODING, DELIMITER, HEADER_ROW, FIRST_ROW = "utf-8", "comma", 1, 2
"""How such a file is read, and the row of the file that the first row is."""
_LOOKS_GUARDED = "^['=]"


class UnsendableText(Exception):
    """A value has a NUL, or half of a character: no file and no database can hold it."""

    def __init__(self, index: int, column: Column) -> None:
        super().__init__(f"{index} {column.heading}")
        self.index, self.column = index, column


def write_file(present: Sequence[Column], rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return the file that has these columns, and the rows: heading → value. Read it with `ReadOptions.exact`.

    Values are trimmed as an import trims them. Raise UnsendableText.
    """
    cells = pl.DataFrame({column.heading: _clean(column, rows) for column in present})
    return cells.write_csv(quote_style="always", line_terminator="\r\n").encode()


def _clean(column: Column, rows: Sequence[Mapping[str, str]]) -> pl.Series:
    values = [row[column.heading] for row in rows]
    for index, value in enumerate(values):
        if "\0" in value or (not value.isascii() and _has_half_characters(value)):
            raise UnsendableText(index, column)
    cleaned = text.clean(pl.Series(values, dtype=pl.String), guarded=False)
    # Only these would be read as if a spreadsheet had guarded them.
    looks_guarded = cleaned.str.contains(_LOOKS_GUARDED)
    return text.guard(cleaned).zip_with(looks_guarded, cleaned) if looks_guarded.any() else cleaned


def _has_half_characters(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
