"""Step 1 of the import, read: bytes → Table, or everything that is wrong with the file (rules F1–F10)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import (
    BADGE_NUMBER,
    EMAIL,
    EXAMPLES,
    EXTERNAL_ID,
    LAYOUTS,
    NEW_EXTERNAL_ID,
    PHONE,
    USERNAME,
    USERS,
    Layout,
)
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts, Table
from musterbook.core.reading import headings
from musterbook.core.reading.budget import LONGEST_CELL, FileLimits
from musterbook.core.reading.csv import reader
from musterbook.core.reading.file_type import detect_type
from musterbook.core.reading.grid import Grid, Refusal, is_blank, name_columns
from musterbook.core.reading.headings import Headings
from musterbook.core.reading.workbook import workbook
from musterbook.core.values.text import TRIMMED

_BLANK_BYTES = b"\xef\xbb\xbf \t\r\n\x1a"
_HEAD = 4096
_MAX_ROWS_SAMPLED = 50
_MIN_NAMES = 4
"""The number of column names in one row that identify it as the intended header row."""
_MAX_LISTED = 20
_SHOWN_LENGTH = 100
_MAX_SAMPLES = 3
_NEVER_DATES = (EXTERNAL_ID, NEW_EXTERNAL_ID, BADGE_NUMBER, USERNAME, PHONE)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The options that the operator sets for a file.

    Mappings are heading → column ("" to ignore the heading). `mapping` is given for this file, so the file is refused
    if it does not have one of the headings. `remembered` is from earlier files, and applies where it fits this file and
    the given mapping. `layout`: the name of the columns that the file has (columns.LAYOUTS). `defaults`: the required
    columns that it may lack, because new users have a default (F14).
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, str] = field(default_factory=dict)
    limits: FileLimits = field(default_factory=FileLimits)
    layout: str = USERS.name
    defaults: Sequence[str] = ()

    @property
    def columns(self) -> Layout:
        """Return the columns that the file has."""
        return replace(LAYOUTS[self.layout], with_default=tuple(self.defaults))

    @property
    def mappings(self) -> Mapping[str, str]:
        """Return the given mapping combined with the remembered one."""
        return headings.merge_mappings(self.remembered, self.mapping)


def read(content: bytes, options: ReadOptions | None = None) -> Table:
    """Return the table of a file. Never raise.

    For a file that is refused, return a table with all its problems.
    """
    options = options or ReadOptions()
    try:
        return _build_table(_read_grid(content, options), options, len(content))
    except Refusal as refusal:
        more = _resolve_headings(refusal.headings, options).problems if refusal.headings else ()
        return Table.refused([*refusal.problems, *more], FileFacts(headings=tuple(refusal.headings)))


def _read_grid(content: bytes, options: ReadOptions) -> Grid:
    limits = options.limits
    if len(content) > limits.bytes:
        raise Refusal(Problem.of("file-too-large", limit=f"{limits.bytes / 1024**2:,.0f} MB"))
    if not content[:_HEAD].strip(_BLANK_BYTES) and not content.strip(_BLANK_BYTES):
        raise Refusal(Problem.of("empty-file"))
    form = detect_type(content)
    if form != "csv":
        return workbook.read_grid(content, form, limits, options.mappings, options.sheet, options.columns)
    return reader.read_grid(content, limits, options.mappings, options.encoding, options.delimiter, options.columns)


def _resolve_headings(cells: Sequence[str], options: ReadOptions) -> Headings:
    return headings.resolve_headings(cells, options.mapping, options.remembered, options.columns)


def _build_table(grid: Grid, options: ReadOptions, size: int) -> Table:
    header = _resolve_headings(grid.headings, options)
    file = replace(
        grid.file,
        size=size,
        mapped={grid.headings[index]: column.heading for index, column in header.columns.items()},
        ignored=tuple(grid.headings[index] for index in header.ignored),
        samples=tuple(_take_samples(grid.rows[str(index)]) for index in range(len(grid.headings))),
    )
    wrong = [*header.problems, *_check_headings(grid, header)]
    if not header.columns:
        wrong = [
            _explain_no_header(grid, options.columns),
            *(problem for problem in header.problems if problem.code == "unknown-mapping"),
        ]
    if wrong:
        return Table.refused(wrong, file, grid.notes)
    blanks, examples = _find_blank_rows(grid, header), _find_example_rows(grid, header)
    skipped = pl.concat([blanks, examples]).sort()
    data_rows = grid.rows.filter(~pl.col("row").is_in(skipped.implode())) if skipped.len() else grid.rows
    cells = data_rows.select("row", *(pl.col(str(i)).fill_null("").alias(c.field) for i, c in header.columns.items()))
    return Table(
        cells=cells,
        file=file,
        faults=_find_faults(grid, header, data_rows, options.limits),
        skipped=skipped.to_frame("row"),
        original=grid.rows,
        surplus=grid.surplus,
        notes=(*grid.notes, *_build_notes(file, examples)),
    )


def _take_samples(cells: pl.Series) -> tuple[str, ...]:
    """Return a few values of a column, from its first rows, if they have any."""
    head = cells.head(_MAX_ROWS_SAMPLED)
    values = head.filter(~_are_blank(head)).unique(maintain_order=True)
    return tuple(value[:_SHOWN_LENGTH] for value in values.head(_MAX_SAMPLES))


def _explain_no_header(grid: Grid, layout: Layout) -> Problem:
    """Return the problem of a file whose first row names no column, with a guess of the heading row."""
    if not grid.rows.height and all(is_blank(heading) for heading in grid.headings):
        return Problem.of("empty-file")
    begins = next((heading for heading in grid.headings if not is_blank(heading)), "")
    value = headings.quote_text(begins) if begins else "a blank row"
    required = ", ".join(column.heading for column in layout.required)
    return Problem.of("no-header", value=value, required=required, guess=_guess_header_row(grid, layout))


def _guess_header_row(grid: Grid, layout: Layout) -> str:
    enough = min(_MIN_NAMES, len(layout.required))
    for row, *cells in grid.rows.head(_MAX_ROWS_SAMPLED).iter_rows():
        names = [*(cell or "" for cell in cells), *grid.surplus.get(row, ())]
        if headings.count_known(names, {}, layout) >= enough:
            return f"The column names seem to be in row {row}: delete the rows above it."
    words = re.findall(r"[A-Za-z]\w+", grid.headings[0]) if len(grid.headings) == 1 else []
    if headings.count_known(words, {}, layout) >= enough:
        return "The file seems to use a delimiter other than comma, semicolon, tab and pipe."
    return ""


def _check_headings(grid: Grid, header: Headings) -> Iterator[Problem]:
    """Yield the problem of each column that has data and no heading.

    This includes columns at the end of the header row.
    """
    for index in header.blank:
        if not _are_blank(grid.rows[str(index)]).all():
            yield Problem.of("blank-heading", place=headings.format_position(index))
    width = len(grid.headings)
    for index in range(width, grid.blank_to):
        at = index - width
        if any(len(cells) > at and not is_blank(cells[at]) for cells in grid.surplus.values()):
            yield Problem.of("blank-heading", place=headings.format_position(index))


def _are_blank(cells: pl.Series) -> pl.Series:
    return cells.is_null() | (cells.str.strip_chars(TRIMMED) == "")


def _find_blank_rows(grid: Grid, header: Headings) -> pl.Series:
    """Return the rows whose cells are all blank, not counting our own columns."""
    others = [name for name in name_columns(len(grid.headings)) if int(name) not in header.own_columns]
    rows = grid.rows
    # Check column by column: after the first column, only rows that are blank so far are checked.
    for name in others:
        rows = rows.filter(_are_blank(rows[name]))
    faulty = pl.Series([*grid.surplus, *(fault.row for fault in grid.faults)], dtype=pl.UInt32)
    return rows["row"].filter(~rows["row"].is_in(faulty.implode()))


def _find_example_rows(grid: Grid, header: Headings) -> pl.Series:
    """Return the rows of our own example file (rule F6)."""
    if header.layout.name != USERS.name:
        return pl.Series([], dtype=pl.UInt32)
    positions = {column: str(index) for index, column in header.columns.items()}
    ids = grid.rows[positions[EXTERNAL_ID]].str.strip_chars(TRIMMED)
    likely = grid.rows.filter(ids.is_in([row[0] for row in EXAMPLES]))
    emails = likely[positions[EMAIL]].str.strip_chars(TRIMMED).str.to_lowercase()
    return likely["row"].filter(emails.str.ends_with("@example.invalid").fill_null(False))


def _find_faults(grid: Grid, header: Headings, data_rows: pl.DataFrame, limits: FileLimits) -> pl.DataFrame:
    cells = problems.build_frame(
        [*_convert_faults(grid, header, data_rows), *_find_long_cells(header, data_rows, limits)]
    )
    return pl.concat([_check_cell_counts(grid, data_rows), cells]).sort("row", maintain_order=True)


def _check_cell_counts(grid: Grid, data_rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the wrong number of cells (rule F7).

    These are rows with fewer cells than the header row, and rows with more cells where an extra one is not blank.
    """
    width = len(grid.headings)
    more = {"row": list(grid.surplus), "count": [width + len(cells) for cells in grid.surplus.values()]}
    short = data_rows.filter(data_rows[str(width - 1)].is_null())
    missing = pl.sum_horizontal(pl.col(name_columns(width)).is_null().cast(pl.Int32))
    counts = pl.concat(
        [pl.DataFrame(more, schema={"row": pl.UInt32, "count": pl.Int32}), short.select("row", count=width - missing)]
    )
    return problems.flag_rows(counts, "cell-count", value=pl.col("count").cast(pl.String), expected=str(width))


