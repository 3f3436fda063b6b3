"""The quick CSV reader, for files proven plain; anything odd is left to the exact reader.

The proof: line ends are LF or CRLF; every quotation mark belongs to a quoted cell that opens after a delimiter or line end,
closes before one, and holds no line break; outside quoted cells there are just as many delimiters as the rows need, and
the parser takes no row with more. At last the bytes of all cells are counted: nothing is lost, and nothing merged.
"""

import re
from collections.abc import Sequence

import polars as pl

from musterbook.core.grid import names


def rows(body: bytes, delimiter: str, headings: Sequence[str]) -> pl.DataFrame | None:
    """The rows below the header line as columns "0", "1", … without nulls; None if the file is not proven plain.

    `body` is UTF-8 text without NUL, whose first record is `headings`.
    """
    width = len(headings)
    if width < 2 or body.count(b"\r") != body.count(b"\r\n") or any("\n" in heading for heading in headings):
        return None
    lines, size = _plain(body, delimiter, width)
    if lines < 2:
        return None
    frame = _parsed(body, delimiter, width)
    if frame is None or frame.height != lines - 1:
        return None
    header = sum(len(heading.encode()) for heading in headings)
    return frame if _size(frame) + header == size else None


def _plain(body: bytes, delimiter: str, width: int) -> tuple[int, int]:
    """How many lines the text has and how many bytes its cells hold, without quotation marks; (0, 0) if it is not plain."""
    rest, inside = _without_quoted(body, delimiter) if b'"' in body else (body, 0)
    breaks = rest.count(b"\n")
    lines = breaks + (not rest.endswith(b"\n"))
    delimiters = rest.count(delimiter.encode())
    if inside < 0 or delimiters != lines * (width - 1):
        return 0, 0
    return lines, len(rest) - delimiters - breaks - rest.count(b"\r") + inside


def _without_quoted(body: bytes, delimiter: str) -> tuple[bytes, int]:
    """The text without its quoted cells, and the bytes these hold; -1 if some quotation mark is no part of such a cell."""
    mark = re.escape(delimiter).encode()
    quoted = re.compile(rb'"(?<![^\n' + mark + rb']")[^"\r\n]*+(?:""[^"\r\n]*+)*+"(?=[\r\n' + mark + rb"]|\Z)")
    rest, cells = quoted.subn(b"", body)
    if b'"' in rest:
        return rest, -1
    escaped = (body.count(b'"') - 2 * cells) // 2
    return rest, len(body) - len(rest) - 2 * cells - escaped


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


def _size(frame: pl.DataFrame) -> int:
    return sum(int(column.str.len_bytes().sum()) for column in frame.get_columns())
