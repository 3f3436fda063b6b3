"""The header row of a file: found among its first rows, named, or remembered (rule F12)."""

import pytest

from musterbook.core.domain.table import Table
from musterbook.core.reading.header_rows import HeaderChoice, find_header_row
from musterbook.core.reading.intake import ReadOptions, read
from tests.core.reading.test_intake import HEADER, REQUIRED_NAMES, ROW, list_refusals, text

TITLE = "Staff list,,,,,,,"


def rows(table: Table) -> list[int]:
    assert not table.problems, table.problems
    return table.cells["row"].to_list()


def test_the_only_row_with_all_headings_is_the_header_row_and_row_numbers_stay() -> None:
    """F12. The note shows the rows above it."""
    table = read(text("Run date: 05/01/2026,,,,,,,", ",,,,,,,", HEADER, ROW, header=TITLE))
    assert (rows(table), table.file.header_row) == ([5], 4)
    [note] = table.notes
    assert note.code == "rows-above-header"
    assert "row 4" in note.message and "“Staff list”, “Run date: 05/01/2026”" in note.message


@pytest.mark.parametrize("first", ["#TYPE Selected.ADUser", "version:v1.0", '"version:v1.0",,,'])
def test_a_line_that_names_a_type_or_a_version_is_skipped_like_a_title(first: str) -> None:
    assert rows(read(text(HEADER, ROW, header=first))) == [3]


def test_rows_above_may_be_blank_or_have_line_breaks() -> None:
    assert rows(read(text("", HEADER, ROW, header=""))) == [4]
    assert "blank rows" in read(text(HEADER, ROW, header="")).notes[0].message
    assert rows(read(text(HEADER, ROW, header='"Staff\nlist",x'))) == [3]


def test_a_sep_line_is_no_row_of_the_sheet() -> None:
    assert rows(read(text(TITLE, HEADER, ROW, header="sep=,"))) == [3]


def test_the_delimiter_is_found_below_a_title_too() -> None:
    content = text(HEADER.replace(",", ";"), ROW.replace(",", ";"), header="Staff, all of them, as of May")
    assert (rows(read(content)), read(content).file.delimiter) == ([3], ";")


def test_row_30_is_the_last_one_that_is_tried() -> None:
    assert rows(read(text(*["x"] * 28, HEADER, ROW, header="x"))) == [31]
    assert list_refusals(text(*["x"] * 29, HEADER, ROW, header="x")) == ["no-header"]
    assert rows(read(text(*["x"] * 29, HEADER, ROW, header="x"), ReadOptions(header_row=31))) == [32]


def test_headings_that_are_mapped_count_as_well() -> None:
    shield = HEADER.replace("BADGE_NUMBER", "Shield")
    content = text(shield, ROW, header=TITLE)
    assert rows(read(content, ReadOptions(mapping={"Shield": "BADGE_NUMBER"}))) == [3]
    assert rows(read(content, ReadOptions(remembered={"Shield": "BADGE_NUMBER"}))) == [3]


def test_of_the_same_headings_twice_the_first_is_the_header_row_and_the_second_is_repeated() -> None:
    table = read(text(HEADER, ROW, HEADER.lower(), ROW.replace("101", "102"), header=TITLE))
    assert rows(table) == [3, 5]
    assert [note.code for note in table.notes] == ["rows-above-header", "repeated-headings"]


def test_two_different_rows_with_all_headings_are_both_named() -> None:
    other = ",".join(reversed(REQUIRED_NAMES))
    table = read(text(HEADER, ROW, other, header="Staff list"))
    assert [problem.code for problem in table.problems] == ["headings-elsewhere"]
    assert "Rows 2, 4 have the required headings" in table.problems[0].message
    assert rows(read(text(ROW, other, ROW))) == [2, 3, 4]  # the first row is the header row in any case


def test_a_named_row_is_the_header_row_whatever_it_has() -> None:
    assert list_refusals(text(HEADER, ROW), ReadOptions(header_row=3)) == ["no-header"]
    assert list_refusals(text(HEADER, ROW), ReadOptions(header_row=9)) == ["no-such-row"]


def test_a_remembered_row_applies_where_it_fits() -> None:
    """F12: it is remembered like a mapping."""
    words = HEADER.replace("ROLE", "Rights")
    remembered = ReadOptions(remembered_header_row=3)
    found = read(text("", words, ROW, header="Staff list"), remembered)
    assert (found.file.header_row, [p.column for p in found.problems]) == (3, ["ROLE"])
    assert rows(read(text(ROW), remembered)) == [2]
    assert read(text(ROW, header=words), remembered).file.header_row == 1


def test_a_row_that_seems_to_be_the_header_row_is_pointed_to_with_its_likely_headings() -> None:
    """F4: a header row that uses other words is never called no header row."""
    words = "Employee ID,Work Email,Badge #,Given Name,Surname,Worker Status,Login,Security Role"
    table = read(text("", words, ROW, header="Staff list"))
    assert [problem.code for problem in table.problems] == ["headings-elsewhere", *["missing-column"] * 8]
    assert (table.file.header_row, table.file.suggested["Badge #"]) == (3, "BADGE_NUMBER")


def test_what_cannot_be_read_names_its_row_and_column_below_a_title() -> None:
    bad = text(HEADER, ROW.replace("Amelia", "Am\0lia"), header=TITLE)
    assert [problem.code for problem in read(bad).problems] == ["nul-byte"]
    bad = text(HEADER, ROW, header=TITLE).replace(b"Amelia", b"\x81")
    assert "Row 3, column FIRST_NAME," in read(bad).problems[0].message
    assert "Row 3, column FIRST_NAME," in read(bad, ReadOptions(header_row=99)).problems[0].message


def test_no_row_at_all_is_row_1() -> None:
    assert find_header_row({}, HeaderChoice()).number == 1
