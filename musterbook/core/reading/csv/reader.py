"""The CSV reader: encoding, delimiter and header row, then the fast reader or the exact one."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.reading import headings
from musterbook.core.reading.budget import Budget, FileLimits
from musterbook.core.reading.csv import encoding, exact, fast, likely_encodings
from musterbook.core.reading.grid import (
    MOST_CELLS,
    MOST_COLUMNS,
    Grid,
    HeaderRow,
    Refusal,
    is_blank,
    too_wide,
)
from musterbook.core.reading.grid_builder import GridBuilder
from musterbook.core.reading.header_rows import HeaderChoice, find_header_row, has_header, rate_rows

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_HEAD = 1 << 20
_SEP = re.compile(r'"?sep=([^"\r\n])"?[;,\t|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How to read a CSV file.

    `encoding` and `delimiter` are set by the operator. `remembered_encoding` is from earlier files, and applies to files
    that are not UTF-8. `header` says what is known of the header row.
    """

    encoding: str | None = None
    delimiter: str | None = None
    remembered_encoding: str | None = None
    header: HeaderChoice = field(default_factory=HeaderChoice)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The delimiter, the number of lines before row 1 (`sep=;`), the header row, and the bytes of the text before it.

    `offset` is None if a row above the header row takes several lines.
    """

    delimiter: str
    skip: int
    header: HeaderRow
    offset: int | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the cells of the header row."""
        return self.header.cells


