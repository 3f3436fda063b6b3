"""The CSV reader: encoding, delimiter and header row, then the fast reader or the exact one."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from musterbook.core.domain.columns import USERS, Layout
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts
from musterbook.core.reading import headings
from musterbook.core.reading.budget import Budget, FileLimits
from musterbook.core.reading.csv import encoding, exact, fast
from musterbook.core.reading.grid import MOST_CELLS, MOST_COLUMNS, Grid, GridBuilder, Refusal, is_blank, too_wide

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_HEAD = 1 << 20
_SEP = re.compile(r'"?sep=([^"\r\n])"?[;,\t|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    skip: int
    header: tuple[str, ...]


def read_grid(
    content: bytes,
    limits: FileLimits,
    mapping: Mapping[str, str],
    named_encoding: str | None,
    named_delimiter: str | None,
    layout: Layout = USERS,
) -> Grid:
    """Return the grid of a CSV file. Raise Refusal if it cannot be read.

    `mapping` (heading → column) and `layout` help to detect the delimiter. `named_encoding` and `named_delimiter` set the values
    that they name.
    """
    delimiter = _find_delimiter(named_delimiter) if named_delimiter else ""
    try:
        text = encoding.decode_content(content, named_encoding)
    except encoding.UnreadableText as error:
        raise _unreadable_refusal(error, delimiter, mapping, layout) from error
    body = text.body.removesuffix(b"\x1a")
    dialect = _detect_dialect(body[:_HEAD].decode("utf-8", "ignore"), delimiter, mapping, layout)
    _refuse_nul(body, dialect)
    width = _measure_width(dialect.header)
    rows, surplus = _read_rows(body, dialect, width, min(limits.rows, MOST_CELLS // max(width, 1)))
    file = FileFacts(format="csv", encoding=text.encoding, delimiter=dialect.delimiter, headings=dialect.header[:width])
    notes = (Problem.of("read-as-windows-1252", sample=_show_sample(rows)),) if text.guessed else ()
    return Grid(file.headings, rows, surplus, blank_to=len(dialect.header), file=file, notes=notes)


def _find_delimiter(name: str) -> str:
    delimiter = DELIMITERS.get(name.strip().lower(), "\t" if name == "\\t" else name)
    if delimiter not in DELIMITERS.values():
        raise Refusal(Problem.of("unknown-delimiter", value=name))
    return delimiter


def _detect_dialect(head: str, override: str, mapping: Mapping[str, str], layout: Layout) -> _Dialect:
    """Return the dialect that the beginning of a text shows.

    It consists of the delimiter (unless `override`), the number of lines before the header row, and that row.
    """
    sep = _SEP.match(head)
    if sep:
        override = override or _find_delimiter(sep[1])
        head = head[sep.end() :]
    choices = [override] if override else list(DELIMITERS.values())
    headers = [_read_first_record(head, delimiter) for delimiter in choices]
    best = max(range(len(choices)), key=lambda i: (headings.count_known(headers[i], mapping, layout), len(headers[i])))
    return _Dialect(choices[best], 1 if sep else 0, tuple(headers[best]))


def _read_first_record(head: str, delimiter: str) -> list[str]:
    """Return the first record of a text.

    If its quotation marks are broken, return the first line split at each delimiter.
    """
    try:
        for _, record in exact.read_records(head.encode(), delimiter):
            return record
    except exact.BrokenQuote:
        pass
    return re.split(r"[\r\n]", head, maxsplit=1)[0].split(delimiter)


def _measure_width(header: Sequence[str]) -> int:
    """Return how many columns the header row names. Blank headings at its end do not count."""
    width = max((index for index, cell in enumerate(header, 1) if not is_blank(cell)), default=0)
    if width > MOST_COLUMNS:
        raise too_wide(1, MOST_COLUMNS)
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
        raise Refusal(
            Problem.of("nul-byte", in_row=str(row), advice=advice), headings=dialect.header if row > 1 else ()
        )


def _unreadable_refusal(
    error: encoding.UnreadableText, delimiter: str, mapping: Mapping[str, str], layout: Layout
) -> Refusal:
    dialect = _detect_dialect(error.before[:_HEAD], delimiter, mapping, layout)
    row, index = exact.locate_end(error.before, dialect.delimiter, skip=dialect.skip)
    column = _name_column(dialect.header, index) if row > 1 else headings.format_position(index)
    code = "doubtful-encoding" if error.doubtful else "unreadable-byte"
    value = error.doubtful or error.encoding
    problem = Problem.of(code, in_row=str(row), column=column, value=value)
    return Refusal(problem, headings=dialect.header if row > 1 else ())


def _name_column(header: Sequence[str], index: int) -> str:
    heading = header[index].strip() if index < len(header) else ""
    return heading[:60] or headings.format_position(index)


_Surplus = dict[int, Sequence[str]]


def _read_rows(body: bytes, dialect: _Dialect, width: int, most_rows: int) -> tuple[pl.DataFrame, _Surplus]:
    if width == len(dialect.header) and not dialect.skip:
        quick = fast.read_rows(body, dialect.delimiter, dialect.header)
        if quick is not None:
            if quick.height > most_rows:
                raise Refusal(Problem.of("too-many-rows", limit=f"{most_rows:,}"), headings=dialect.header)
            numbers = pl.int_range(2, quick.height + 2, dtype=pl.UInt32, eager=True)
            return quick.insert_column(0, numbers.alias("row")), {}
    builder = GridBuilder(width, most_rows, Budget(len(body)))
    try:
        source = exact.read_records(body, dialect.delimiter, skip=dialect.skip)
        for number, cells in itertools.islice(source, 1, None):
            builder.add(number, cells)
    except exact.BrokenQuote as broken:
        column = (
            _name_column(dialect.header, broken.index) if broken.row > 1 else headings.format_position(broken.index)
        )
        problem = Problem.of(broken.code, in_row=str(broken.row), column=column, value=broken.text)
        raise Refusal(problem, headings=dialect.header if broken.row > 1 else ()) from broken
    return builder.rows(), builder.surplus


def _show_sample(rows: pl.DataFrame) -> str:
    """Return up to three cells with letters beyond ASCII, as a sentence.

    Cells with letters that may be Turkish come first, and a second sentence shows them as Windows-1254.
    """
    doubtful = _find_cells(rows, f"[{encoding.NOT_TURKISH}]")[:3]
    cells = list(dict.fromkeys([*doubtful, *_find_cells(rows, r"[^\x00-\x7F]")]))[:3]
    sentences = [f"For example: {_quote_cells(cells)}."] if cells else []
    if doubtful:
        sentences.append(f"In Windows-1254 (Turkish): {_quote_cells(map(encoding.read_as_turkish, doubtful))}.")
    return " ".join(sentences)


def _find_cells(rows: pl.DataFrame, pattern: str) -> list[str]:
    """Return the first three cells of each column that match, without repetitions."""
    columns = rows.drop("row").get_columns()
    return list(
        dict.fromkeys(cell for column in columns for cell in column.filter(column.str.contains(pattern)).head(3))
    )


def _quote_cells(cells: Iterable[str]) -> str:
    return ", ".join(map(headings.quote_text, cells))
