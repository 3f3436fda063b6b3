"""Workbooks that ask for far more than they hold: each is refused in a moment, or read as far as its cells may be long."""

import pytest

from musterbook.core.reading import budget
from musterbook.core.reading.intake import ReadOptions, read
from tests.attacks import bombs


def codes(content: bytes) -> list[str]:
    return [problem.code for problem in read(content, ReadOptions()).problems]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"<row a='" + b"x" * (5 << 20) + b"'/>", "is too long"),
        (b"".join(b"<a%d/>" % number for number in range(20_000)), "elements of more than 10,000 names"),
        (b"<a>" * 1_500, "more than 1,000 elements are nested"),
    ],
)
def test_xml_that_no_workbook_has_is_refused(rows: bytes, said: str) -> None:
    [problem] = read(bombs.xlsx(rows), ReadOptions()).problems
    assert problem.code == "damaged-workbook" and said in problem.message


@pytest.mark.parametrize(("names", "found"), [(9_997, ["empty-file"]), (9_998, ["damaged-workbook"])])
def test_a_part_may_have_ten_thousand_names(names: int, found: list[str]) -> None:
    """Three are those of the sheet itself: `worksheet`, `xmlns` and `sheetData`."""
    assert codes(bombs.xlsx(b"".join(b"<a%d/>" % number for number in range(names)))) == found


@pytest.mark.parametrize(("elements", "found"), [(998, ["empty-file"]), (999, ["damaged-workbook"])])
def test_a_thousand_elements_may_be_nested(elements: int, found: list[str]) -> None:
    """Two are those of the sheet itself: `worksheet` and `sheetData`."""
    assert codes(bombs.xlsx(b"<a>" * elements + b"</a>" * elements)) == found


def test_sheets_that_are_one_part_are_looked_at_once() -> None:
    listed = "".join(f'<sheet name="{name}" sheetId="1" r:id="s"/>' for name in "AB")
    book = f'<workbook xmlns="{bombs._MAIN}" xmlns:r="{bombs._OFFICE}"><sheets>{listed}</sheets></workbook>'
    content = bombs.xlsx(bombs.cells(bombs._NAMES), more={"xl/workbook.xml": book})
    assert codes(content) == ["which-sheet"]


def test_text_of_an_ods_cell_is_taken_as_far_as_a_cell_may_be_long() -> None:
    inside = "x" * 40_000 + '<text:s text:c="5"/><text:bookmark/>y</text:p><text:p>z'
    heading = bombs.ods_row(bombs._NAMES)
    long = bombs.ods_row([inside, *["a"] * (len(bombs._NAMES) - 1)])
    found = read(bombs.ods(heading + long), ReadOptions())
    assert list(found.faults["code"]) == ["cell-too-long"]


def test_a_workbook_needs_no_shared_strings_and_text_outside_a_paragraph_is_ignored() -> None:
    related = f'<Relationship Id="s" Type="{bombs._OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    rels = f'<Relationships xmlns="{bombs._PACKAGE}">{related}</Relationships>'
    assert codes(bombs.xlsx(bombs.cells(bombs._NAMES), more={"xl/_rels/workbook.xml.rels": rels})) == []
    cell = '<table:table-cell office:value-type="string"><text:s/><text:p>x</text:p></table:table-cell>'
    rest = "".join(bombs.ods_cell("a") for _ in bombs._NAMES[1:])
    found = read(bombs.ods(bombs.ods_row(bombs._NAMES) + bombs._ods(cell + rest)), ReadOptions())
    assert list(found.cells["external_id"]) == ["x"]


@pytest.mark.parametrize("form", ["xlsx", "ods"])
@pytest.mark.parametrize(("merges", "found"), [(100, []), (1_500, ["expands-too-far"])])
def test_merged_cells_are_counted(monkeypatch: pytest.MonkeyPatch, form: str, merges: int, found: list[str]) -> None:
    monkeypatch.setattr(budget, "AT_LEAST", 100_000)
    if form == "xlsx":
        cells = "<mergeCell ref='ZZ2:ZZ3'/>" * merges
        content = bombs.xlsx(bombs.cells(bombs._NAMES) + f"</sheetData><mergeCells>{cells}</mergeCells><sheetData>")
    else:
        content = bombs.ods(
            bombs.ods_row(bombs._NAMES) + bombs._ods(bombs.ods_cell("", "table:number-rows-spanned='2'") * merges)
        )
    assert codes(content) == found


def test_texts_that_cells_share_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read in pieces of 256 KB, these in twelve of them."""
    monkeypatch.setattr(budget, "AT_LEAST", 8_000_000)
    strings = "".join(f"<si><t>{number:040}</t></si>" for number in range(50_000))
    assert codes(bombs.xlsx(bombs.cells(bombs._NAMES), strings=strings)) == []
