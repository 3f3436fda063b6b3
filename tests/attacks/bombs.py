"""Files that ask for far more than they are: each a few kilobytes, made as an attacker would make it.

What repeats is packed once, and what is packed repeats.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from musterbook.core.domain.columns import COLUMNS, REQUIRED

_NAMES = [column.heading for column in REQUIRED]
_ALL = [column.heading for column in COLUMNS]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_MB = 1024 * 1024


@dataclass(frozen=True)
class Repeated:
    """The same bytes many times, between others."""

    head: bytes
    block: bytes
    times: int
    tail: bytes = b""


@dataclass(frozen=True)
class Streamed:
    """Bytes that are made piece by piece, and packed with this level of compression: the one that makes the least of them."""

    pieces: Iterable[bytes]
    level: int


Content = bytes | str | Repeated | Streamed
Parts = dict[str, Content]


def zipped(parts: Parts) -> bytes:
    """An archive of these parts."""
    made, listed = bytearray(), bytearray()
    for name, content in parts.items():
        packed, checksum, size = _pack(content)
        title = name.encode()
        flags = 0 if name.isascii() else 1 << 11  # the name is UTF-8
        fields = struct.pack("<5H3I2H", 20, flags, 8, 0, 33, checksum, len(packed), size, len(title), 0)
        listed += b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, len(made)) + title
        made += b"PK\x03\x04" + fields + title + packed
    end = struct.pack("<4H2IH", 0, 0, len(parts), len(parts), len(listed), len(made), 0)
    return bytes(made + listed + b"PK\x05\x06" + end)


def _pack(content: Content) -> tuple[bytes, int, int]:
    """What is packed, its checksum before that, and its size before that."""
    if isinstance(content, Repeated):
        return _pack_repeated(content)
    if isinstance(content, str | bytes):
        content = Streamed([content.encode() if isinstance(content, str) else content], 9)
    packer, packed, checksum, size = _packer(content.level), bytearray(), 0, 0
    for piece in content.pieces:
        packed += packer.compress(piece)
        checksum, size = zlib.crc32(piece, checksum), size + len(piece)
    return bytes(packed + packer.flush()), checksum, size


def _pack_repeated(content: Repeated) -> tuple[bytes, int, int]:
    """A block that has been packed after a flush refers to nothing before it."""
    per_block = max(4 * _MB // len(content.block), 1)
    large, rest = content.block * per_block, content.block * (content.times % per_block)
    packer = _packer(9)
    packed = packer.compress(content.head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += (packer.compress(large) + packer.flush(zlib.Z_FULL_FLUSH)) * (content.times // per_block)
    packed += packer.compress(rest + content.tail) + packer.flush()
    checksum = zlib.crc32(content.head)
    for _ in range(content.times // per_block):
        checksum = zlib.crc32(large, checksum)
    size = len(content.head) + len(content.block) * content.times + len(content.tail)
    return packed, zlib.crc32(rest + content.tail, checksum), size


def _packer(level: int) -> "zlib._Compress":
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)


def numbered(form: str, thousands: int, level: int) -> Streamed:
    """The form with each number from 0, instead of its #."""

    def make() -> Iterator[bytes]:
        yield "".join(form.replace("#", str(number)) for number in range(1000)).encode()
        thousand = "".join(form.replace("#", f"#{number:03}") for number in range(1000)).encode()
        for number in range(1, thousands):
            yield thousand.replace(b"#", b"%d" % number)

    return Streamed(make(), level)


def xlsx(rows: Content, *, strings: Content = "", styles: Content = "", more: Parts | None = None) -> bytes:
    """A workbook of one sheet: its rows, shared strings and styles as XML."""
    related = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, kind, target in (
            ("s", "worksheet", "worksheets/sheet1.xml"), ("t", "styles", "styles.xml"), ("u", "sharedStrings", "strings.xml"),
        )
    )  # fmt: skip
    parts: Parts = {
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="w" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="A" sheetId="1" r:id="s"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">{related}</Relationships>',
        "xl/styles.xml": _within(f'<styleSheet xmlns="{_MAIN}">', styles, "</styleSheet>"),
        "xl/strings.xml": _within(f'<sst xmlns="{_MAIN}">', strings, "</sst>"),
        "xl/worksheets/sheet1.xml": _within(
            f'<worksheet xmlns="{_MAIN}"><sheetData>', rows, "</sheetData></worksheet>"
        ),
    }
    return zipped(parts | (more or {}))


