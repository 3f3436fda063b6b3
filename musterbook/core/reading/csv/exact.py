"""The exact CSV reader: RFC 4180 line by line, for files that the quick reader does not take.

A quotation mark opens a quoted cell if it is the first sign of the cell; blanks may stand before it if the cell is
closed on the same line. Blanks may stand after the closing mark; anything else there refuses the file, since nobody
can say what was meant, and so does a cell that is never closed. A quotation mark elsewhere is part of the value.
"""

import io
import itertools
import re
from collections.abc import Iterator

from musterbook.core.reading.grid import MOST_IN_ROW, too_wide


class BrokenQuote(Exception):
    """The quoted cell `index` of row `row` is not closed rightly; `code` says how, `text` is how the cell begins."""

    def __init__(self, code: str, row: int, index: int, text: str) -> None:
        super().__init__(code)
        self.code, self.row, self.index, self.text = code, row, index, text


class Scanner:
    """Takes the lines of a file one by one and puts the records together."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.row = 1
        self.cells: list[str] = []
        self._open: list[str] | None = None
        blank = " " if delimiter == "\t" else " \\t"
        end = rf"[{blank}]*(?={re.escape(delimiter)}|\Z)"
        self._closed_cell = re.compile(rf'[{blank}]*"([^"\r\n]*+(?:""[^"\r\n]*+)*+)"{end}')
        self._closing = re.compile(rf'"{end}')
        self._inside = re.compile(r'[^"]*+(?:""[^"]*+)*+')

    def take(self, line: str) -> list[str] | None:
        """The record that `line` (with its line end) completes, None while a quoted cell goes on in the next line."""
        bare = line.rstrip("\r\n")
        if self._open is None and '"' not in line:
            if len(bare) > MOST_IN_ROW and bare.count(self.delimiter) >= MOST_IN_ROW:
                raise too_wide(self.row, MOST_IN_ROW)
            self.row += 1
            return bare.split(self.delimiter) if bare else []
        if not self._quoted(line, bare):
            return None
        record, self.cells = self.cells, []
        self.row += 1
        return record

    def finish(self) -> None:
        """Call it after the last line: a cell that is still open raises BrokenQuote."""
        if self._open is not None:
            raise BrokenQuote("unclosed-quote", self.row, len(self.cells), "".join(self._open)[:40])

    def _quoted(self, line: str, bare: str) -> bool:
        """Read the cells of a line that has quotation marks; False if its last cell goes on."""
        at = 0
        while True:
            at = self._go_on(line, bare, at) if self._open is not None else self._cell(line, bare, at)
            if self._open is not None:
                return False
            if len(self.cells) > MOST_IN_ROW:
                raise too_wide(self.row, MOST_IN_ROW)
            if at >= len(bare):
                return True
            at += 1
            if at == len(bare):
                self.cells.append("")
                return True

    def _cell(self, line: str, bare: str, at: int) -> int:
        """Read the cell that starts at `at`; gives where it ends."""
        closed = self._closed_cell.match(bare, at)
        if closed:
            self.cells.append(closed[1].replace('""', '"'))
            return closed.end()
        if bare.startswith('"', at):
            self._open = []
            return self._go_on(line, bare, at + 1)
        end = bare.find(self.delimiter, at)
        end = len(bare) if end < 0 else end
        self.cells.append(bare[at:end])
        return end

    def _go_on(self, line: str, bare: str, at: int) -> int:
        """Read on in an open quoted cell from `at`; gives where it ends, or stays open at the end of the line."""
        assert self._open is not None  # noqa: S101  (told to the type checker; the one caller has just asked)
        text = self._inside.match(line, at)
        assert text is not None  # noqa: S101  (the pattern matches nothing, too)
        self._open.append(text[0].replace('""', '"'))
        if text.end() == len(line):
            return len(bare)
        closing = self._closing.match(bare, text.end())
        if not closing:
            raise BrokenQuote("stray-quote", self.row, len(self.cells), "".join(self._open)[:40])
        self.cells.append("".join(self._open))
        self._open = None
        return closing.end()


def lines(body: bytes) -> Iterator[str]:
    """The lines of UTF-8 text with their ends, which may be CRLF, LF or CR."""
    return iter(io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline=""))


def records(body: bytes, delimiter: str, *, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The records of UTF-8 text after the first `skip` lines, numbered from 1; a blank line is a record without cells.

    Raises BrokenQuote where a quoted cell is not closed rightly.
    """
    scanner = Scanner(delimiter)
    number = scanner.row
    for line in itertools.islice(lines(body), skip, None):
        record = scanner.take(line)
        if record is not None:
            yield number, record
            number = scanner.row
    scanner.finish()


def spot(text: str, delimiter: str, *, skip: int = 0) -> tuple[int, int]:
    """The row (from 1, after `skip` lines) and the cell (from 0) in which `text`, the beginning of a file, ends."""
    scanner = Scanner(delimiter)
    ended = True
    record: list[str] | None = None
    try:
        for line in itertools.islice(lines(text.encode()), skip, None):
            record = scanner.take(line)
            ended = record is not None and line.endswith(("\r", "\n"))
    except BrokenQuote as broken:
        return broken.row, broken.index
    if ended:
        return scanner.row, 0
    return (scanner.row - 1, len(record) - 1) if record else (scanner.row, len(scanner.cells))
