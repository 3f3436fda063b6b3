"""The exact CSV reader: RFC 4180 line by line, for files that the fast reader does not accept.

A quotation mark opens a quoted cell if it is the first character of the cell. Blanks may precede it if the cell is
closed on the same line. Blanks may follow the closing mark. Anything else there refuses the file, because its meaning
is ambiguous, and so does a cell that is never closed. A quotation mark elsewhere is part of the value.
"""

import io
import itertools
import re
from collections.abc import Iterator

from musterbook.core.reading.grid import MOST_IN_ROW, too_wide


class BrokenQuote(Exception):
    """A quoted cell `index` of row `row` that is not closed correctly.

    `code` is the kind of fault. `text` is the beginning of the cell.
    """

    def __init__(self, code: str, row: int, index: int, text: str) -> None:
        super().__init__(code)
        self.code, self.row, self.index, self.text = code, row, index, text


class Scanner:
    """A scanner that takes the lines of a file one by one and assembles the records."""

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
        """Return the record that `line` (with its line end) completes.

        Return None while a quoted cell continues in the next line.
        """
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

    def finish(self, *, last: str = "") -> list[str] | None:
        """Finish after the last line.

        Return the cells of a record that ends inside a quoted cell which the last line opened, if no line ending
        follows: the file was cut off there. The open cell is not included. Raise BrokenQuote if a cell that an earlier
        line opened is still open.
        """
        if self._open is None:
            return None
        if len(self._open) > 1 or self.row == 1 or last.endswith(("\r", "\n")):
            raise BrokenQuote("unclosed-quote", self.row, len(self.cells), "".join(self._open)[:40])
        return self.cells

    def _quoted(self, line: str, bare: str) -> bool:
        """Read the cells of a line that has quotation marks. Return False if its last cell continues."""
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
        """Read the cell that starts at `at`. Return where it ends."""
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
        """Continue reading an open quoted cell from `at`.

        Return where it ends. The cell may stay open at the end of the line.
        """
        assert self._open is not None  # noqa: S101  (for the type checker; the only caller has just checked it)
        text = self._inside.match(line, at)
        assert text is not None  # noqa: S101  (the pattern also matches the empty string)
        self._open.append(text[0].replace('""', '"'))
        if text.end() == len(line):
            return len(bare)
        closing = self._closing.match(bare, text.end())
        if not closing:
            raise BrokenQuote("stray-quote", self.row, len(self.cells), "".join(self._open)[:40])
        self.cells.append("".join(self._open))
        self._open = None
        return closing.end()


def read_lines(body: bytes) -> Iterator[str]:
    """Return the lines of UTF-8 text with their ends, which may be CRLF, LF or CR."""
    return iter(io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline=""))


class CutOff(list[str]):
    """The cells of a last record that ends inside a quoted cell, without that cell."""


def read_records(body: bytes, delimiter: str, *, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of UTF-8 text after the first `skip` lines, numbered from 1.

    A blank line is a record without cells. A last record that ends inside a quoted cell is a CutOff. Raise BrokenQuote
    where a quoted cell is not closed correctly.
    """
    scanner = Scanner(delimiter)
    number, line = scanner.row, ""
    for line in itertools.islice(read_lines(body), skip, None):
        record = scanner.take(line)
        if record is not None:
            yield number, record
            number = scanner.row
    rest = scanner.finish(last=line)
    if rest is not None:
        yield number, CutOff(rest)


def locate_end(text: str, delimiter: str, *, skip: int) -> tuple[int, int]:
    """Return the row and the cell in which `text`, the beginning of a file, ends.

    Rows count from 1, after `skip` lines. Cells count from 0.
    """
    scanner = Scanner(delimiter)
    ended = True
    record: list[str] | None = None
    try:
        for line in itertools.islice(read_lines(text.encode()), skip, None):
            record = scanner.take(line)
            ended = record is not None and line.endswith(("\r", "\n"))
    except BrokenQuote as broken:
        return broken.row, broken.index
    if ended:
        return scanner.row, 0
    return (scanner.row - 1, len(record) - 1) if record else (scanner.row, len(scanner.cells))
