"""The archive that a workbook is: opened only if it unpacks to a sane size, its parts read piece by piece as XML.

Nothing in a workbook is trusted: what the archive says of its sizes is checked before anything is unpacked, and holds
while it is (a part that unpacks to another size, or whose checksum is wrong, is damage); a document type, and so any
entity of one, is refused.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from xml.parsers import expat

from musterbook.core.grid import Refusal
from musterbook.core.problems import Problem

MOST_TIMES = 20
LARGE = 256 * 1024 * 1024
_CHUNK = 1 << 18
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    expat.ExpatError,
    EOFError,
    OSError,
    KeyError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What zipfile, zlib and expat raise on damaged input."""


class Handler(Protocol):
    """What is told the elements of a part: names come without their prefix."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, text: str) -> None:
        """Some text, perhaps not the whole of an element's."""


def damaged(detail: str) -> Refusal:
    """The refusal of a workbook that cannot be read whole."""
    return Refusal(Problem("damaged-workbook", detail=detail))


class Archive:
    """A workbook's parts, by name."""

    def __init__(self, content: bytes) -> None:
        with _as_damage("its archive"):
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        members = self._zip.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > LARGE and unpacked > MOST_TIMES * len(content):
            raise Refusal(Problem("workbook-too-large", detail=f"{unpacked / 1024**2:,.0f} MB"))
        if any(member.flag_bits & 1 for member in members):
            raise Refusal(Problem("encrypted-workbook"))
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise damaged("its archive is packed in a way that no workbook is")
        self._names = {member.filename.lower(): member.filename for member in members}

    def has(self, part: str) -> bool:
        """True if there is such a part; case counts for nothing, as in Office."""
        return part.lower() in self._names

    def parse(self, part: str, handler: Handler) -> None:
        """Tell `handler` every element of a part."""
        for _ in self.parsing(part, handler):
            pass

    def parsing(self, part: str, handler: Handler) -> Iterator[None]:
        """Tell `handler` the elements of a part, and stop between one piece of it and the next."""
        with _as_damage(part):
            parser = _parser(handler)
            with self._zip.open(self._names[part.lower()]) as source:
                while chunk := source.read(_CHUNK):
                    parser.Parse(chunk, False)
                    yield
            parser.Parse(b"", True)
        yield


@contextmanager
def _as_damage(part: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise damaged(f"{part} is broken") from error


def _parser(handler: Handler) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = _without_prefix_and_attributes(handler.start)
    parser.EndElementHandler = _without_prefix(handler.end)
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _without_prefix_and_attributes(
    start: Callable[[str, dict[str, str]], None],
) -> Callable[[str, dict[str, str]], None]:
    return lambda name, attributes: start(name[name.find(":") + 1 :], attributes)


def _without_prefix(end: Callable[[str], None]) -> Callable[[str], None]:
    return lambda name: end(name[name.find(":") + 1 :])


def _refuse_doctype(*_: object) -> None:
    raise damaged("it holds a document type declaration, which no workbook has")
