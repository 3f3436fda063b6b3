"""Step 1 of the import, read: bytes → Table, or everything that is wrong with the file (rules F1–F10)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import BADGE_NUMBER, EMAIL, EXAMPLES, EXTERNAL_ID, PHONE, REQUIRED, USERNAME
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts, Table
from musterbook.core.reading import headings
from musterbook.core.reading.budget import LONGEST_CELL, Limits
from musterbook.core.reading.csv import reader
from musterbook.core.reading.file_type import kind
from musterbook.core.reading.grid import Grid, Refusal, blank, names
from musterbook.core.reading.headings import Headings
from musterbook.core.reading.workbook import workbook
from musterbook.core.values.text import TRIMMED

_NOTHING = b"\xef\xbb\xbf \t\r\n\x1a"
_HEAD = 4096
_LOOKED_AT = 50
_ENOUGH = 4
"""The number of column names in one row that identify it as the intended header row."""
_LISTED = 20
_SHOWN = 100
_SAMPLES = 3
_NEVER_DATES = (EXTERNAL_ID, BADGE_NUMBER, USERNAME, PHONE)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The options that the operator sets for a file.

    Mappings are heading → column ("" to ignore the heading). `mapping` is given for this file, so the file is refused
    if it does not have one of the headings. `remembered` is from earlier files, and applies where it fits this file and
    the given mapping.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @property
    def mappings(self) -> Mapping[str, str]:
        """Return the given mapping combined with the remembered one."""
        return headings.joined(self.remembered, self.mapping)


def read(content: bytes, options: ReadOptions | None = None) -> Table:
    """Return the table of a file. Never raise.

    For a file that is refused, return a table with all its problems.
    """
    options = options or ReadOptions()
    try:
        return _table(_grid(content, options), options, len(content))
    except Refusal as refusal:
        found = _resolved(refusal.headings, options).problems if refusal.headings else ()
        return Table.refused([*refusal.problems, *found], FileFacts(headings=tuple(refusal.headings)))


def _grid(content: bytes, options: ReadOptions) -> Grid:
    limits = options.limits
    if len(content) > limits.bytes:
        raise Refusal(Problem.of("file-too-large", limit=f"{limits.bytes / 1024**2:,.0f} MB"))
    if not content[:_HEAD].strip(_NOTHING) and not content.strip(_NOTHING):
        raise Refusal(Problem.of("empty-file"))
    form = kind(content)
    if form != "csv":
        return workbook.grid(content, form, limits, options.mappings, options.sheet)
    return reader.grid(content, limits, options.mappings, options.encoding, options.delimiter)


def _resolved(cells: Sequence[str], options: ReadOptions) -> Headings:
    return headings.resolve(cells, options.mapping, options.remembered)


def _table(grid: Grid, options: ReadOptions, size: int) -> Table:
    found = _resolved(grid.headings, options)
    file = replace(
        grid.file,
        size=size,
        mapped={grid.headings[index]: column.heading for index, column in found.columns.items()},
        ignored=tuple(grid.headings[index] for index in found.ignored),
        samples=tuple(_samples(grid.rows[str(index)]) for index in range(len(grid.headings))),
    )
    wrong = [*found.problems, *_blank_headings(grid, found)]
    if not found.columns:
        wrong = [_no_header(grid), *(problem for problem in found.problems if problem.code == "unknown-mapping")]
    if wrong:
        return Table.refused(wrong, file, grid.notes)
    blanks, examples = _blank_rows(grid, found), _example_rows(grid, found)
    skipped = pl.concat([blanks, examples]).sort()
    kept = grid.rows.filter(~pl.col("row").is_in(skipped.implode())) if skipped.len() else grid.rows
    cells = kept.select("row", *(pl.col(str(i)).fill_null("").alias(c.field) for i, c in found.columns.items()))
    return Table(
        cells=cells,
        file=file,
        faults=_faults(grid, found, kept, options.limits),
        skipped=skipped.to_frame("row"),
        original=grid.rows,
        surplus=grid.surplus,
        notes=(*grid.notes, *_notes(file, examples)),
    )


def _samples(cells: pl.Series) -> tuple[str, ...]:
    """Return a few values of a column, from its first rows, if they have any."""
    seen = cells.head(_LOOKED_AT)
    values = seen.filter(~_is_blank(seen)).unique(maintain_order=True)
    return tuple(value[:_SHOWN] for value in values.head(_SAMPLES))


def _no_header(grid: Grid) -> Problem:
    """Return the problem of a file whose first row names no column, with a guess of the heading row."""
    if not grid.rows.height and all(blank(heading) for heading in grid.headings):
        return Problem.of("empty-file")
    begins = next((heading for heading in grid.headings if not blank(heading)), "")
    value = headings.shown(begins) if begins else "a blank row"
    required = ", ".join(column.heading for column in REQUIRED)
    return Problem.of("no-header", value=value, required=required, guess=_where_headings_are(grid))


def _where_headings_are(grid: Grid) -> str:
    for row, *cells in grid.rows.head(_LOOKED_AT).iter_rows():
        if headings.known((cell or "" for cell in cells), {}) >= _ENOUGH or _enough_beyond(grid, row):
            return f"The column names seem to be in row {row}: delete the rows above it."
    if len(grid.headings) == 1 and headings.known(re.findall(r"[A-Za-z]\w+", grid.headings[0]), {}) >= _ENOUGH:
        return "The file seems to use a delimiter other than comma, semicolon, tab and pipe."
    return ""


def _enough_beyond(grid: Grid, row: int) -> bool:
    return headings.known(grid.surplus.get(row, ()), {}) >= _ENOUGH


def _blank_headings(grid: Grid, found: Headings) -> Iterator[Problem]:
    """Yield the problem of each column that has data and no heading.

    This includes columns at the end of the header row.
    """
    for index in found.blank:
        if not _is_blank(grid.rows[str(index)]).all():
            yield Problem.of("blank-heading", place=headings.place(index))
    width = len(grid.headings)
    for index in range(width, grid.blank_to):
        at = index - width
        if any(len(cells) > at and not blank(cells[at]) for cells in grid.surplus.values()):
            yield Problem.of("blank-heading", place=headings.place(index))


def _is_blank(cells: pl.Series) -> pl.Series:
    return cells.is_null() | (cells.str.strip_chars(TRIMMED) == "")


def _blank_rows(grid: Grid, found: Headings) -> pl.Series:
    """Return the rows whose cells are all blank, not counting our own columns."""
    others = [name for name in names(len(grid.headings)) if int(name) not in found.ours]
    rows = grid.rows
    # Check column by column: after the first column, only rows that are blank so far are checked.
    for name in others:
        rows = rows.filter(_is_blank(rows[name]))
    faulty = pl.Series([*grid.surplus, *(fault.row for fault in grid.faults)], dtype=pl.UInt32)
    return rows["row"].filter(~rows["row"].is_in(faulty.implode()))


def _example_rows(grid: Grid, found: Headings) -> pl.Series:
    """Return the rows of our own example file (rule F6)."""
    place = {column: str(index) for index, column in found.columns.items()}
    ids = grid.rows[place[EXTERNAL_ID]].str.strip_chars(TRIMMED)
    likely = grid.rows.filter(ids.is_in([row[0] for row in EXAMPLES]))
    emails = likely[place[EMAIL]].str.strip_chars(TRIMMED).str.to_lowercase()
    return likely["row"].filter(emails.str.ends_with("@example.invalid").fill_null(False))


def _faults(grid: Grid, found: Headings, kept: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    cells = problems.frame([*_cell_faults(grid, found, kept), *_long_cells(found, kept, limits)])
    return pl.concat([_cell_counts(grid, kept), cells]).sort("row", maintain_order=True)


def _cell_counts(grid: Grid, kept: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the wrong number of cells (rule F7).

    These are rows with fewer cells than the header row, and rows with more cells where an extra one is not blank.
    """
    width = len(grid.headings)
    more = {"row": list(grid.surplus), "count": [width + len(cells) for cells in grid.surplus.values()]}
    short = kept.filter(kept[str(width - 1)].is_null())
    missing = pl.sum_horizontal(pl.col(names(width)).is_null().cast(pl.Int32))
    counts = pl.concat(
        [pl.DataFrame(more, schema={"row": pl.UInt32, "count": pl.Int32}), short.select("row", count=width - missing)]
    )
    return problems.of_rows(counts, "cell-count", value=pl.col("count").cast(pl.String), expected=str(width))


