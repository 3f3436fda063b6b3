"""Several files become one file, because together they are one snapshot (rule N1).

They are CSV files with the same headings: the rows of all of them follow the headings of the first. Anything else cannot
be joined without a guess, so it is refused.
"""

from collections.abc import Callable, Sequence
from typing import IO

from django.utils.translation import gettext as _

from musterbook.core.reading.file_type import detect_type
from musterbook.core.reading.grid import Refusal
from musterbook.directory.imports.file_import import FileOnDisk

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_PART = 1 << 20
_LONGEST_HEAD = 1 << 18
_DELIMITERS = (b",", b";", b"\t", b"|")


class CannotJoin(Exception):
    """The files cannot be one snapshot. The message says which, and why."""


def join(parts: Sequence[FileOnDisk], write: Callable[[bytes], None], keep: Callable[[], None]) -> None:
    """Pass the content of all files, as one file, to `write`. `keep` is called between its parts. Raise CannotJoin."""
    first = parts[0]
    head = b""
    for index, part in enumerate(parts):
        with part.path.open("rb") as file:
            mark, own = _read_head(file, part)
            if index and own != head:
                raise CannotJoin(
                    _("%(name)s has other headings than %(first)s, so they cannot be one import.")
                    % {"name": part.name, "first": first.name}
                )
            if not index:
                head = own
                write(mark + own + b"\r\n")
            tail = _Tail(head)
            while block := file.read(_PART):
                keep()
                tail.add(block)
                write(block)
            if index < len(parts) - 1 and not tail.ended:
                if tail.is_cut_off():
                    raise CannotJoin(
                        _("%(name)s ends in the middle of a row, so it was cut off.") % {"name": part.name}
                    )
                write(b"\r\n")


def _read_head(file: IO[bytes], part: FileOnDisk) -> tuple[bytes, bytes]:
    """Return the byte order mark and the header row without its line ending. Leave the file where the rows begin.

    Raise CannotJoin.
    """
    start = file.read(_LONGEST_HEAD)
    try:
        is_text = not start.startswith((*_WIDE, b"PK")) and detect_type(start) == "csv"
    except Refusal:
        is_text = False
    if not is_text:
        raise CannotJoin(
            _("%(name)s is not a CSV file in UTF-8 or Windows-1252. Only such files can be one import together.")
            % {"name": part.name}
        )
    mark = _BOM if start.startswith(_BOM) else b""
    begin = len(mark)
    if start[begin : begin + 4].lower() == b"sep=":
        begin = _find_end(start, begin)[1]
    end, after = _find_end(start, begin)
    if after >= _LONGEST_HEAD:
        raise CannotJoin(_("%(name)s has no header row.") % {"name": part.name})
    file.seek(after)
    return mark, start[begin:end]


def _find_end(text: bytes, begin: int) -> tuple[int, int]:
    """Return where the record that begins there ends, and where the next one begins."""
    quoted, at = False, begin
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b'"':
            quoted = not quoted
        elif byte in (b"\r", b"\n") and not quoted:
            return at, at + (2 if text[at : at + 2] == b"\r\n" else 1)
        at += 1
    return at, at


class _Tail:
    """The last row of a file, as far as it shows whether the file was cut off."""

    def __init__(self, head: bytes) -> None:
        self._delimiter = max(_DELIMITERS, key=head.count)
        self._expected = _count(head, self._delimiter)
        self._quoted, self._found = False, 0
        self.ended = True

    def add(self, block: bytes) -> None:
        """Read on. Only quotation marks, delimiters and line endings matter."""
        pieces = block.split(b'"')
        for index, piece in enumerate(pieces):
            if index:
                self._quoted = not self._quoted
            if not self._quoted:
                last = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
                self._found = piece.count(self._delimiter, last + 1) + (self._found if last < 0 else 0)
        self.ended = not self._quoted and block.endswith((b"\n", b"\r"))

    def is_cut_off(self) -> bool:
        """Return whether the last row has an open quotation mark, or too few cells."""
        return self._quoted or self._found < self._expected


def _count(record: bytes, delimiter: bytes) -> int:
    return sum(piece.count(delimiter) for piece in record.split(b'"')[::2])