def ods(rows: Content, more: Parts | None = None) -> bytes:
    """An OpenDocument spreadsheet of one sheet."""
    head = (
        '<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body><office:spreadsheet>'
        '<table:table table:name="A">'
    )
    tail = "</table:table></office:spreadsheet></office:body></office:document-content>"
    parts: Parts = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": _within(head, rows, tail),
    }
    return zipped(parts | (more or {}))


def _within(head: str, inner: Content, tail: str) -> Content:
    if isinstance(inner, Repeated):
        return Repeated(head.encode() + inner.head, inner.block, inner.times, inner.tail + tail.encode())
    if isinstance(inner, Streamed):
        return Streamed(chain([head.encode()], inner.pieces, [tail.encode()]), inner.level)
    return head.encode() + (inner if isinstance(inner, bytes) else inner.encode()) + tail.encode()


def cells(texts: Iterable[str]) -> str:
    """A row of an .xlsx sheet."""
    return _row("".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts))


def _row(inner: str) -> str:
    return f"<row>{inner}</row>"


def ods_cell(inner: str, attributes: str = "") -> str:
    """A cell of an .ods sheet."""
    return f'<table:table-cell office:value-type="string" {attributes}><text:p>{inner}</text:p></table:table-cell>'


def ods_row(texts: Iterable[str], attributes: str = "") -> str:
    """A row of an .ods sheet."""
    return _ods("".join(map(ods_cell, texts)), attributes)


