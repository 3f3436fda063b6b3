"""Merged cells, hidden sheets, and parts that are named with backslashes (rules F4, F15)."""

import io
import zipfile

import pytest

from musterbook.core.reading import merged_cells
from musterbook.core.reading.intake import ReadOptions, read
from tests.core.reading.test_workbook import NAMES, ROW, ods, ods_cell, ods_row, ods_table, xlsx, xml_row

HEAD = [*NAMES, "LOCATION"]
ROWS = [[str(at), *ROW[1:], "HQ" if at == 2 else ""] for at in (2, 3, 4)]


def merged(*places: str, rows: list[list[str]] | None = None) -> bytes:
    content = xlsx(HEAD, *(rows or ROWS))
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as book:
        for name in source.namelist():
            part = source.read(name).decode()
            cells = "".join(f'<mergeCell ref="{place}"/>' for place in places)
            book.writestr(name, part.replace("</sheetData>", f"</sheetData><mergeCells>{cells}</mergeCells>"))
    return target.getvalue()


def test_a_note_names_the_column_whose_cells_are_blank_under_a_merge() -> None:
    """F15."""
    table = read(merged("I2:I4", "Z1:Z9", "A9:A9"))
    assert table.cells["location"].to_list() == ["HQ", "", ""]
    [note] = table.notes
    assert (note.code, note.column, "rows: 3–4" in note.message) == ("merged-cells", "LOCATION", True)


def test_a_merge_shows_only_its_first_cell_as_in_a_spreadsheet() -> None:
    full = [[str(at), *ROW[1:], f"place {at}"] for at in (2, 3, 4)]
    table = read(merged("H2:I3", rows=full))
    assert table.cells["location"].to_list() == ["", "", "place 4"]
    assert table.cells["role"].to_list() == ["Officer", "", "Officer"]
    assert [(note.column, "3" in note.message) for note in table.notes] == [("ROLE", True), ("LOCATION", True)]


@pytest.mark.parametrize("form", ["xlsx", "ods"])
def test_the_cells_next_to_a_merge_keep_their_values(form: str) -> None:
    if form == "xlsx":
        table = read(merged("D2:E3"))
    else:
        spanned = ods_cell("Ann", 'table:number-rows-spanned="2" table:number-columns-spanned="2"')
        table = read(
            ods(ods_table(ods_row(HEAD), ods_row([*ROWS[0][:3], spanned, *ROWS[0][4:]]), *map(ods_row, ROWS[1:])))
        )
    assert table.cells.select("badge_number", "first_name", "last_name", "status").rows() == [
        ("7", "Ann", "", "Active"),
        ("7", "", "", "Active"),
        ("7", "Ann", "Lee", "Active"),
    ]


def test_a_merge_in_the_last_row_is_noted_and_one_beyond_the_headings_is_not() -> None:
    full = [[*cells[:8], "HQ"] for cells in ROWS]
    assert [note.column for note in read(merged("H4:I4", rows=full)).notes] == ["LOCATION"]
    assert not read(merged("J2:J4", rows=full)).notes


@pytest.mark.parametrize(("merges", "more"), [(20, False), (21, True)])
def test_a_note_lists_twenty_merges(merges: int, more: bool) -> None:
    rows = [[str(at), *ROW[1:], "HQ"] for at in range(2, 2 + 2 * merges)]
    [note] = read(merged(*(f"I{2 * at}:I{2 * at + 1}" for at in range(1, merges + 1)), rows=rows)).notes
    assert ("…" in note.message, note.message.count(", ") >= 19) == (more, True)


def test_a_merge_of_blank_cells_or_above_the_rows_is_no_news() -> None:
    assert not read(merged("I3:I4", "A1:C1", "nonsense")).notes


