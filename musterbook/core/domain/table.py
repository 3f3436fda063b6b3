"""What reading a file gives: its cells as text, by column and by the row that a spreadsheet shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the reader learned of the file itself."""

    format: str = ""
    """`csv`, `xlsx` or `ods`; "" where there is no file (a form, an undo)."""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    size: int = 0
    """The bytes of the file; 0 where there is none."""
    headings: tuple[str, ...] = ()
    """The header row as it stands in the file."""
    mapped: Mapping[str, str] = field(default_factory=dict)
    """Heading as it stands in the file → column (`EXTERNAL_ID`), for every column read."""
    ignored: tuple[str, ...] = ()
    """The headings that were ignored with a note."""
    samples: tuple[tuple[str, ...], ...] = ()
    """Under each heading, a few values that stand there."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file as read. Either `problems` is empty, or the file is refused and the frames are empty.

    `cells`: `row` (UInt32, as a spreadsheet shows it, rising) and one String column for each known column that the
    file bears, named by its field (`external_id`), text as it stood in the cell (not yet trimmed), "" where blank or
    missing, no nulls. Skipped rows (blank, examples) are not in it; rows with faults are.
    `faults`: problems (problems.SCHEMA) that reading itself found in rows.
    `skipped`: `row` (UInt32) of the skipped rows.
    `original`: `row`, then every column of the file as strings "0", "1", … in its order, null where a short row has
    no such cell, for all rows, skipped ones too: what the results file gives back (rule A2).
    `surplus`: the cells beyond the header of rows that have more, by row.
    """

    cells: pl.DataFrame
    file: FileFacts = FileFacts()
    faults: pl.DataFrame = field(default_factory=problems.frame)
    skipped: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"row": pl.UInt32}))
    original: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"row": pl.UInt32}))
    surplus: Mapping[int, Sequence[str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], *, first_row: int = 2) -> "Table":
        """The table of a form, a JSON body or a list of such: each a mapping of headings (`EMAIL`) to text.

        The columns are those that the first mapping bears; a heading that is none of the thirteen raises KeyError.
        """
        fields = [columns.BY_HEADING[heading] for heading in (rows[0] if rows else ())]
        data: dict[str, pl.Series] = {
            "row": pl.Series("row", range(first_row, first_row + len(rows)), dtype=pl.UInt32),
            **{c.field: pl.Series([row[c.heading] for row in rows], dtype=pl.String) for c in fields},
        }
        return cls(cells=pl.DataFrame(data))

    @classmethod
    def refused(cls, found: Sequence[Problem], file: FileFacts | None = None, notes: Sequence[Problem] = ()) -> "Table":
        """The table of a file that is refused, with everything that is wrong with the file itself."""
        empty = pl.DataFrame(schema={"row": pl.UInt32})
        return cls(cells=empty, file=file or FileFacts(), problems=tuple(found), notes=tuple(notes))

    @property
    def present(self) -> tuple[columns.Column, ...]:
        """The known columns that the file bears."""
        return tuple(column for column in columns.COLUMNS if column.field in self.cells.columns)

    @property
    def rows(self) -> int:
        """How many rows of data the file has, skipped ones too."""
        return self.cells.height + self.skipped.height
