"""Mending in place: a mended table is what a file with the mended cells would have given (rule A3)."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.domain import problems
from musterbook.core.domain.columns import COLUMNS, REQUIRED
from musterbook.core.domain.table import Table
from musterbook.core.reading.corrections import correct_table, merge_corrections
from musterbook.core.reading.intake import ReadOptions, read
from musterbook.core.reporting.results_file import errors_file
from tests.core.reporting.test_results_file import outcomes

HEADER = [*(column.heading for column in REQUIRED), "Shoe size"]
ROW = ["101", "a@agency.example", "7", "Ann", "Lee", "Active", "alee", "Officer", "39"]


def table(*rows: list[str]) -> Table:
    target = io.StringIO(newline="")
    csv.writer(target).writerows(rows)
    return read(target.getvalue().encode())


def test_a_corrected_cell_replaces_the_file_s_in_the_returned_files_too() -> None:
    corrected = correct_table(table(HEADER, ROW, ["102", *ROW[1:]]), {"3": {"EMAIL": "b@agency.example"}})
    assert corrected.cells["email"].to_list() == ["a@agency.example", "b@agency.example"]
    assert b"102,b@agency.example" in errors_file(corrected, outcomes(r3="errored: why"))


def test_a_correction_removes_the_fault_of_its_cell_and_no_other() -> None:
    damaged = table(HEADER, ["x" * 10_001, "y" * 10_001, *ROW[2:]])
    assert damaged.faults["column"].to_list() == ["EXTERNAL_ID", "EMAIL"]
    corrected = correct_table(damaged, {"2": {"EXTERNAL_ID": "101"}})
    assert corrected.faults["column"].to_list() == ["EMAIL"]


def test_a_corrected_row_has_as_many_cells_as_the_header_row() -> None:
    shifted = table(HEADER, ROW[:3], [*ROW, "more"])
    assert [fault.code for fault in problems.list_problems(shifted.faults)] == ["cell-count", "cell-count"]
    whole = dict(zip([column.heading for column in REQUIRED], ROW, strict=False))
    corrected = correct_table(shifted, {"2": whole, "3": {"EMAIL": "b@agency.example"}})
    assert corrected.faults.is_empty() and corrected.surplus == {}
    assert corrected.cells.row(0)[1:] == tuple(ROW[:8])
    assert corrected.original.row(0) == (2, *ROW[:8], "")
    assert corrected.original.row(1) == (3, ROW[0], "b@agency.example", *ROW[2:])


def test_rows_and_columns_that_the_file_has_not_are_passed_over() -> None:
    before = table(HEADER, ROW)
    assert correct_table(before, {"9": {"EMAIL": "x@agency.example"}}).cells.equals(before.cells)
    assert correct_table(before, {"2": {"RANK": "Captain"}}) is before
    assert correct_table(before, {}) is before


def test_the_last_correction_of_a_cell_counts() -> None:
    assert merge_corrections({"2": {"RANK": "a", "ROLE": "b"}}, {"2": {"RANK": "c"}, "3": {"ROLE": "d"}}) == {
        "2": {"RANK": "c", "ROLE": "b"},
        "3": {"ROLE": "d"},
    }


CELL = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cc", "Zs", "Cf")), min_size=1)
HEADINGS = [column.heading for column in COLUMNS]


@given(
    st.lists(st.lists(CELL, min_size=13, max_size=13), min_size=1, max_size=5),
    st.dictionaries(st.integers(2, 7), st.dictionaries(st.sampled_from(HEADINGS), CELL)),
)
def test_a_corrected_table_equals_that_of_a_file_with_the_corrected_cells(
    rows: list[list[str]], changes: dict[int, dict[str, str]]
) -> None:
    corrected = correct_table(table(HEADINGS, *rows), {str(row): cells for row, cells in changes.items()})
    edited = [
        [changes.get(row, {}).get(heading, cell) for heading, cell in zip(HEADINGS, cells, strict=True)]
        for row, cells in enumerate(rows, 2)
    ]
    again = table(HEADINGS, *edited)
    assert corrected.cells.equals(again.cells)
    assert corrected.original.equals(again.original)
    assert corrected.faults.equals(again.faults)


def test_a_corrected_cell_that_serves_two_columns_is_corrected_for_both() -> None:
    """F5: they are one cell of the file."""
    content = ",".join(HEADER).replace("USERNAME", "Desk") + "\n" + ",".join(ROW) + "\n"
    shared = read(content.encode(), ReadOptions(mapping={"EMAIL": "EMAIL,USERNAME"}))
    corrected = correct_table(shared, {"2": {"USERNAME": "b@agency.example"}})
    assert corrected.cells.select("email", "username").row(0) == ("b@agency.example", "b@agency.example")
    assert corrected.original.row(0)[2] == "b@agency.example"
    assert correct_table(shared, {"2": {"ROLE": "Admin"}}).cells["email"].to_list() == ["a@agency.example"]
