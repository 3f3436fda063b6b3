"""The rows of a file: as read (cells as text), and as checked (cells as values)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.problems import Problem

CELLS = {"row": pl.UInt32, **{column.field: pl.String for column in columns.COLUMNS}}
"""The columns of `Table.cells` of a file that has all thirteen columns."""

COLUMN_SEPARATOR = ","
"""The separator between the columns that one heading serves."""

CHECKED = {
    "row": pl.UInt32,
    "external_id": pl.String,
    "email": pl.String,
    "email_key": pl.String,
    "badge_number": pl.String,
    "badge_number_key": pl.String,
    "first_name": pl.String,
    "last_name": pl.String,
    "status": pl.Boolean,
    "username": pl.String,
    "username_key": pl.String,
    "role_id": pl.Int64,
    "supervisor_email": pl.String,
    "supervisor_email_key": pl.String,
    "location": pl.String,
    "rank_id": pl.Int64,
    "rank_blank": pl.Boolean,
    "group_id": pl.Int64,
    "group_blank": pl.Boolean,
    "group_inactive": pl.Boolean,
    "phone": pl.String,
}
"""The columns of `CheckedTable.rows` of a file that has all thirteen columns."""
_VALUES = {
    columns.ROLE: ("role_id",),
    columns.RANK: ("rank_id", "rank_blank"),
    columns.EVIDENCE_GROUP_EXT_ID: ("group_id", "group_blank", "group_inactive"),
}
"""The value columns of the columns whose values do not have their names."""


def list_checked(present: Sequence[columns.Column]) -> dict[str, type[pl.DataType]]:
    """Return the columns of `CheckedTable.rows` of a file that has these columns."""
    kinds = {**CHECKED, columns.NEW_EXTERNAL_ID.field: pl.String}
    names = (name for column in present for name in _VALUES.get(column, (column.field, column.key)))
    return {"row": kinds["row"], **{name: kinds[name] for name in names if name in kinds}}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts that the reader found out about the file itself."""

    format: str = ""
    """`csv`, `xlsx` or `ods`; "" where there is no file (a form, an undo)."""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    size: int = 0
    """The size of the file in bytes; 0 where there is no file."""
    headings: tuple[str, ...] = ()
    """The header row exactly as in the file."""
    mapped: Mapping[str, str] = field(default_factory=dict)
    """Heading exactly as in the file → column (`EXTERNAL_ID`), for every column read.

    If a heading serves several columns, their names are joined by commas.
    """
    ignored: tuple[str, ...] = ()
    """The headings that were ignored with a note."""
    samples: tuple[tuple[str, ...], ...] = ()
    """A few values from the column under each heading."""
    suggested: Mapping[str, str] = field(default_factory=dict)
    """Heading → the column that it probably means, where a required column is missing."""
    header_row: int = 1
    final_line_end: bool = True
    """Whether the last row of a CSV file ends with a line ending."""

    @property
    def positions(self) -> dict[str, int]:
        """Return the position of each column in the file, by the column's name. Positions count from 0."""
        places: dict[str, int] = {}
        for index, heading in enumerate(self.headings):
            places.setdefault(heading, index)
        return {
            column: places[heading]
            for heading, joined in self.mapped.items()
            for column in joined.split(COLUMN_SEPARATOR)
        }


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason to doubt that the file is complete. It holds a synchronize import (rules F6, F11).

    - `code`: `cut-off` or `row-count`.
    - `rows`: the number of data rows of the file.
    - `detail`: the row in which the file ends, or the number of rows that the file says it has.
    """

    code: str
    rows: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file as read.

    If `problems` is not empty, the file is refused and the frames are empty.

    - `cells` (CELLS): `row` (as a spreadsheet shows it, ascending) and a column for each known column of the file, named
      by its field (`external_id`). Text is exactly as in the cell (not yet trimmed), "" where blank or missing, without
      nulls. Skipped rows (blank rows, examples) are not included; rows with faults are.
    - `faults`: the problems (problems.SCHEMA) that reading itself found in rows.
    - `skipped`: `row` (UInt32) of the skipped rows.
    - `original`: `row`, then every column of the file as strings "0", "1", … in file order, null where a short row has
      no such cell. It holds all rows, including skipped ones. The results file returns these cells (rule A2).
    - `surplus`: the cells beyond the header, by row, of rows that have more cells than the header.
    """

    cells: pl.DataFrame
    file: FileFacts = FileFacts()
    faults: pl.DataFrame = field(default_factory=problems.build_frame)
    skipped: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"row": pl.UInt32}))
    original: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"row": pl.UInt32}))
    surplus: Mapping[int, Sequence[str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    """The reasons to doubt that the file is complete."""
    trailer: int = 0
    """The last row, if it may be a trailer and no user (rule F6); 0: none. The plan decides, because it knows the users."""
    cut_off: int = 0
    """The last row, if it has too few cells and no line ending (rule F11); 0: none."""
    guarded: bool = True
    """Whether a cell may be guarded, as spreadsheets and our own files do it: `'=x` for `=x`, `="00123"` for `00123`."""

    @classmethod
    def of_values(cls, rows: pl.DataFrame, faults: pl.DataFrame | None = None) -> "Table":
        """Return the table of a form, an undo or a bulk action. Each of its cells is its value, and never guarded.

        `rows`: like `cells`.
        """
        return cls(rows, faults=problems.build_frame() if faults is None else faults, guarded=False)

    @classmethod
    def refused(
        cls, reasons: Sequence[Problem], file: FileFacts | None = None, notes: Sequence[Problem] = ()
    ) -> "Table":
        """Return the table of a file that is refused, with every problem of the file itself."""
        empty = pl.DataFrame(schema={"row": pl.UInt32})
        return cls(cells=empty, file=file or FileFacts(), problems=tuple(reasons), notes=tuple(notes))

    @property
    def present(self) -> tuple[columns.Column, ...]:
        """Return the known columns that the file has."""
        names = {*self.cells.columns}
        return tuple(column for column in columns.ALL if column.field in names)

    @property
    def rows(self) -> int:
        """Return the number of data rows in the file, including skipped ones."""
        return self.cells.height + self.skipped.height


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """Rows whose cells have been read as values.

    `rows` (CHECKED) holds `row` and the value columns of each column in `present`. A cell that has a problem is null in
    its value columns:

    - `external_id`, `first_name`, `last_name`, `location`, `phone` (E.164): normalized (rule C1), "" for blank.
    - `email`, `badge_number`, `username`: as typed. `email_key`, `badge_number_key`, `username_key`: the keys that they
      are compared by (rule M4).
    - `status`: true for Active.
    - `role_id`, `rank_id`, `group_id`: null also where RANK or the group is blank, so `rank_blank` and `group_blank`
      distinguish a cleared value from a wrong one.
    - `new_external_id` (only in a file of new external IDs): normalized.
    - `supervisor_email`: normalized, "" for blank. `supervisor_email_key`: a key like that of EMAIL.

    `problems` (problems.SCHEMA) holds every problem of every row, including those that reading found. It does not
    include inactive groups: they are a problem only if the user is not in the group already (rule C7).
    """

    rows: pl.DataFrame
    present: tuple[columns.Column, ...]
    problems: pl.DataFrame
