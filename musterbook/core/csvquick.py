"""The quick CSV reader, for files proven plain; anything odd is left to the exact reader.

The proof. Before: line ends are LF or CRLF, and every quotation mark belongs to a quoted cell that opens after a
delimiter or line end, closes before one, and holds no line break. After: there are as many rows as lines, as many
delimiters outside of cells as those rows need, and the bytes of cells, delimiters, line ends and quotation marks
together are those of the file: nothing is lost, and nothing merged.
"""

import re
from collections.abc import Sequence

import polars as pl

from musterbook.core.grid import names


def rows(body: bytes, delimiter: str, headings: Sequence[str]) -> pl.DataFrame | None:
    """The rows below the header line as columns "0", "1", … without nulls; None if the file is not proven plain.

    `body` is UTF-8 text without NUL, whose first record is `headings`.
    """
    if len(headings) < 2 or any("\n" in heading for heading in headings):
        return None
    if body.count(b"\r") != body.count(b"\r\n") or not _quoted_well(body, delimiter):
        return None
    frame = _parsed(body, delimiter, len(headings))
    return frame if frame is not None and _whole(frame, headings, body, delimiter) else None


def _quoted_well(body: bytes, delimiter: str) -> bool:
    if b'"' not in body:
        return True
    mark = re.escape(delimiter).encode()
    opening = rb'"(?<![^\n' + mark + rb']")'
    closing = rb'"(?=[\r\n' + mark + rb"]|\Z)"
    plain = re.compile(rb'(?:[^"]++|' + opening + rb'[^"\r\n]*+(?:""[^"\r\n]*+)*+' + closing + rb")*+")
    return plain.fullmatch(body) is not None


def _parsed(body: bytes, delimiter: str, width: int) -> pl.DataFrame | None:
    try:
        return pl.read_csv(
            body,
            has_header=False,
            skip_lines=1,
            separator=delimiter,
            schema=dict.fromkeys(names(width), pl.String()),
            infer_schema=False,
            empty_string_is_null=False,
            extra_columns="raise",
            missing_columns="raise",
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        return None


def _whole(frame: pl.DataFrame, headings: Sequence[str], body: bytes, delimiter: str) -> bool:
    """True if the cells, with what stands between them, are the whole file."""
    header = pl.DataFrame([headings], schema=frame.schema, orient="row")
    breaks, quotes = body.count(b"\n"), body.count(b'"')
    lines = breaks + (not body.endswith(b"\n"))
    inner_quotes = _total(pl.all().str.count_matches('"', literal=True), header, frame) if quotes else 0
    inner_delimiters = _total(pl.all().str.count_matches(delimiter, literal=True), header, frame) if quotes else 0
    delimiters = body.count(delimiter.encode()) - inner_delimiters
    between = delimiters + breaks + body.count(b"\r") + quotes - inner_quotes
    size = _total(pl.all().str.len_bytes(), header, frame)
    needed = lines * (len(headings) - 1)
    return frame.height == lines - 1 and delimiters == needed and size + between == len(body)


def _total(counted: pl.Expr, *frames: pl.DataFrame) -> int:
    """The sum of an expression over all cells of some frames."""
    return sum(sum(frame.select(counted.cast(pl.Int64).sum()).row(0)) for frame in frames)