def read_grid(content: bytes, limits: FileLimits, options: CsvOptions) -> Grid:
    """Return the grid of a CSV file. Raise Refusal if it cannot be read."""
    delimiter = _find_delimiter(options.delimiter) if options.delimiter else ""
    try:
        text = encoding.decode_content(content, options.encoding, options.remembered_encoding)
    except encoding.UnreadableText as error:
        raise _unreadable_refusal(error, content, delimiter, options.header) from error
    body = text.body.removesuffix(b"\x1a")
    dialect = _detect_dialect(body[:_HEAD].decode("utf-8", "ignore"), delimiter, options.header)
    _refuse_nul(body, dialect)
    width = _measure_width(dialect)
    part = _read_rows(body, dialect, width, min(limits.rows, MOST_CELLS // max(width, 1)))
    file = FileFacts(
        format="csv",
        encoding=text.encoding,
        delimiter=dialect.delimiter,
        headings=dialect.cells[:width],
        header_row=dialect.header.number,
        final_line_end=body.endswith((b"\n", b"\r")),
    )
    return Grid(
        file.headings, part.rows, part.surplus, blank_to=len(dialect.cells), file=file, notes=_note_encoding(text, part),
        wider=part.wider, header=dialect.header, cut_off=part.cut_off,
    )  # fmt: skip


def _note_encoding(text: encoding.DecodedText, part: "_Rows") -> tuple[Problem, ...]:
    if not text.guessed:
        return ()
    return (
        Problem.of(
            "encoding", encoding=text.described, sample=likely_encodings.describe_reading(part.rows, text.encoding)
        ),
    )


def _find_delimiter(name: str) -> str:
    delimiter = DELIMITERS.get(name.strip().lower(), "\t" if name == "\\t" else name)
    if delimiter not in DELIMITERS.values():
        raise Refusal(Problem.of("unknown-delimiter", value=name))
    return delimiter


def _detect_dialect(head: str, override: str, choice: HeaderChoice) -> _Dialect:
    """Return the dialect that the beginning of a text shows. `override`: the delimiter, if it is known."""
    sep = _SEP.match(head)
    if sep:
        override = override or _find_delimiter(sep[1])
        head = head[sep.end() :]
    choices = [override] if override else list(DELIMITERS.values())
    firsts = {delimiter: _read_first_records(head, delimiter, choice.last) for delimiter in choices}
    complete = [delimiter for delimiter in choices if has_header(firsts[delimiter], choice)]
    best = max(complete or choices, key=lambda delimiter: _rate_records(firsts[delimiter], choice))
    header = find_header_row(dict(enumerate(firsts[best], 1)), choice)
    return _Dialect(best, 1 if sep else 0, header, None if sep else _find_offset(head, firsts[best], header))


def _rate_records(records: Sequence[Sequence[str]], choice: HeaderChoice) -> tuple[bool, int, int, int, int]:
    lengths = sorted(map(len, records))
    return (*rate_rows(records, choice), len(records[0]), lengths[len(lengths) // 2])


def _read_first_records(head: str, delimiter: str, most: int) -> list[list[str]]:
    """Return the first records of a text.

    If the quotation marks of the first one are broken, return the first line split at each delimiter.
    """
    records: list[list[str]] = []
    try:
        for _, record in itertools.islice(exact.read_records(head.encode(), delimiter), most):
            records.append(record)
    except exact.BrokenQuote:
        pass
    return records or [re.split(r"[\r\n]", head, maxsplit=1)[0].split(delimiter)]


def _find_offset(head: str, records: Sequence[Sequence[str]], header: HeaderRow) -> int | None:
    """Return the number of bytes above the header row, or None if a row above it takes several lines."""
    above = header.number - 1
    if any("\n" in cell or "\r" in cell for record in records[:above] for cell in record):
        return None
    return sum(len(line.encode()) for line in itertools.islice(exact.read_lines(head.encode()), above))


def _measure_width(dialect: _Dialect) -> int:
    """Return how many columns the header row names. Blank headings at its end do not count."""
    width = max((index for index, cell in enumerate(dialect.cells, 1) if not is_blank(cell)), default=0)
    if width > MOST_COLUMNS:
        raise too_wide(dialect.header.number, MOST_COLUMNS)
    return width


def _refuse_nul(body: bytes, dialect: _Dialect) -> None:
    at = body.find(b"\0")
    if at >= 0:
        row, _ = exact.locate_end(body[:at].decode(), dialect.delimiter, skip=dialect.skip)
        zeros = body[:2000].count(b"\0")
        advice = (
            "If it is UTF-16 without a byte order mark, name its encoding instead."
            if zeros > len(body[:2000]) // 4
            else ""
        )
        raise Refusal(Problem.of("nul-byte", in_row=str(row), advice=advice), headings=_get_header(dialect, row))


def _get_header(dialect: _Dialect, row: int) -> tuple[str, ...]:
    """Return the header row, if it is above the row that cannot be read."""
    return dialect.cells if row > dialect.header.number else ()


def _unreadable_refusal(
    error: encoding.UnreadableText, content: bytes, delimiter: str, choice: HeaderChoice
) -> Refusal:
    try:
        dialect = _detect_dialect(error.before[:_HEAD], delimiter, choice)
    except Refusal:  # the named header row is further down
        dialect = _detect_dialect(error.before[:_HEAD], delimiter, replace(choice, named=None))
    row, index = exact.locate_end(error.before, dialect.delimiter, skip=dialect.skip)
    column = _name_column(dialect, row, index)
    likely = likely_encodings.describe_likely(content) if error.encoding in {encoding.WINDOWS, "utf-8"} else ""
    code, value = ("doubtful-encoding", error.doubtful) if error.doubtful else ("unreadable-byte", error.encoding)
    problem = Problem.of(code, column=column, value=value, in_row=str(row), likely=likely)
    return Refusal(problem, headings=_get_header(dialect, row))


def _name_column(dialect: _Dialect, row: int, index: int) -> str:
    cells = _get_header(dialect, row)
    heading = cells[index].strip() if index < len(cells) else ""
    return heading[:60] or headings.format_position(index)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows below the header row, as `Grid` holds them."""

    rows: pl.DataFrame
    surplus: Mapping[int, Sequence[str]] = field(default_factory=dict)
    wider: Mapping[int, int] = field(default_factory=dict)
    cut_off: int = 0


def _read_rows(body: bytes, dialect: _Dialect, width: int, most_rows: int) -> _Rows:
    header = dialect.header
    if width == len(dialect.cells) and dialect.offset is not None:
        quick = fast.read_rows(body[dialect.offset :] if dialect.offset else body, dialect.delimiter, dialect.cells)
        if quick is not None:
            if quick.height > most_rows:
                raise Refusal(Problem.of("too-many-rows", limit=f"{most_rows:,}"), headings=dialect.cells)
            first = header.number + 1
            numbers = pl.int_range(first, quick.height + first, dtype=pl.UInt32, eager=True)
            return _Rows(quick.insert_column(0, numbers.alias("row")))
    builder = GridBuilder(width, most_rows, Budget(len(body)), blank_to=len(dialect.cells))
    number, cells = 0, list[str]()
    try:
        source = exact.read_records(body, dialect.delimiter, skip=dialect.skip)
        for number, cells in itertools.islice(source, header.number, None):
            builder.add(number, cells)
    except exact.BrokenQuote as broken:
        column = _name_column(dialect, broken.row, broken.index)
        problem = Problem.of(broken.code, in_row=str(broken.row), column=column, value=broken.text)
        raise Refusal(problem, headings=_get_header(dialect, broken.row)) from broken
    cut_off = number if isinstance(cells, exact.CutOff) else 0
    return _Rows(builder.rows(), builder.surplus, builder.wider, cut_off)
