"""Rows that a program sends as values, as the file and the options of an import."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from musterbook.core.domain.columns import BY_HEADING, COLUMNS
from musterbook.core.reading import sent_rows
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options

MOST = 10_000
"""The most rows that a program may send at once."""


def make_upload(rows: Sequence[Mapping[str, str]], name: str = "rows.csv") -> Upload:
    """Return the rows as a file: each is heading → value, and all have the same headings. Raise UnsendableText.

    Columns that the rows lack stay unchanged (M2). The row at index `i` is row `i + sent_rows.FIRST_ROW` of the file.
    """
    present = [column for column in COLUMNS if column.heading in rows[0]]
    return Upload(sent_rows.write_file(present, rows), name)


class MixedRows(Exception):
    """A row has other headings than the first one: its index."""

    def __init__(self, index: int) -> None:
        super().__init__(str(index))
        self.index = index


def check_headings(rows: Sequence[Mapping[str, str]]) -> None:
    """Raise MixedRows unless all rows have the same headings: a column is in a file, or is not."""
    first = rows[0].keys()
    for index, row in enumerate(rows):
        if row.keys() != first:
            raise MixedRows(index)


def make_options(rows: Sequence[Mapping[str, str]], options: Options) -> Options:
    """Return the options of an import of these rows, which let every value arrive as it was sent."""
    headings = {heading: heading for heading in BY_HEADING if heading in rows[0]}
    return replace(
        options,
        exact=True,
        mapping=headings,
        encoding=sent_rows.ENCODING,
        delimiter=sent_rows.DELIMITER,
        header_row=sent_rows.HEADER_ROW,
    )
