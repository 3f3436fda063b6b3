"""Step 1 of the import, read: bytes → Table, or everything that is wrong with the file (rules F1–F15)."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.columns import (
    BADGE_NUMBER,
    EXTERNAL_ID,
    GROUP_EXT_ID,
    GROUP_ID,
    LAYOUTS,
    MEMBER_EXT_ID,
    NEW_EXTERNAL_ID,
    PARENT_EXT_ID,
    PHONE,
    USERNAME,
    USERS,
    Layout,
)
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import COLUMN_SEPARATOR, FileFacts, Table
from musterbook.core.reading import headings, merged_cells, special_rows
from musterbook.core.reading.budget import LONGEST_CELL, FileLimits
from musterbook.core.reading.csv import reader
from musterbook.core.reading.file_type import detect_type, refuse_companion
from musterbook.core.reading.grid import Grid, Refusal, is_blank, name_columns
from musterbook.core.reading.header_rows import HeaderChoice
from musterbook.core.reading.headings import Headings
from musterbook.core.reading.special_rows import are_blank
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
_NEVER_DATES = (
    EXTERNAL_ID, NEW_EXTERNAL_ID, BADGE_NUMBER, USERNAME, PHONE, GROUP_ID, GROUP_EXT_ID, MEMBER_EXT_ID, PARENT_EXT_ID,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The options that the operator sets for a file, and those that are remembered from earlier files.

    Mappings are heading → columns, joined by commas ("" to leave the heading out). `mapping` is given for this file, so
    the file is refused if it does not have one of the headings. What is remembered applies where it fits this file and
    what is given. `name` is the name of the file. It only helps to explain why a file cannot be read. `layout`: the name
    of the columns that the file has (columns.LAYOUTS). `defaults`: the required columns that it may lack, because new
    users have a default (F14). `exact`: every row of the file is a user, because `sent_rows` has written it.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    header_row: int | None = None
    remembered: Mapping[str, str] = field(default_factory=dict)
    remembered_encoding: str | None = None
    remembered_header_row: int | None = None
    name: str = ""
    limits: FileLimits = field(default_factory=FileLimits)
    layout: str = USERS.name
    defaults: Sequence[str] = ()
    exact: bool = False

    @property
    def columns(self) -> Layout:
        """Return the columns that the file has."""
        return replace(LAYOUTS[self.layout], with_default=tuple(self.defaults))

    @property
    def mappings(self) -> Mapping[str, str]:
        """Return the given mapping combined with the remembered one."""
        return headings.merge_mappings(self.remembered, self.mapping)

    @property
    def header(self) -> HeaderChoice:
        """Return what is known of the header row."""
        return HeaderChoice(self.mappings, self.columns, self.header_row, self.remembered_header_row)


def read(content: bytes, options: ReadOptions | None = None) -> Table:
    """Return the table of a file. Never raise.

    For a file that is refused, return a table with all its problems.
    """
    options = options or ReadOptions()
    try:
        return _build_table(_read_grid(content, options), options, len(content))
    except Refusal as refusal:
        more = _resolve_headings(refusal.headings, options).problems if refusal.headings else ()
        reasons = [_name_companion(problem, options.name) for problem in refusal.problems]
        return Table.refused([*reasons, *more], FileFacts(headings=tuple(refusal.headings)))


def _name_companion(problem: Problem, name: str) -> Problem:
    """Return the problem of a file with NUL bytes as that of a lock file, if it has such a name (rule F2)."""
    return (refuse_companion(name) or problem) if problem.code == "nul-byte" else problem


def _read_grid(content: bytes, options: ReadOptions) -> Grid:
    limits = options.limits
    if len(content) > limits.bytes:
        raise Refusal(Problem.of("file-too-large", limit=f"{limits.bytes / 1024**2:,.0f} MB"))
    if not content[:_HEAD].strip(_BLANK_BYTES) and not content.strip(_BLANK_BYTES):
        raise Refusal(Problem.of("empty-file"))
    form = detect_type(content)
    if form != "csv":
        return workbook.read_grid(content, form, limits, options.header, options.sheet)
    how = reader.CsvOptions(options.encoding, options.delimiter, options.remembered_encoding, options.header)
    return reader.read_grid(content, limits, how)


def _resolve_headings(cells: Sequence[str], options: ReadOptions, samples: Sequence[Sequence[str]] = ()) -> Headings:
    return headings.resolve_headings(cells, options.mapping, options.remembered, options.columns, samples)


def _build_table(grid: Grid, options: ReadOptions, size: int) -> Table:
    samples = tuple(_take_samples(grid.rows[str(index)]) for index in range(len(grid.headings)))
    header = _resolve_headings(grid.headings, options, samples)
    file = replace(
        grid.file,
        size=size,
        mapped=_describe_mapping(grid, header),
        ignored=tuple(grid.headings[index] for index in header.ignored),
        samples=samples,
        suggested=header.suggested,
    )
    wrong = [*_explain_header(grid, header), *(_check_headings(grid, header) if header.pairs else ())]
    if wrong:
        return Table.refused(wrong, file, grid.notes)
    if options.exact:
        return _build_exact_table(grid, header, file, options)
    grid, merge_notes = merged_cells.blank_covered(grid, header)
    blanks = special_rows.find_blank_rows(grid, header)
    examples, repeated = special_rows.find_example_rows(grid, header), special_rows.find_repeated_headings(grid, header)
    skipped = pl.concat([blanks, examples, repeated]).sort()
    data_rows = grid.rows.filter(~pl.col("row").is_in(skipped.implode())) if skipped.len() else grid.rows
    return Table(
        cells=_select_cells(data_rows, header),
        file=file,
        faults=_find_faults(grid, header, data_rows, options.limits),
        skipped=skipped.to_frame("row"),
        original=grid.rows,
        surplus={
            **grid.surplus,
            **{row: [""] * (n - len(grid.headings)) for row, n in _find_wider(grid, data_rows).items()},
        },
        notes=(*grid.notes, *_build_notes(grid, file, examples, repeated), *merge_notes),
        trailer=special_rows.find_trailer(grid, header, data_rows),
        cut_off=_find_cut_off(grid, file),
    )


def _build_exact_table(grid: Grid, header: Headings, file: FileFacts, options: ReadOptions) -> Table:
    """Return the table of a file in which no row is blank, an example or a trailer: each of them was sent as a user."""
    return Table(
        cells=_select_cells(grid.rows, header),
        file=file,
        faults=_find_faults(grid, header, grid.rows, options.limits),
        original=grid.rows,
        surplus=grid.surplus,
        notes=tuple(grid.notes),
    )


def _select_cells(rows: pl.DataFrame, header: Headings) -> pl.DataFrame:
    return rows.select("row", *(pl.col(str(i)).fill_null("").alias(c.field) for c, i in header.columns.items()))


def _describe_mapping(grid: Grid, header: Headings) -> dict[str, str]:
    """Return the columns of each heading, joined by commas."""
    mapped: dict[str, str] = {}
    for index, column in header.pairs:
        heading = grid.headings[index]
        mapped[heading] = COLUMN_SEPARATOR.join([*filter(None, [mapped.get(heading)]), column.heading])
    return mapped


def _find_cut_off(grid: Grid, file: FileFacts) -> int:
    """Return the last row, if it has too few cells or an open quotation mark and no line ending (F11). Return 0 otherwise."""
    if file.final_line_end or grid.rows.is_empty() or grid.rows.width < 2:
        return 0
    is_short = grid.rows[-1, -1] is None and not is_blank("".join(cell or "" for cell in grid.rows.row(-1)[1:]))
    return int(grid.rows["row"][-1]) if is_short or grid.cut_off else 0


def _take_samples(cells: pl.Series) -> tuple[str, ...]:
    """Return a few values of a column, from its first rows, if they have any."""
    head = cells.head(_MAX_ROWS_SAMPLED).to_list()
    values = dict.fromkeys(cell for cell in head if cell and not is_blank(cell))
    return tuple(value[:_SHOWN_LENGTH] for value in islice(values, _MAX_SAMPLES))


def _explain_header(grid: Grid, header: Headings) -> list[Problem]:
    """Return everything that is wrong with the header row (rule F4)."""
    if header.complete or not any(problem.code == "missing-column" for problem in header.problems):
        return [*header.problems]
    elsewhere = [*_name_other_places(grid)]
    if header.pairs or (not elsewhere and _is_header(grid.headings)):
        return [*elsewhere, *header.problems]
    if not grid.header.sure:
        return [*elsewhere, *header.problems]
    others = [problem for problem in header.problems if problem.code == "unknown-mapping"]
    return [*(elsewhere or [_explain_no_header(grid, header.layout)]), *others]


def _name_other_places(grid: Grid) -> Iterator[Problem]:
    """Yield a problem for each place that has the headings, if the first row has not."""
    here = f"sheet {headings.quote_text(grid.file.sheet)}" if grid.file.sheet else f"row {grid.header.number}"
    if grid.elsewhere:
        advice = "Choose that sheet. Make it visible first if it is hidden, or copy it to a visible sheet."
        yield Problem.of("headings-elsewhere", value=here, place=f"Another sheet, {grid.elsewhere}, has", advice=advice)
    rows = grid.header.others or (() if grid.header.sure else (grid.header.number,))
    if rows:
        listed = ", ".join(map(str, rows))
        place = f"Row {listed} has" if grid.header.others else f"Row {listed} seems to have"
        place = place if len(rows) == 1 else f"Rows {listed} have"
        advice = f"Choose the header row by its number: {listed}."
        yield Problem.of("headings-elsewhere", value="row 1", place=place, advice=advice)


_DATA = re.compile(r"@|^[\d\s()+./-]+$|^(?:in)?active$", re.IGNORECASE)


def _is_header(cells: Sequence[str]) -> bool:
    """Return whether a row without a known heading is a header row in other words: nothing in it looks like data."""
    texts = [text for cell in cells if (text := cell.strip(TRIMMED))]
    return len(texts) > 1 and len(set(texts)) == len(texts) and not any(map(_DATA.search, texts))


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
            return (
                f"The column names seem to be in row {row}: choose it as the header row, or delete the rows above it."
            )
    words = re.findall(r"[A-Za-z]\w+", grid.headings[0]) if len(grid.headings) == 1 else []
    if headings.count_known(words, {}, layout) >= enough:
        return "The file seems to use a delimiter other than comma, semicolon, tab and pipe."
    return ""


def _check_headings(grid: Grid, header: Headings) -> Iterator[Problem]:
    """Yield the problem of each column that has data and no heading.

    This includes columns at the end of the header row.
    """
    for index in header.blank:
        if not are_blank(grid.rows[str(index)]).all():
            yield Problem.of("blank-heading", place=headings.format_position(index))
    width = len(grid.headings)
    for index in range(width, grid.blank_to):
        at = index - width
        if any(len(cells) > at and not is_blank(cells[at]) for cells in grid.surplus.values()):
            yield Problem.of("blank-heading", place=headings.format_position(index))


def _find_faults(grid: Grid, header: Headings, data_rows: pl.DataFrame, limits: FileLimits) -> pl.DataFrame:
    cells = problems.build_frame(
        [*_convert_faults(grid, header, data_rows), *_find_long_cells(header, data_rows, limits)]
    )
    return pl.concat([_check_cell_counts(grid, data_rows), cells]).sort("row", maintain_order=True)


def _check_cell_counts(grid: Grid, data_rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the wrong number of cells (rule F7).

    These are rows with fewer cells than the header row, rows with more cells where an extra one is not blank, and rows
    with more blank cells at their end than the file has elsewhere.
    """
    width = len(grid.headings)
    wider = _find_wider(grid, data_rows)
    more = {
        "row": [*grid.surplus, *wider],
        "count": [*(width + len(cells) for cells in grid.surplus.values()), *wider.values()],
    }
    short = data_rows.filter(data_rows[str(width - 1)].is_null())
    missing = pl.sum_horizontal(pl.col(name_columns(width)).is_null().cast(pl.Int32))
    counts = pl.concat(
        [pl.DataFrame(more, schema={"row": pl.UInt32, "count": pl.Int32}), short.select("row", count=width - missing)]
    )
    return problems.flag_rows(counts, "cell-count", value=pl.col("count").cast(pl.String), expected=str(width))


