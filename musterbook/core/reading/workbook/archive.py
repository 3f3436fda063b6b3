"""The archive of a workbook, whose parts are read in pieces as XML.

It is opened only if it unpacks to a reasonable size.

Nothing in a workbook is trusted. The sizes that the archive declares are checked before anything is unpacked, and
enforced while it is unpacked: a part that unpacks to another size, or whose checksum is wrong, is damage. A document
type, and therefore any entity of one, is refused.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeAlias
from xml.parsers import expat

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.grid import Refusal

MOST_TIMES = 20
LARGE = 256 * 1024 * 1024
MOST_PARTS = 10_000
_CHUNK = 1 << 18
_LONGEST_TAG = 3 << 20
"""The maximum length of a tag.

Older versions of expat scan the beginning of a tag again with each piece, so a long tag would take quadratic time.
"""
_MOST_NAMES = 10_000
_DEEPEST = 1_000
"""The maximum number of distinct names, and of open elements.

Both take memory within expat, many times their size in the file.
"""
_ENTRY = b"PK\x01\x02"
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
"""The exceptions that zipfile, zlib and expat raise on damaged input."""


class Handler(Protocol):
    """A receiver of the elements of a part. Names come without their prefix."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""

    def end(self, name: str) -> None:
        """Handle the end of an element."""

    def text(self, text: str) -> None:
        """Handle text, which may be only a part of an element's text."""


def damaged(cause: str) -> Refusal:
    """Return the refusal of a workbook that cannot be read completely."""
    return Refusal(Problem.of("damaged-workbook", cause=cause))


def refuse_many_parts(content: bytes) -> None:
    """Raise Refusal for an archive with more parts than any workbook has.

    It examines the bytes before anything is opened.
    """
    if content.count(_ENTRY) > MOST_PARTS:
        raise damaged(f"its archive has more than {MOST_PARTS:,} parts")


def normalize_part(name: str) -> str:
    r"""Return the name of a part with slashes: `xl/workbook.xml` for `xl\workbook.xml`."""
    return name.replace("\\", "/")


class Archive:
    """The parts of a workbook, by name."""

    def __init__(self, content: bytes) -> None:
        refuse_many_parts(content)
        with _report_damage("its archive"):
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        members = self._zip.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > LARGE and unpacked > MOST_TIMES * len(content):
            raise Refusal(Problem.of("workbook-too-large", size=f"{unpacked / 1024**2:,.0f} MB"))
        if any(member.flag_bits & 1 for member in members):
            raise Refusal(Problem.of("encrypted-workbook"))
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise damaged("its archive is compressed in a way that no workbook is")
        # Some programs name the parts with backslashes (F15).
        self._names = {normalize_part(member.filename).lower(): member.filename for member in members}

    def has(self, part: str) -> bool:
        """Return whether the part exists. Case is ignored, as in Office."""
        return part.lower() in self._names

    def parse(self, part: str, handler: Handler) -> None:
        """Pass every element of a part to `handler`."""
        for _ in self.parsing(part, handler):
            pass

    def parsing(self, part: str, handler: Handler) -> Iterator[None]:
        """Pass the elements of a part to `handler`, and yield between its pieces."""
        with _report_damage(part):
            names: dict[str, str] = {}
            parser, fed = _build_parser(handler, names), 0
            with self._zip.open(self._names[part.lower()]) as source:
                while chunk := source.read(_CHUNK):
                    parser.Parse(chunk, False)
                    fed += len(chunk)
                    _refuse_odd(part, fed - parser.CurrentByteIndex, len(names))
                    yield
            parser.Parse(b"", True)
        yield


def _refuse_odd(part: str, unread: int, names: int) -> None:
    """Raise Refusal for contents that no workbook has, and that would take excessive time or memory."""
    if unread > _LONGEST_TAG:
        raise damaged(f"an element of {part} is too long")
    if names > _MOST_NAMES:
        raise damaged(f"{part} has elements of more than {_MOST_NAMES:,} names")


@contextmanager
def _report_damage(part: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise damaged(f"{part} is broken") from error


def _build_parser(handler: Handler, names: dict[str, str]) -> expat.XMLParserType:
    parser = expat.ParserCreate(None, None, names)
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = _strip_prefix(handler.start, handler.end)
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


class _PlainNames(dict[str, str]):
    """The names of elements, each with what it is without its prefix."""

    def __missing__(self, name: str) -> str:
        plain = self[name] = name[name.find(":") + 1 :]
        return plain


_Start: TypeAlias = Callable[[str, dict[str, str]], None]
_End: TypeAlias = Callable[[str], None]


def _strip_prefix(begin: _Start, finish: _End) -> tuple[_Start, _End]:
    """Return the callbacks for expat.

    They use the names that a handler knows, and limit how deeply elements may be nested.
    """
    depth, plain = 0, _PlainNames()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise damaged(f"more than {_DEEPEST:,} elements are nested")
        begin(plain[name], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        finish(plain[name])

    return start, end


def _refuse_doctype(*_: object) -> None:
    raise damaged("it contains a document type declaration, which no workbook has")
