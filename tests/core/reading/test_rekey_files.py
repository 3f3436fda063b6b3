"""A file of new external IDs (M14) is read like any other: delimiters, sheets, headings and mapping, with two columns."""

import io

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no stubs

from musterbook.core.domain.columns import REKEYS
from musterbook.core.domain.table import Table
from musterbook.core.reading import corrections, intake
from musterbook.core.reading.intake import ReadOptions


def read(
    content: str | bytes, mapping: dict[str, str] | None = None, remembered: dict[str, str] | None = None
) -> Table:
    options = ReadOptions(mapping=mapping or {}, remembered=remembered or {}, layout=REKEYS.name)
    return intake.read(content.encode() if isinstance(content, str) else content, options)


def cells(table: Table) -> list[tuple[int, str, str]]:
    return list(table.cells.select("row", "external_id", "new_external_id").iter_rows())


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_both_columns_are_read_in_any_order_and_with_any_delimiter(mark: str) -> None:
    table = read(f"New external-ID{mark}external ID{mark}NAME\nN-1{mark}1{mark}Ada\n")
    assert cells(table) == [(2, "1", "N-1")]
    assert table.file.delimiter == mark
    assert [note.code for note in table.notes] == ["ignored-columns"]


def test_both_columns_are_required() -> None:
    table = read("EXTERNAL_ID,NEW_ID\n1,N-1\n")
    assert [(problem.code, problem.column) for problem in table.problems] == [("missing-column", "NEW_EXTERNAL_ID")]


def test_other_headings_can_be_mapped_and_columns_of_users_cannot() -> None:
    assert cells(read("Old,New\n1,N-1\n", {"Old": "EXTERNAL_ID", "New": "NEW_EXTERNAL_ID"})) == [(2, "1", "N-1")]
    table = read("EXTERNAL_ID,NEW_EXTERNAL_ID,Mail\n1,N-1,a\n", {"Mail": "EMAIL"})
    assert [problem.code for problem in table.problems] == ["unknown-mapping"]


def test_a_file_without_these_headings_says_which_it_needs() -> None:
    below = read("New ids of May\nEXTERNAL_ID,NEW_EXTERNAL_ID\n1,N-1\n")
    assert (below.problems, cells(below)) == ((), [(3, "1", "N-1")])  # F12
    (problem,) = read("New ids of May\nEXTERNAL_ID,New\n1,N-1\n").problems[:1]
    assert problem.code == "no-header"
    assert "EXTERNAL_ID, NEW_EXTERNAL_ID" in f"{problem.message} {problem.remedy}"


def test_a_file_that_is_not_utf_8_is_read_as_well() -> None:
    assert cells(read("EXTERNAL_ID;NEW_EXTERNAL_ID\n1;é-1\n".encode("windows-1252"))) == [(2, "1", "é-1")]


def test_the_sheet_with_both_headings_is_read() -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        book.add_worksheet("About").write_row(0, 0, ["Some", "words", "about", "it"])
        sheet = book.add_worksheet("Ids")
        sheet.write_row(0, 0, ["EXTERNAL_ID", "NEW_EXTERNAL_ID"])
        sheet.write_row(1, 0, ["00001", "N-1"])
    table = read(content.getvalue())
    assert (table.file.sheet, cells(table)) == ("Ids", [(2, "00001", "N-1")])


def test_a_cell_can_be_corrected() -> None:
    table = read("EXTERNAL_ID,NEW_EXTERNAL_ID\n1,\n")
    assert cells(corrections.correct_table(table, {"2": {"NEW_EXTERNAL_ID": "N-1"}})) == [(2, "1", "N-1")]


def test_the_example_rows_of_a_file_of_users_are_rows_like_any_other_here() -> None:
    assert cells(read("EXTERNAL_ID,NEW_EXTERNAL_ID\nEXAMPLE-1,N-1\n")) == [(2, "EXAMPLE-1", "N-1")]