def _find_wider(grid: Grid, data_rows: pl.DataFrame) -> Mapping[int, int]:
    """Return the rows with more blank cells at their end than usual, and their numbers of cells.

    What the header row has, or more than half of the data rows, is how the file is written.
    """
    if not grid.wider:
        return {}
    rows = pl.Series([*grid.wider], dtype=pl.UInt32)
    present = rows.filter(rows.is_in(data_rows["row"].implode())).to_list()
    usual = Counter(grid.wider[row] for row in present).most_common(1)
    most = usual[0][0] if usual and 2 * len(present) > data_rows.height else 0
    return {row: grid.wider[row] for row in present if grid.wider[row] > most}


def _convert_faults(grid: Grid, header: Headings, data_rows: pl.DataFrame) -> Iterator[Problem]:
    """Yield the faults that the reader found in single cells of known columns."""
    rows = set(data_rows["row"].to_list()) if grid.faults else set()
    for fault in grid.faults:
        for column in (column for index, column in header.pairs if index == fault.index and fault.row in rows):
            if fault.code != "spreadsheet-damage" or column in _NEVER_DATES:
                params = {"cause": fault.cause} if fault.cause else {}
                yield Problem.of(fault.code, fault.row, column.heading, fault.value, **params)


def _find_long_cells(header: Headings, data_rows: pl.DataFrame, limits: FileLimits) -> Iterator[Problem]:
    most = limits.characters_in_cell
    lengths = pl.col(sorted({str(index) for index in header.columns.values()})).str.len_bytes()
    longest = data_rows.select(lengths.max()).row(0, named=True)
    for column, index in header.columns.items():
        if (longest[str(index)] or 0) <= most:
            continue
        over = data_rows.filter(pl.col(str(index)).str.len_chars() > most)
        for row, cell in over.select("row", str(index)).iter_rows():
            # Reading a workbook stops at this length of a cell (reading/budget).
            stopped = len(cell) > max(LONGEST_CELL, most)
            length = f"{'more than ' if stopped else ''}{len(cell) - stopped:,}"
            yield Problem.of("cell-too-long", row, column.heading, cell[:_SHOWN_LENGTH], length=length)


def _build_notes(grid: Grid, file: FileFacts, examples: pl.Series, repeated: pl.Series) -> Iterator[Problem]:
    if file.header_row > 1:
        cells = [[headings.quote_text(cell) for cell in row if not is_blank(cell)] for _, row in grid.header.above]
        shown = _list_some([", ".join(row[:_MAX_SAMPLES]) for row in cells]) or "blank rows"
        yield Problem.of("rows-above-header", value=str(file.header_row), cells=shown)
    if file.ignored:
        listed = _list_some([headings.quote_text(heading) for heading in file.ignored])
        yield Problem.of("ignored-columns", headings=listed)
    for code, rows in (("example-rows", examples), ("repeated-headings", repeated)):
        if rows.len():
            yield Problem.of(code, in_rows=", ".join(map(str, rows.sort().head(_MAX_LISTED))))


def _list_some(texts: Sequence[str]) -> str:
    more = [f"and {len(texts) - _MAX_LISTED} more"] if len(texts) > _MAX_LISTED else []
    return ", ".join([*texts[:_MAX_LISTED], *more])
