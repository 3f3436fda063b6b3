"""The far edges of reading: what hardly any file is, and what must not be a stack trace all the same."""

import io
import zipfile

import pytest

from musterbook.core.reading.headings import normalize_heading
from musterbook.core.reading.intake import ReadOptions, read
from tests.core.reading.test_workbook import (
    NAMES,
    PACKAGE,
    ROW,
    codes,
    ods,
    ods_cell,
    ods_row,
    ods_table,
    text_cell,
    xlsx,
    xml_row,
)

HEADER = ",".join(NAMES)
LINE = ",".join(ROW)


def test_a_workbook_packed_as_no_workbook_is_packed_is_damaged() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as made:
        made.writestr("[Content_Types].xml", "<Types/>")
        made.writestr("xl/workbook.xml", "<workbook/>")
    assert codes(target.getvalue()) == ["damaged-workbook"]


def test_a_bad_byte_after_a_stray_quote_is_reported_at_the_quote() -> None:
    content = f"{HEADER}\n{LINE.replace('Ann', chr(34) + 'Ann' + chr(34) + ' é')}\n".encode() + b"1,b\xe9\xff,\n"
    (problem,) = read(content).problems
    assert (problem.code, problem.detail) == ("unreadable-byte", "2")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf_16_be"])
def test_an_encoding_of_two_bytes_can_be_named(encoding: str) -> None:
    table = read(f"{HEADER}\n{LINE}\n".encode(encoding), ReadOptions(encoding=encoding))
    assert table.cells["first_name"].to_list() == ["Ann"]


def test_a_codec_that_gives_what_is_no_text_refuses_the_file() -> None:
    content = f"{HEADER}\n{LINE.replace('Ann', chr(92) + 'ud800')}\n".encode()
    assert codes(content, ReadOptions(encoding="raw_unicode_escape")) == ["unreadable-byte"]


def test_a_heading_that_was_guarded_is_read_without_its_guard() -> None:
    assert normalize_heading("'=name") == "=NAME"


def test_a_workbook_of_too_many_columns_is_refused() -> None:
    many = [*NAMES, *(f"C{number}" for number in range(1_200))]
    assert codes(xlsx(many, ROW)) == ["too-many-columns"]


@pytest.mark.parametrize("place", ['<c r="ABCD2"><v>1</v></c>', '<c r="1A"><v>1</v></c>'])
def test_a_cell_at_a_place_that_no_sheet_has_is_damage(place: str) -> None:
    assert codes(xlsx(NAMES, [place])) == ["damaged-workbook"]


def test_a_cell_outside_of_any_row_is_damage() -> None:
    assert codes(xlsx(text_cell("loose") + xml_row(NAMES), ROW)) == ["damaged-workbook"]


def test_a_workbook_without_styles_and_with_other_relations_first_is_read() -> None:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = (
        f'<Relationships xmlns="{PACKAGE}"><Relationship Id="p" Type="{office}/extended-properties" Target="docProps/app.xml"/>'
        f'<Relationship Id="w" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    )
    workbook = xlsx(NAMES, ROW, extra={"_rels/.rels": relations})
    assert codes(workbook) == []
    assert codes(without(workbook, "xl/styles.xml")) == []


def without(workbook: bytes, part: str) -> bytes:
    """The workbook without one of its parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as source, zipfile.ZipFile(target, "w") as made:
        for member in source.infolist():
            if member.filename != part:
                made.writestr(member.filename, source.read(member))
    return target.getvalue()


def test_a_long_sheet_of_an_ods_workbook_is_read_piece_by_piece() -> None:
    rows = [ods_row([str(number), f"u{number}@agency.example", *ROW[2:]]) for number in range(2_000)]
    table = read(ods(ods_table(ods_row(NAMES), *rows)))
    assert table.cells["external_id"].to_list() == [str(number) for number in range(2_000)]


def test_a_table_within_a_cell_of_an_ods_workbook_is_no_sheet() -> None:
    inner = f"<table:table-cell>{ods_table(ods_row(['inside']), name='Inner')}</table:table-cell>"
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW, inner]))))
    assert table.cells["external_id"].to_list() == ["101"]


def test_comments_of_a_cell_of_an_ods_workbook_are_not_read() -> None:
    remark = "<office:annotation><text:p>a remark</text:p></office:annotation>"
    cell = f'<table:table-cell office:value-type="string">{remark}<text:p>Ann</text:p></table:table-cell>'
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW[:3], cell, *ROW[4:]]))))
    assert table.cells["first_name"].to_list() == ["Ann"]


@pytest.mark.parametrize(
    "row",
    [
        ods_row([ods_cell("x", 'table:number-columns-repeated="16385"')]),
        ods_row(["x"], 'table:number-rows-repeated="1048576"'),
    ],
)
def test_more_cells_or_rows_than_any_sheet_has_are_damage(row: str) -> None:
    assert codes(ods(ods_table(ods_row(NAMES), row))) == ["damaged-workbook"]