def test_merges_cost_no_more_than_a_file_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_cells, "_MOST_CELLS", 2)
    assert not read(merged("I2:I1000000")).notes
    assert not read(merged("A9:I9", "I2:I4")).notes  # what is below the last row leaves no more to others
    monkeypatch.setattr(merged_cells, "_MOST_CELLS", 3)
    assert read(merged("I2:I4")).notes
    monkeypatch.setattr(merged_cells, "_MOST_MERGES", 1)
    assert not read(merged("A9:A9", "I2:I4")).notes


def test_merged_cells_of_an_ods_workbook_are_found() -> None:
    spanned = ods_cell("HQ", 'office:value-type="string" table:number-rows-spanned="2"')
    first, second = ods_row([*ROWS[0][:8], spanned]), ods_row([*ROWS[1][:8], "<table:covered-table-cell/>"])
    table = read(ods(ods_table(ods_row(HEAD), first, second)))
    assert [(note.code, note.column) for note in table.notes] == [("merged-cells", "LOCATION")]


def test_a_workbook_whose_parts_are_named_with_backslashes_is_read() -> None:
    """F15."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx(NAMES, ROW))) as source, zipfile.ZipFile(target, "w") as book:
        for name in source.namelist():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            book.writestr(info, source.read(name))
    content = target.getvalue()
    assert read(content).cells.height == 1
    assert read(content[:-40]).problems[0].code == "damaged-workbook"


@pytest.mark.parametrize("first", [xml_row(["Summary"]), xml_row(NAMES[:4]), ""])
def test_another_sheet_with_the_headings_is_named_even_if_it_is_hidden(first: str) -> None:
    """F4."""
    sheets = {"Summary": first, "Payroll": xml_row(["Title"], 1) + xml_row(NAMES, 2), "Other": xml_row(["x"])}
    table = read(xlsx(sheets=sheets, states={"Payroll": "hidden"}), ReadOptions(sheet="Summary"))
    assert table.problems[0].code == "headings-elsewhere"
    assert "“Payroll” (hidden)" in table.problems[0].message
    table = read(xlsx(sheets=sheets), ReadOptions(sheet="Other"))
    assert "Another sheet, “Payroll”, has the required" in table.problems[0].message
    assert read(xlsx(sheets=sheets)).file.sheet == "Payroll"


def test_a_hidden_sheet_of_an_ods_workbook_is_named_too() -> None:
    """F4. Its headings may be below a title, among many rows."""
    hidden = ods_table(ods_row(["Title"]), ods_row(NAMES), ods_row(ROW, 'table:number-rows-repeated="60"'), style="off")
    first = ods_table(ods_row(["Summary", "of May"]), name="Summary")
    style = '<style:style style:name="off"><style:table-properties table:display="false"/></style:style>'
    table = read(ods(first + hidden, style=style))
    assert "Another sheet, “Users” (hidden), has the required" in table.problems[0].message


def test_rows_below_row_30_are_not_tried_as_headings() -> None:
    sheets = {"Users": xml_row(["Title"], 1) + xml_row(NAMES, 31), "Other": xml_row(["x"])}
    assert [problem.code for problem in read(xlsx(sheets=sheets)).problems] == ["no-header"]


@pytest.mark.parametrize("form", ["xlsx", "ods"])
def test_headings_below_row_30_do_not_decide_which_sheet_is_read(form: str) -> None:
    """F4: another sheet comes closer."""
    if form == "xlsx":
        content = xlsx(sheets={"Notes": xml_row(["Title"], 1) + xml_row(NAMES, 31), "Users": xml_row(NAMES[:4])})
    else:
        blank = '<table:table-row table:number-rows-repeated="29"><table:table-cell/></table:table-row>'
        notes = ods_table(ods_row(["Title"]), blank, ods_row(NAMES), name="Notes")
        content = ods(notes + ods_table(ods_row(NAMES[:4])))
    table = read(content)
    assert table.file.sheet == "Users"
    assert {problem.code for problem in table.problems} == {"missing-column"}
