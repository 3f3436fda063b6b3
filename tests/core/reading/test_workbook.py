"""Workbooks: cells are read as the text that a person sees, and what cannot be read whole is refused."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core.domain import problems
from musterbook.core.domain.columns import REQUIRED
from musterbook.core.domain.table import Table
from musterbook.core.reading.budget import Budget, FileLimits
from musterbook.core.reading.grid import Refusal
from musterbook.core.reading.intake import ReadOptions, read
from musterbook.core.reading.workbook import archive, workbook
from musterbook.core.reading.workbook.ods import OdsBook
from musterbook.core.reading.workbook.sheet import unescape_text
from musterbook.core.reading.workbook.xlsx import XlsxBook, _parse_column
from tests.examples import examples

NAMES = [column.heading for column in REQUIRED]
ROW = ["101", "a@agency.example", "7", "Ann", "Lee", "Active", "alee", "Officer"]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def text_cell(text: str) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def xml_row(cells: Sequence[str], number: int | None = None) -> str:
    """A row; a cell that begins with `<` is taken as XML."""
    reference = f' r="{number}"' if number else ""
    return f"<row{reference}>{''.join(c if c.startswith('<') else text_cell(c) for c in cells)}</row>"


def xlsx(
    *rows: Sequence[str] | str,
    sheets: Mapping[str, str] | None = None,
    states: Mapping[str, str] | None = None,
    styles: str = "",
    strings: str = "",
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """A workbook of one sheet `Users`, or of the `sheets` (name → rows as XML) with their `states`."""
    made = sheets or {"Users": "".join(row if isinstance(row, str) else xml_row(row) for row in rows)}
    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="s{i}" state="{(states or {}).get(name, "visible")}"/>'
        for i, name in enumerate(made)
    )
    related = "".join(
        f'<Relationship Id="s{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(len(made))
    )
    related += f'<Relationship Id="t" Type="{OFFICE}/styles" Target="/xl/styles.xml"/>'
    related += f'<Relationship Id="u" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="w" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
        **{
            f"xl/worksheets/sheet{i}.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>'
            for i, data in enumerate(made.values())
        },
        **(extra or {}),
    }
    return zipped(parts)


def zipped(parts: Mapping[str, str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return target.getvalue()


FORMATS = ["General", "00000", "0", "#,##0", "0.00E+00", "yyyy\\-mm\\-dd", '"E"000', "+0", "@", "dd/mm/yyyy hh:mm"]
STYLES = (
    "<numFmts>"
    + "".join(
        f'<numFmt numFmtId="{200 + i}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for i, code in enumerate(FORMATS)
    )
    + "</numFmts><cellXfs>"
    + "".join(f'<xf numFmtId="{200 + i}"/>' for i in range(len(FORMATS)))
    + "</cellXfs>"
)


def number(value: str, code: str = "General") -> str:
    return f'<c s="{FORMATS.index(code)}"><v>{value}</v></c>'


def with_cell(column: str, cell: str, strings: str = "") -> Table:
    """The table of a workbook with one row, one cell of which is given as XML."""
    cells = [cell if name == column else value for name, value in zip(NAMES, ROW, strict=True)]
    table = read(xlsx(NAMES, cells, styles=STYLES, strings=strings))
    assert not table.problems, table.problems
    return table


def codes(content: bytes, options: ReadOptions | None = None) -> list[str]:
    return [problem.code for problem in read(content, options).problems]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (number("123", "00000"), "00123"),
        (number("4711"), "4711"),
        (number("4711.0"), "4711"),
        (number("0.30000000000000004"), "0.3"),
        (number("1.2025550121E10", "0.00E+00"), "12025550121"),
        (number("7", '"E"000'), "E007"),
        (number("12025550143", "+0"), "+12025550143"),
        (number("1234", "#,##0"), "1,234"),
        (number("12", "@"), "12"),
        (number("-0.5", "0"), "-1"),
        ("<c t='b'><v>1</v></c>", "TRUE"),
        ("<c t='b'><v>0</v></c>", "FALSE"),
        ("<c t='b'><v>true</v></c>", "TRUE"),
        ("<c t='b'><v>false</v></c>", "FALSE"),
        ("<c t='e'><v>#REF!</v></c>", "#REF!"),
        ("<c t='str'><f>A1&amp;B1</f><v>a b</v></c>", "a b"),
        ("<c t='str'><f>A1</f><v></v></c>", ""),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ("<c t='s'><v>0</v></c>", "Bobby Lee"),
        ("<c t='s'><v>1</v></c>", "健二"),
        ("<c t='s'><v>2</v></c>", "a\rb _x"),
        ("<c t='d'><v>2024-03-01</v></c>", "2024-03-01"),
        (number("45352", "yyyy\\-mm\\-dd"), "2024-03-01"),
        (number("45352.75", "dd/mm/yyyy hh:mm"), "2024-03-01 18:00:00"),
        ("<c/>", ""),
        ("<c t='inlineStr'><is><r><t>A</t></r><r><t> B</t></r><rPh><t>x</t></rPh></is></c>", "A B"),
    ],
)
def test_a_cell_is_the_text_that_a_person_sees(cell: str, text: str) -> None:
    strings = (
        "<si><r><t>Bobby</t></r><r><t xml:space='preserve'> Lee</t></r></si>"
        "<si><t>健二</t><rPh sb='0' eb='2'><t>ケンジ</t></rPh></si><si><t>a_x000D_b _x</t></si>"
    )
    table = with_cell("FIRST_NAME", cell, strings)
    assert table.cells["first_name"].to_list() == [text]
    assert not table.faults.height


def test_a_phonetic_guide_ends_with_its_element() -> None:
    guided = "<c t='inlineStr'><is><r><t>A</t></r><rPh><t>x</t></rPh><r><t> B</t></r></is></c>"
    assert with_cell("FIRST_NAME", guided).cells.row(0)[4:6] == ("A B", "Lee")


def test_a_shared_text_is_read_as_far_as_a_cell_has_room_in_all_its_runs() -> None:
    strings = f"<si><r><t>{'x' * 32_767}</t></r><r><t>yz</t></r></si>"
    [fault] = problems.list_problems(with_cell("FIRST_NAME", "<c t='s'><v>0</v></c>", strings).faults)
    assert (fault.code, "more than 32,767 characters" in fault.message) == ("cell-too-long", True)


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("EMAIL", "<c t='str'><f>G2&amp;1</f></c>", "no-result"),
        ("EMAIL", "<c><f>G2</f><v></v></c>", "no-result"),
        ("EXTERNAL_ID", number("123456789012345678"), "number-too-long"),
        ("BADGE_NUMBER", number("1E+15"), "number-too-long"),
        ("BADGE_NUMBER", number("45352", "yyyy\\-mm\\-dd"), "spreadsheet-damage"),
    ],
)
def test_a_value_that_the_workbook_does_not_hold_is_a_fault_of_its_row(column: str, cell: str, code: str) -> None:
    faults = problems.list_problems(with_cell(column, cell).faults)
    assert [(fault.row, fault.code, fault.column) for fault in faults] == [(2, code, column)]


NO_RESULT, NO_RESULT_ODS = "<c t='str'><f>A2</f></c>", '<table:table-cell table:formula="of:=[.A2]"/>'


@pytest.mark.parametrize("form", ["xlsx", "ods"])
def test_a_row_without_any_true_value_is_an_error_and_not_a_blank_row(form: str) -> None:
    if form == "xlsx":
        content = xlsx(NAMES, ROW, [NO_RESULT] * len(ROW), ROW)
    else:
        content = ods(ods_table(*map(ods_row, (NAMES, ROW, [NO_RESULT_ODS] * len(ROW), ROW))))
    table = read(content)
    assert (table.cells["row"].to_list(), table.skipped.height) == ([2, 3, 4], 0)
    assert [(fault.row, fault.code) for fault in problems.list_problems(table.faults)] == [(3, "no-result")] * len(ROW)


@pytest.mark.parametrize(
    ("setting", "day"), [("", "2020-02-28"), ("0", "2020-02-28"), ("1", "2024-02-29"), ("true", "2024-02-29")]
)
def test_a_workbook_may_count_its_dates_from_1904(setting: str, day: str) -> None:
    book = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><workbookPr{f" date1904={setting!r}" if setting else ""}/>'
        '<sheets><sheet name="Users" sheetId="1" r:id="s0"/></sheets></workbook>'
    )
    row = [*ROW[:3], number("43889", "yyyy\\-mm\\-dd"), *ROW[4:]]
    table = read(xlsx(NAMES, row, styles=STYLES, extra={"xl/workbook.xml": book}))
    assert table.cells["first_name"].to_list() == [day]


@pytest.mark.parametrize(("length", "text"), [(255, "x" * 252 + "5"), (256, "5")])
def test_a_number_format_applies_if_it_is_no_longer_than_a_spreadsheet_allows(length: int, text: str) -> None:
    code = f"&quot;{'x' * (length - 3)}&quot;0"
    styles = f'<numFmts><numFmt numFmtId="200" formatCode="{code}"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs>'
    table = read(xlsx(NAMES, [*ROW[:3], "<c><v>5</v></c>", *ROW[4:]], styles=styles))
    assert table.cells["first_name"].to_list() == [text]


def test_a_sheet_outside_of_the_workbook_is_not_read_even_if_a_part_has_its_name() -> None:
    sheet = f'<Relationship Id="s0" Type="{OFFICE}/worksheet" Target="worksheets/sheet0.xml" TargetMode="External"/>'
    related = f'<Relationships xmlns="{PACKAGE}">{sheet}</Relationships>'
    assert codes(xlsx(NAMES, ROW, extra={"xl/_rels/workbook.xml.rels": related})) == ["damaged-workbook"]


def test_rows_keep_the_numbers_of_the_sheet_and_blank_ones_between_are_skipped() -> None:
    table = read(xlsx(xml_row(NAMES, 1), xml_row(ROW, 3), '<row r="5"><c r="A5"/></row>', xml_row(ROW, 7)))
    assert table.cells["row"].to_list() == [3, 7]
    assert table.skipped["row"].to_list() == [2, 4, 5, 6]


def test_hidden_rows_count() -> None:
    assert read(xlsx(NAMES, xml_row(ROW).replace("<row", '<row hidden="1"'))).rows == 1


def test_a_cell_beyond_the_headings_is_a_fault() -> None:
    table = read(xlsx(NAMES, [*ROW, "", "x"]))
    assert [fault.code for fault in problems.list_problems(table.faults)] == ["cell-count"]
    assert table.surplus == {2: ["x"]}


def test_one_blank_cell_far_away_costs_no_memory() -> None:
    far = '<row r="1048576"><c r="XFD1048576" s="1"/></row>'
    content = xlsx(xml_row(NAMES, 1), xml_row(ROW, 2), far)
    tracemalloc.start()
    table = read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table.rows == 1
    assert peak < 5_000_000


def test_the_sheet_with_the_headings_is_read_at_any_position() -> None:
    good, note = xml_row(NAMES) + xml_row(ROW), xml_row(["Fill in the next sheet"])
    table = read(xlsx(sheets={"Read me": note, "Users": good, "Empty": ""}))
    assert table.file.sheet == "Users"
    assert [(n.code, n.detail) for n in table.notes] == [("other-sheets", "“Read me”")]


def test_several_sheets_that_bear_the_headings_are_refused_unless_one_is_named() -> None:
    good = xml_row(NAMES) + xml_row(ROW)
    content = xlsx(sheets={"May": good, "June": good})
    assert codes(content) == ["which-sheet"]
    assert "“May”, “June”" in read(content).problems[0].message
    assert read(content, ReadOptions(sheet="june")).file.sheet == "June"
    assert codes(content, ReadOptions(sheet="July")) == ["no-such-sheet"]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_hidden_sheets_do_not_count(state: str) -> None:
    good = xml_row(NAMES) + xml_row(ROW)
    content = xlsx(sheets={"Old": good, "Users": good}, states={"Old": state})
    assert read(content).file.sheet == "Users"
    assert codes(content, ReadOptions(sheet="Old")) == ["no-such-sheet"]
    assert codes(xlsx(sheets={"Old": good}, states={"Old": state})) == ["damaged-workbook"]


def test_fifty_sheets_are_examined_and_a_further_one_can_be_named() -> None:
    empty, good = {f"S{number}": "" for number in range(49)}, xml_row(NAMES) + xml_row(ROW)
    assert read(xlsx(sheets={**empty, "Users": good})).file.sheet == "Users"
    beyond = xlsx(sheets={**empty, "More": "", "Users": good})
    assert codes(beyond) == ["empty-file"]
    assert codes(beyond, ReadOptions(sheet="Users")) == []


def test_headings_further_down_are_pointed_to_if_nothing_is_above_them() -> None:
    found = read(xlsx(xml_row(NAMES[:4], 3), xml_row(ROW[:4], 4))).problems
    assert [problem.code for problem in found] == ["headings-elsewhere", *["missing-column"] * 4]
    assert "Row 3 seems" in found[0].message


def test_a_first_row_of_faults_alone_has_no_headings() -> None:
    table = read(xlsx(["<c><f>A2</f></c>"], ROW))
    assert ([problem.code for problem in table.problems], table.file.headings) == (["no-header"], ())


def test_headings_further_down_are_read() -> None:
    content = xlsx(xml_row(["Roster"], 1), xml_row(["<c/>", *NAMES], 3), xml_row(["<c/>", *ROW], 4))
    table = read(content)
    assert (table.problems, table.file.header_row, table.cells["row"].to_list()) == ((), 3, [4])  # F12
    assert [note.code for note in table.notes] == ["rows-above-header"]
    assert codes(xlsx(xml_row(["<c/>", *NAMES], 1), xml_row(["<c/>", *ROW]))) == []


@pytest.mark.parametrize(
    "content",
    [
        xlsx(NAMES, ["<c t='s'><v>99999</v></c>"]),
        xlsx(NAMES, ["<c t='s'><v>-1</v></c>"], strings="<si><t>a</t></si>"),
        xlsx(NAMES, ["<c><v>twelve</v></c>"]),
        xlsx(NAMES, ["<c><v>1E999999999</v></c>"]),
        xlsx(NAMES, ['<c r="XFE2"><v>1</v></c>']),
        xlsx(NAMES, ['<c r="A2"><v>1</v></c><c r="A2"><v>2</v></c>']),
        xlsx(xml_row(NAMES, 1), xml_row(ROW, 3), xml_row(ROW, 2)),
        xlsx(xml_row(NAMES, 1), xml_row(ROW, 1_048_577)),
        xlsx(NAMES, "<row><c>"),
        xlsx(NAMES, ROW, extra={"xl/workbook.xml": "<workbook/>"}),
        xlsx(NAMES, ROW, extra={"xl/styles.xml": "<!DOCTYPE x><styleSheet/>"}),
        xlsx(
            extra={
                "xl/worksheets/sheet0.xml": '<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/passwd">]><worksheet>&e;</worksheet>'
            }
        ),
        xlsx(NAMES, ROW)[:-30],
    ],
)
def test_a_damaged_workbook_is_refused(content: bytes) -> None:
    table = read(content)
    assert [problem.code for problem in table.problems] == ["damaged-workbook"]
    assert "root:" not in table.problems[0].message


def test_a_byte_changed_within_the_archive_is_found() -> None:
    content = bytearray(zipped({"xl/workbook.xml": "x" * 50_000}))
    good = xlsx(NAMES, ROW)
    at = good.index(b"sheet0.xml") + len(b"sheet0.xml") + 40
    changed = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
    assert codes(changed) == ["damaged-workbook"]
    assert codes(bytes(content)) == ["damaged-workbook"]


def test_a_workbook_that_unpacks_too_large_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGE", 1_000_000)
    content = xlsx(NAMES, ROW, "<!--" + " " * 2_000_000 + "-->")
    assert codes(content) == ["workbook-too-large"]
    monkeypatch.setattr(archive, "MOST_TIMES", 10_000)
    assert codes(content) == []


def test_a_workbook_may_unpack_to_what_the_documentation_says() -> None:
    assert (archive.MOST_TIMES, archive.LARGE) == (20, 268_435_456)


def test_a_workbook_past_a_limit_of_rows_is_refused() -> None:
    assert codes(xlsx(NAMES, ROW, ROW, ROW), ReadOptions(limits=FileLimits(rows=2))) == ["too-many-rows"]


@pytest.mark.parametrize(("cells", "found"), [(24, []), (23, ["too-many-rows"])])
def test_a_workbook_of_many_columns_may_have_fewer_rows(
    monkeypatch: pytest.MonkeyPatch, cells: int, found: list[str]
) -> None:
    monkeypatch.setattr(workbook, "MOST_CELLS", cells)
    assert codes(xlsx(NAMES, ROW, ROW, ROW)) == found


def ods(rows: str, *, style: str = "", settings_: str = "", extra: Mapping[str, str] | None = None) -> bytes:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text", "style")
    )
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{style}</office:automatic-styles><office:body>"
        f"<office:spreadsheet>{settings_}{rows}</office:spreadsheet></office:body></office:document-content>"
    )
    mimetype = "application/vnd.oasis.opendocument.spreadsheet"
    return zipped({"mimetype": mimetype, "content.xml": content, **(extra or {})})


def ods_cell(text: str, attributes: str = 'office:value-type="string"') -> str:
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def ods_row(cells: Sequence[str], attributes: str = "") -> str:
    made = "".join(cell if cell.startswith("<") else ods_cell(cell) for cell in cells)
    return f"<table:table-row {attributes}>{made}</table:table-row>"


def ods_table(*rows: str, name: str = "Users", style: str = "") -> str:
    return f'<table:table table:name="{name}" table:style-name="{style}">{"".join(rows)}</table:table>'


def test_an_ods_workbook_is_read_as_its_cells_show_themselves() -> None:
    cells = [
        ods_cell("00123", 'office:value-type="float" office:value="123"'),
        "a@agency.example",
        ods_cell("1.20E+10", 'office:value-type="float" office:value="12025550121"'),
        ods_cell("<text:span>An</text:span>n<text:s text:c='2'/>B", 'office:value-type="string"'),
        "<table:table-cell><text:p>Lee</text:p><office:annotation><text:p>x</text:p></office:annotation></table:table-cell>",
        *ROW[5:],
    ]
    blank = '<table:table-cell table:number-columns-repeated="16376"/>'
    table = read(
        ods(
            ods_table(
                ods_row([*NAMES, blank]),
                ods_row([*cells, blank]),
                ods_row([blank], 'table:number-rows-repeated="3"'),
                ods_row([*ROW, blank], 'table:number-rows-repeated="2"'),
                ods_row([blank], 'table:number-rows-repeated="1048569"'),
            )
        )
    )
    assert (table.file.format, table.file.headings) == ("ods", tuple(NAMES))
    assert table.cells["row"].to_list() == [2, 6, 7]
    assert table.cells.row(0) == (2, "00123", "a@agency.example", "12025550121", "Ann  B", "Lee", *ROW[5:])
    assert table.skipped["row"].to_list() == [3, 4, 5]


def test_what_an_ods_workbook_does_not_hold_is_a_fault() -> None:
    cells = [
        ods_cell("1.2E+17", 'office:value-type="float" office:value="123456789012345678"'),
        '<table:table-cell table:formula="of:=[.A1]"/>',
        ods_cell("1 Mar", 'office:value-type="date" office:date-value="2024-03-01"'),
        *ROW[3:],
    ]
    table = read(ods(ods_table(ods_row(NAMES), ods_row(cells))))
    assert sorted(fault.code for fault in problems.list_problems(table.faults)) == [
        "no-result",
        "number-too-long",
        "spreadsheet-damage",
    ]


def test_hidden_sheets_of_an_ods_workbook_do_not_count_and_an_encrypted_one_is_refused() -> None:
    style = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    good = (ods_row(NAMES), ods_row(ROW))
    both = ods_table(*good, name="Old", style="h") + ods_table(*good, name="Users")
    assert read(ods(both, style=style)).file.sheet == "Users"
    assert codes(ods(both)) == ["which-sheet"]
    manifest = {"META-INF/manifest.xml": "<m:manifest xmlns:m='m'><m:encryption-data/><m:file-entry/></m:manifest>"}
    assert codes(ods(both, extra=manifest)) == ["encrypted-workbook"]
    plain = {"META-INF/manifest.xml": "<m:manifest xmlns:m='m'><m:file-entry/></m:manifest>"}
    assert codes(ods(both, style=style, extra=plain)) == []


def test_cells_repeated_beyond_measure_are_refused() -> None:
    many = ods_row(['<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'],
                   'table:number-rows-repeated="1048000"')  # fmt: skip
    assert codes(ods(ods_table(ods_row(NAMES), many))) == ["damaged-workbook"]


@pytest.mark.parametrize(("titles", "sheet"), [(29, "Far"), (30, "Near")])
def test_a_row_that_is_repeated_takes_its_place_among_the_first_thirty(titles: int, sheet: str) -> None:
    """The sheet with more of the headings is read if they are in one of its first 30 rows."""
    far = ods_table(ods_row(["Staff"], f'table:number-rows-repeated="{titles}"'), ods_row(NAMES[:6]), name="Far")
    assert read(ods(far + ods_table(ods_row(NAMES[:4]), name="Near"))).file.sheet == sheet


def repeat_rows(form: type[XlsxBook | OdsBook], places: Sequence[tuple[int, int]]) -> bytes:
    """A workbook that has the same row at each of these places, so many times. An .ods file says how often it is repeated."""
    if form is XlsxBook:
        return xlsx(*(xml_row(["x"], at) for first, times in places for at in range(first, first + times)))
    made, last = "", 0
    for first, times in places:
        above = first - 1 - last
        made += ods_row(["<table:table-cell/>"], f'table:number-rows-repeated="{above}"') if above else ""
        made += ods_row(["x"], f'table:number-rows-repeated="{times}"')
        last = first + times - 1
    return ods(ods_table(made))


@pytest.mark.parametrize("form", [XlsxBook, OdsBook])
@pytest.mark.parametrize(
    ("places", "head"),
    [
        ([(1, 1), (3, 5)], [1, 3, 4, 5, 6, 7]),
        ([(1, 1), (28, 9)], [1, 28, 29, 30]),
        ([(29, 1), (30, 1), (31, 1)], [29, 30]),
        ([(1, 1), (31, 1), (32, 2)], [1]),
        ([(31, 4), (40, 1)], [31]),
        ([], []),
    ],
)
def test_the_first_rows_of_a_sheet_are_those_as_far_as_row_30_and_at_least_one(
    form: type[XlsxBook | OdsBook], places: list[tuple[int, int]], head: list[int]
) -> None:
    """They decide which sheet is read (F4)."""
    content = repeat_rows(form, places)
    book = form(archive.Archive(content), Budget(len(content), 1000))
    assert [row.number for row in book.head("Users")] == head


LAST_ROW = 1_048_576


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (XlsxBook, lambda last: xlsx(xml_row(NAMES, 1), xml_row(ROW, last))),
        (OdsBook, lambda last: ods(ods_table(ods_row([], f'table:number-rows-repeated="{last - 1}"'), ods_row(ROW)))),
    ],
)
def test_a_sheet_has_as_many_rows_as_in_excel_and_no_more(
    form: type[XlsxBook | OdsBook], content: Callable[[int], bytes]
) -> None:
    def count_rows(last: int) -> int:
        made = content(last)
        return [row.number for row in form(archive.Archive(made), Budget(len(made), 1000)).rows("Users")][-1]

    assert count_rows(LAST_ROW) == LAST_ROW
    with pytest.raises(Refusal):
        count_rows(LAST_ROW + 1)


def test_an_ods_sheet_has_as_many_columns_as_in_excel_and_no_more() -> None:
    def find_last(before: int) -> int:
        row = ods_row([f'<table:table-cell table:number-columns-repeated="{before}"/>', "x"])
        content = ods(ods_table(row))
        [read] = OdsBook(archive.Archive(content), Budget(len(content), 1000)).rows("Users")
        return max(read.cells)

    assert find_last(16_383) == _parse_column("XFD")
    with pytest.raises(Refusal):
        find_last(16_384)


def test_faults_of_a_row_that_is_repeated_are_counted_as_often() -> None:
    date = '<table:table-cell office:value-type="date" office:date-value="2024-03-01"/>'
    many = ods_row([date], 'table:number-rows-repeated="450000"')
    [problem] = read(ods(ods_table(ods_row(NAMES), many))).problems
    assert (problem.code, "the problems of row 2" in problem.message) == ("expands-too-far", True)


def test_each_row_that_is_repeated_has_the_faults_of_the_first() -> None:
    date = '<table:table-cell office:value-type="date" office:date-value="2024-03-01"/>'
    twice = ods_row([*ROW[:2], date, *ROW[3:]], 'table:number-rows-repeated="2"')
    table = read(ods(ods_table(ods_row(NAMES), ods_row(ROW), twice)))
    assert [fault.row for fault in problems.list_problems(table.faults)] == [3, 4]


def test_what_is_repeated_no_times_is_there_once() -> None:
    cell = ods_cell("Ann", 'table:number-columns-repeated="0"')
    row = ods_row([*ROW[:3], cell, *ROW[4:]], 'table:number-rows-repeated="0"')
    table = read(ods(ods_table(ods_row(NAMES), row, ods_row(ROW))))
    assert table.cells.rows() == [(2, *ROW), (3, *ROW)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2024-03-01", "2024-03-01"), ("2024-03-01T00:00:00", "2024-03-01"), ("2024-03-01T18:00:00", "2024-03-01 18:00:00"),
    ],
)  # fmt: skip
def test_a_date_of_an_ods_workbook_is_written_as_in_xlsx(value: str, text: str) -> None:
    date = ods_cell("1 Mar", f'office:value-type="date" office:date-value="{value}"')
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW[:3], date, *ROW[4:]]))))
    assert table.cells["first_name"].to_list() == [text]


def test_the_last_line_break_that_an_ods_cell_has_room_for_is_counted() -> None:
    cell = f"<table:table-cell><text:p>{'x' * 32_766}</text:p><text:p/></table:table-cell>"
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW[:3], cell, *ROW[4:]]))))
    [fault] = problems.list_problems(table.faults)
    assert (fault.code, "has 32,767 characters" in fault.message) == ("cell-too-long", True)


@pytest.mark.parametrize("paragraphs", ["<text:p>{}</text:p>", "<text:p/><text:p>{}</text:p>"])
def test_an_ods_cell_that_is_longer_than_any_cell_says_so_as_in_xlsx(paragraphs: str) -> None:
    cell = f"<table:table-cell>{paragraphs.format('x' * 32_768)}</table:table-cell>"
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW[:3], cell, *ROW[4:]]))))
    [fault] = problems.list_problems(table.faults)
    assert (fault.code, "more than 32,767 characters" in fault.message) == ("cell-too-long", True)


def test_text_of_an_ods_cell_outside_its_paragraphs_is_ignored() -> None:
    cell = "<table:table-cell>\n <text:p>A</text:p>\n <text:p>B</text:p>\n</table:table-cell>"
    table = read(ods(ods_table(ods_row(NAMES), ods_row([*ROW[:3], cell, *ROW[4:]]))))
    assert table.cells["first_name"].to_list() == ["A\nB"]


GOOD = xlsx(NAMES, ROW, [*ROW[:2], number("9", "00000"), *ROW[3:]], styles=STYLES, strings="<si><t>a</t></si>")
GOOD_ODS = ods(ods_table(ods_row(NAMES), ods_row(ROW)))


@settings(max_examples=examples(150))
@given(st.sampled_from([GOOD, GOOD_ODS]), st.integers(0, 5000), st.integers(0, 5000), st.binary(max_size=4))
def test_no_damage_to_the_bytes_of_a_workbook_raises(good: bytes, start: int, length: int, other: bytes) -> None:
    start %= len(good)
    for content in (good[:start], good[:start] + other + good[start + length % 40 :]):
        table = read(content)
        assert all(problem.message for problem in table.problems)
        assert table.problems or table.rows == 2 or good is GOOD_ODS


_XML = "".join(c for c in xml_row(ROW, 2))


@settings(max_examples=examples(200))
@given(
    st.integers(0, len(_XML)),
    st.integers(0, 30),
    st.sampled_from(["", "<", ">", "/", '"', "9", "<c>", "<v>", "</c>", "<row>", "x", "-", "<f/>"]),
)
def test_no_damage_to_the_markup_of_a_sheet_raises(start: int, length: int, other: str) -> None:
    table = read(xlsx(NAMES, _XML[:start] + other + _XML[start + length :]))
    assert all(problem.message for problem in table.problems)


def test_a_part_that_is_larger_than_its_archive_says_is_damage() -> None:
    content = xlsx(NAMES, ROW, "<!--" + " " * 100_000 + "-->")
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"sheet0.xml"))
    lying = content[: at + 24] + (50).to_bytes(4, "little") + content[at + 28 :]
    assert codes(lying) == ["damaged-workbook"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("_x00AF_", "\u00af"), ("_x00ff_", "\u00ff"), ("_xD7FF__xE000_", "\ud7ff\ue000"), ("_xD800__xDFFF_", "_xD800__xDFFF_"),
        ("_x12_ _x00G0_", "_x12_ _x00G0_"),
    ],
)  # fmt: skip
def test_an_escape_of_office_is_its_character_unless_that_is_half_of_one(text: str, read: str) -> None:
    assert unescape_text(text) == read


@pytest.mark.parametrize("style", ['s="0"', ""])
def test_the_first_style_is_that_of_cells_that_name_none(style: str) -> None:
    styles = '<numFmts><numFmt numFmtId="200" formatCode="00000"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs>'
    table = read(xlsx(NAMES, [f"<c {style}><v>123</v></c>", *ROW[1:]], styles=styles))
    assert table.cells["external_id"].to_list() == ["00123"]


def test_formats_that_only_named_styles_have_are_none_of_the_cells() -> None:
    table = read(xlsx(NAMES, [number("123", "00000"), *ROW[1:]], styles="<cellStyleXfs><xf/></cellStyleXfs>" + STYLES))
    assert table.cells["external_id"].to_list() == ["00123"]


@pytest.mark.parametrize("style", ["10", "11", "-1", ""])
def test_a_style_that_is_none_of_the_cells_shows_a_number_as_it_is(style: str) -> None:
    styles = STYLES + '<cellStyleXfs><xf numFmtId="14"/><xf numFmtId="14"/></cellStyleXfs>'
    cell = f'<c s="{style}"><v>45352</v></c>' if style else "<c><v>45352</v></c>"
    table = read(xlsx(NAMES, [cell, *ROW[1:]], styles=styles))
    assert (table.cells["external_id"].to_list(), table.faults.height) == (["45352"], 0)


@pytest.mark.parametrize(
    ("reference", "letters"), [("A", 0), ("Z", 25), ("AA", 26), ("AZ", 51), ("BA", 52), ("ZZ", 701), ("XFD", 16_383)]
)
def test_the_letters_of_a_column_are_counted_as_a_spreadsheet_does(reference: str, letters: int) -> None:
    assert _parse_column(reference) == letters


@pytest.mark.parametrize("reference", ["", "a", "1", "ABCD", "XFE", "ZZZ", "A1"])
def test_letters_of_no_column_are_damage(reference: str) -> None:
    with pytest.raises(Refusal):
        _parse_column(reference)


def test_a_whole_number_of_fifteen_digits_is_whole_and_one_of_sixteen_has_lost_some() -> None:
    assert with_cell("EXTERNAL_ID", number("999999999999999")).cells["external_id"].to_list() == ["999999999999999"]
    assert with_cell("EXTERNAL_ID", number("000000000000001")).cells["external_id"].to_list() == ["1"]
    [fault] = problems.list_problems(with_cell("EXTERNAL_ID", number("1234567890123456")).faults)
    assert (fault.code, fault.value) == ("number-too-long", "1234567890123460")


@pytest.mark.parametrize("index", ["1", "-1", "99999"])
def test_a_cell_that_refers_to_text_that_does_not_exist_is_damage(index: str) -> None:
    cells = [f"<c t='s'><v>{index}</v></c>", *ROW[1:]]
    [problem] = read(xlsx(NAMES, cells, strings="<si><t>a</t></si>")).problems
    assert "a cell of row 2 refers to text that does not exist" in problem.message


def test_a_sheet_that_the_file_does_not_have_after_all_has_no_rows() -> None:
    content = ods(ods_table(ods_row(NAMES)))
    book = OdsBook(archive.Archive(content), Budget(len(content), 1000))
    book._places["Users"] = 1
    assert list(book.rows("Users")) == []
