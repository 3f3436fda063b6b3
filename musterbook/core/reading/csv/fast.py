"""The fast CSV reader, for files proven plain. The exact reader handles all others.

The proof has two parts. Before reading: line ends are LF or CRLF, every quotation mark belongs to a quoted cell that
opens after a delimiter or line end, closes before one, and holds no line break, and the last line has as many cells as
the header line. After reading: there are as many rows as lines, and the bytes of all cells, of the delimiters needed for
these rows and cells, of line ends and of quotation marks add up to the bytes of the file. So nothing is lost, and nothing
is merged.
"""

import re
from collections.abc import Sequence

import polars as pl

from musterbook.core.reading.grid import name_columns


def read_rows(body: bytes, delimiter: str, headings: Sequence[str]) -> pl.DataFrame | None:
    """Return the rows below the header line, or None if the file is not proven plain.

    The columns are "0", "1", … without nulls. `body` is UTF-8 text without NUL, whose first record is `headings`.
    """
    if len(headings) < 2 or any("\n" in heading for heading in headings):
        return None
    if (b"\r" in body and body.count(b"\r") != body.count(b"\r\n")) or not _has_plain_quotes(body, delimiter):
        return None
    if _count_last_cells(body, delimiter) != len(headings):
        return None
    frame = _parse_rows(body, delimiter, len(headings))
    return frame if frame is not None and _is_whole(frame, headings, body) else None


def _has_plain_quotes(body: bytes, delimiter: str) -> bool:
    if b'"' not in body:
        return True
    mark = re.escape(delimiter).encode()
    opening = rb'"(?<![^\n' + mark + rb']")'
    closing = rb'"(?=[\r\n' + mark + rb"]|\Z)"
    plain = re.compile(rb'(?:[^"]++|' + opening + rb'[^"\r\n]*+(?:""[^"\r\n]*+)*+' + closing + rb")*+")
    return plain.fullmatch(body) is not None


def _count_last_cells(body: bytes, delimiter: str) -> int:
    """Return the number of cells in the last line, without the line end that it may have.

    Polars leaves out a blank cell too many at the very end of a file. The byte of its delimiter could make up for a cell
    that another row lacks, which Polars adds.
    """
    end = len(body) - body.endswith(b"\n")
    line = body[body.rfind(b"\n", 0, end) + 1 : end]
    return re.sub(rb'"[^"]*"', b"", line).count(delimiter.encode()) + 1


def _parse_rows(body: bytes, delimiter: str, width: int) -> pl.DataFrame | None:
    try:
        return pl.read_csv(
            body,
            has_header=False,
            skip_lines=1,
            separator=delimiter,
            schema=dict.fromkeys(name_columns(width), pl.String()),
            infer_schema=False,
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        return None


def _is_whole(frame: pl.DataFrame, headings: Sequence[str], body: bytes) -> bool:
    """Return whether the cells and the characters between them are the whole file."""
    header = pl.DataFrame([headings], schema=frame.schema, orient="row")
    breaks, quotes = body.count(b"\n"), body.count(b'"')
    lines = breaks + (not body.endswith(b"\n"))
    delimiters = lines * (len(headings) - 1)
    inner_quotes = _count_inner_quotes(header) + _count_inner_quotes(frame) if b'""' in body else 0
    between = delimiters + breaks + body.count(b"\r") + quotes - inner_quotes
    return frame.height == lines - 1 and _count_bytes(header) + _count_bytes(frame) + between == len(body)


def _count_bytes(frame: pl.DataFrame) -> int:
    """Return the bytes of all cells."""
    return _sum_columns(frame, pl.all().str.len_bytes())


def _count_inner_quotes(frame: pl.DataFrame) -> int:
    """Return the number of quotation marks inside cells, counted only in columns that have any."""
    flags = frame.select(pl.all().str.contains('"', literal=True).any()).row(0, named=True)
    return _sum_columns(
        frame.select(name for name, has in flags.items() if has), pl.all().str.count_matches('"', literal=True)
    )


def _sum_columns(frame: pl.DataFrame, counted: pl.Expr) -> int:
    return sum(frame.select(counted.cast(pl.Int64).sum()).row(0)) if frame.width else 0