def _cell_faults(grid: Grid, found: Headings, kept: pl.DataFrame) -> Iterator[Problem]:
    """Yield the faults that the reader found in single cells of known columns."""
    rows = set(kept["row"].to_list()) if grid.faults else set()
    for fault in grid.faults:
        column = found.columns.get(fault.index)
        if column and fault.row in rows and (fault.code != "spreadsheet-damage" or column in _NEVER_DATES):
            params = {"cause": fault.cause} if fault.cause else {}
            yield Problem.of(fault.code, fault.row, column.heading, fault.value, **params)


def _long_cells(found: Headings, kept: pl.DataFrame, limits: Limits) -> Iterator[Problem]:
    for index, column in found.columns.items():
        cells = kept[str(index)]
        if (cells.str.len_bytes().max() or 0) <= limits.characters_in_cell:  # type: ignore[operator]  # a number or None
            continue
        over = kept.filter(cells.str.len_chars() > limits.characters_in_cell)
        for row, cell in over.select("row", str(index)).iter_rows():
            # Reading a workbook stops at this length of a cell (reading/budget).
            stopped = len(cell) > max(LONGEST_CELL, limits.characters_in_cell)
            length = f"{'more than ' if stopped else ''}{len(cell) - stopped:,}"
            yield Problem.of("cell-too-long", row, column.heading, cell[:_SHOWN], length=length)


def _notes(file: FileFacts, examples: pl.Series) -> Iterator[Problem]:
    if file.ignored:
        more = [f"and {len(file.ignored) - _LISTED} more"] if len(file.ignored) > _LISTED else []
        listed = [headings.shown(heading) for heading in file.ignored[:_LISTED]]
        yield Problem.of("ignored-columns", headings=", ".join([*listed, *more]))
    if examples.len():
        rows = [str(row) for row in examples.head(_LISTED).to_list()]
        yield Problem.of("example-rows", in_rows=", ".join(rows))