def _convert_faults(grid: Grid, header: Headings, data_rows: pl.DataFrame) -> Iterator[Problem]:
    """Yield the faults that the reader found in single cells of known columns."""
    rows = set(data_rows["row"].to_list()) if grid.faults else set()
    for fault in grid.faults:
        column = header.columns.get(fault.index)
        if column and fault.row in rows and (fault.code != "spreadsheet-damage" or column in _NEVER_DATES):
            params = {"cause": fault.cause} if fault.cause else {}
            yield Problem.of(fault.code, fault.row, column.heading, fault.value, **params)


def _find_long_cells(header: Headings, data_rows: pl.DataFrame, limits: FileLimits) -> Iterator[Problem]:
    for index, column in header.columns.items():
        cells = data_rows[str(index)]
        if (cells.str.len_bytes().max() or 0) <= limits.characters_in_cell:  # type: ignore[operator]  # a number or None
            continue
        over = data_rows.filter(cells.str.len_chars() > limits.characters_in_cell)
        for row, cell in over.select("row", str(index)).iter_rows():
            # Reading a workbook stops at this length of a cell (reading/budget).
            stopped = len(cell) > max(LONGEST_CELL, limits.characters_in_cell)
            length = f"{'more than ' if stopped else ''}{len(cell) - stopped:,}"
            yield Problem.of("cell-too-long", row, column.heading, cell[:_SHOWN_LENGTH], length=length)


def _build_notes(file: FileFacts, examples: pl.Series) -> Iterator[Problem]:
    if file.ignored:
        more = [f"and {len(file.ignored) - _MAX_LISTED} more"] if len(file.ignored) > _MAX_LISTED else []
        listed = [headings.quote_text(heading) for heading in file.ignored[:_MAX_LISTED]]
        yield Problem.of("ignored-columns", headings=", ".join([*listed, *more]))
    if examples.len():
        rows = [str(row) for row in examples.head(_MAX_LISTED).to_list()]
        yield Problem.of("example-rows", in_rows=", ".join(rows))
