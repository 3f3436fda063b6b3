"""Files that ask for far more than they are: each a few kilobytes, made as an attacker would make it."""

import io
import zipfile
from collections.abc import Callable, Iterable

from musterbook.core.domain.columns import COLUMNS, REQUIRED

_NAMES = [column.heading for column in REQUIRED]
_ALL = [column.heading for column in COLUMNS]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_MB = 1024 * 1024

Parts = dict[str, bytes | str]


def zipped(parts: Parts) -> bytes:
    """An archive of these parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def xlsx(rows: str | bytes, *, strings: str | bytes = "", styles: str | bytes = "", more: Parts | None = None) -> bytes:
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


def ods(rows: str | bytes, more: Parts | None = None) -> bytes:
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


def _within(head: str, inner: str | bytes, tail: str) -> bytes:
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
    made = bytearray(zipped({"mimetype": b" " * (1000 * _MB), "content.xml": b"<a/>"}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = made.index(mark) + place
        made[at : at + 4] = (46).to_bytes(4, "little")
    return bytes(made)


def _csv(head: Iterable[str], rest: bytes) -> bytes:
    return ",".join(head).encode() + b"\n" + rest


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
    "an attribute of 120 megabytes": lambda: xlsx(b"<row a='" + b"x" * (120 * _MB) + b"'/>"),
    "a comment of 120 megabytes": lambda: xlsx(b"<!--" + b"x" * (120 * _MB) + b"-->"),
    "60 million elements": lambda: xlsx(b"<a/>" * (60 * _MB)),
    "elements within each other": lambda: xlsx(b"<a>" * (60 * _MB)),
    "a million names": lambda: xlsx("".join(f"<a{i}/>" for i in range(5_000_000))),
    "a million names of attributes": lambda: xlsx("".join(f"<a b{i}='' />" for i in range(4_000_000))),
    "many sheets that are one part": lambda: _sheets(1000),
    "many empty sheets behind a large one (.ods)": lambda: _ods_tables(60),
    "a million sheets": lambda: _sheets_listed(1_500_000),
    "many parts": lambda: _members(60_000),
    "many styles": lambda: xlsx(cells(_NAMES), styles="<cellXfs>" + "<xf numFmtId='1'/>" * 5_000_000 + "</cellXfs>"),
    "many number formats": lambda: xlsx(
        cells(_NAMES),
        styles="".join(f"<numFmt numFmtId='{i}' formatCode='0{i}'/>" for i in range(2_000_000)),
    ),
    "a number format of a megabyte": lambda: xlsx(
        cells(_NAMES) + _row('<c s="0"><v>1</v></c>' * 8) * 20_000,
        styles=f"<numFmt numFmtId='200' formatCode='{'0' * _MB}'/><cellXfs><xf numFmtId='200'/></cellXfs>",
    ),
    "content types of 200 megabytes": lambda: xlsx(cells(_NAMES), more={"[Content_Types].xml": b"<a/>" * (50 * _MB)}),
    "rich text in pieces": lambda: xlsx(
        cells(_NAMES) + "<row><c t='inlineStr'><is>" + "<r><t>xy</t></r>" * 8_000_000 + "</is></c></row>"
    ),
    "shared rich text in pieces": lambda: xlsx(
        cells(_NAMES), strings="<si>" + "<r><t>xy</t></r>" * 8_000_000 + "</si>"
    ),
    "millions of shared strings": lambda: xlsx(
        cells(_NAMES), strings="".join(f"<si><t>{i}</t></si>" for i in range(8_000_000))
    ),
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