def _ods(inner: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{inner}</table:table-row>"


def _spaces(rows: int) -> bytes:
    long = '<text:s text:c="10000"/>' * 2000
    return ods(ods_row(_NAMES) + ods_row([f"x{long}x"] * 8) * rows)


def _shared(size: int, count: int) -> bytes:
    rows = _row('<c t="s"><v>0</v></c>' * 8) * count
    return xlsx(cells(_NAMES) + rows, strings=f"<si><t>{'x' * size}</t></si>")


def _far(row: int, width: int) -> bytes:
    headings = [*_NAMES, *(f"X_{number}" for number in range(width - 8))]
    return xlsx(cells(headings) + f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>')


def _sheets(number: int) -> bytes:
    listed = "".join(f'<sheet name="S{i}" sheetId="{i + 1}" r:id="s"/>' for i in range(number))
    big = b"<c/>" * (20 * _MB // 4)
    return xlsx(
        b"<row r='2'>" + big + b"</row>",
        more={"xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'},
    )


def _ods_tables(number: int) -> bytes:
    filler = "<table:table-row/>" * (_MB // 2)
    return ods(filler + "".join(f'</table:table><table:table table:name="T{i}">' for i in range(number)))


def _members(number: int) -> bytes:
    return xlsx(cells(_NAMES), more={f"xl/m{i}": b"" for i in range(number)})


def _mimetype() -> bytes:
    """An archive that says that a part is small, which unpacks to a gigabyte."""
    made = bytearray(zipped({"mimetype": Repeated(b"", b" ", 1000 * _MB), "content.xml": b"<a/>"}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = made.index(mark) + place
        made[at : at + 4] = (46).to_bytes(4, "little")
    return bytes(made)


def _csv(head: Iterable[str], rest: bytes) -> bytes:
    return ",".join(head).encode() + b"\n" + rest


_PIECE = b"<r><t>xy</t></r>"
_WIDE = [*_NAMES, *(f"X_{number}" for number in range(990))]

BOMBS: dict[str, Callable[[], bytes]] = {
    "repeated blanks in one cell (.ods)": lambda: _spaces(1),
    "repeated blanks in many cells (.ods)": lambda: _spaces(20),
    "a shared string of a megabyte": lambda: _shared(_MB, 2000),
    "a shared string of ten thousand letters": lambda: _shared(9_999, 30_000),
    "a cell far below a thousand headings": lambda: _far(1_048_576, 1000),
    "a cell far below": lambda: _far(1_048_576, 8),
    "a column that repeats (.ods)": lambda: ods(
        ods_row(_NAMES) + _ods(ods_cell("x" * 9000, 'table:number-columns-repeated="16000"')) * 300
    ),
    "a row that repeats (.ods)": lambda: ods(
        ods_row(_NAMES) + ods_row(["x" * 9000] * 8, 'table:number-rows-repeated="600000"')
    ),
    "a row of faults that repeats (.ods)": lambda: ods(
        ods_row(_NAMES) + _ods('<table:table-cell table:formula="1"/>' * 1000, "table:number-rows-repeated='1000000'")
    ),
    "cells of faults": lambda: xlsx(cells(_NAMES) + _row("<c><f/></c>" * 16_000) * 100),
    "an attribute of 120 megabytes": lambda: xlsx(Repeated(b"<row a='", b"x", 120 * _MB, b"'/>")),
    "a comment of 120 megabytes": lambda: xlsx(Repeated(b"<!--", b"x", 120 * _MB, b"-->")),
    "60 million elements": lambda: xlsx(Repeated(b"", b"<a/>", 60 * _MB)),
    "elements within each other": lambda: xlsx(Repeated(b"", b"<a>", 60 * _MB)),
    "a million names": lambda: xlsx(numbered("<a#/>", 5_000, level=5)),
    "a million names of attributes": lambda: xlsx(numbered("<a b#='' />", 4_000, level=9)),
    "many sheets that are one part": lambda: _sheets(1000),
    "many empty sheets behind a large one (.ods)": lambda: _ods_tables(60),
    "a million sheets": lambda: _sheets_listed(1_500_000),
    "many parts": lambda: _members(60_000),
    "many styles": lambda: xlsx(
        cells(_NAMES), styles=Repeated(b"<cellXfs>", b"<xf numFmtId='1'/>", 5_000_000, b"</cellXfs>")
    ),
    "many number formats": lambda: xlsx(
        cells(_NAMES),
        styles=numbered("<numFmt numFmtId='#' formatCode='0#'/>", 2_000, level=9),
    ),
    "a number format of a megabyte": lambda: xlsx(
        cells(_NAMES) + _row('<c s="0"><v>1</v></c>' * 8) * 20_000,
        styles=f"<numFmt numFmtId='200' formatCode='{'0' * _MB}'/><cellXfs><xf numFmtId='200'/></cellXfs>",
    ),
    "content types of 200 megabytes": lambda: xlsx(
        cells(_NAMES), more={"[Content_Types].xml": Repeated(b"", b"<a/>", 50 * _MB)}
    ),
    "rich text in pieces": lambda: xlsx(
        Repeated(f"{cells(_NAMES)}<row><c t='inlineStr'><is>".encode(), _PIECE, 8_000_000, b"</is></c></row>")
    ),
    "shared rich text in pieces": lambda: xlsx(cells(_NAMES), strings=Repeated(b"<si>", _PIECE, 8_000_000, b"</si>")),
    "millions of shared strings": lambda: xlsx(cells(_NAMES), strings=numbered("<si><t>#</t></si>", 8_000, level=7)),
    "a part that unpacks to more than it says": _mimetype,
    "a thousand headings above blank lines (.csv)": lambda: _csv(_WIDE, b"\n" * 900_000),
    "a thousand headings above short rows (.csv)": lambda: _csv(_WIDE, b"x\n" * 200_000),
    "one line of ten megabytes (.csv)": lambda: _csv(_NAMES, b"x" * (10 * _MB)),
    "a million columns (.csv)": lambda: _csv(_NAMES, b"," * 1_000_000),
    "quotation marks (.csv)": lambda: _csv(_NAMES, b'"' * (2 * _MB)),
    "quotation marks and blanks (.csv)": lambda: _csv(_NAMES, b' "' * _MB),
    "rows of problems (.csv)": lambda: _csv(_ALL, b"x" + b"," * 12 + b"\n" + b"x,,,,,,,,,,,,\n" * 150_000),
    "as many problems as may be (.csv)": lambda: _csv(_ALL, b"x,,,,,,,,,,,,\n" * 28_000),
    "millions of rows of problems (.csv)": lambda: _csv(_ALL, b"x,,,,,,,,,,,,\n" * 3_700_000),
    "short rows (.csv)": lambda: _csv(_NAMES, b"x,,,,,,\n" * 600_000),
    "rows with a cell too many (.csv)": lambda: _csv(_NAMES, b"x,,,,,,,,y\n" * 400_000),
}


def _sheets_listed(number: int) -> bytes:
    listed = "".join(f'<sheet name="S{i}" sheetId="1" r:id="s"/>' for i in range(number))
    return xlsx(
        cells(_NAMES),
        more={"xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'},
    )
