"""The results file and the errors file: nothing of an upload is lost, and the errored rows can be uploaded again."""

import csv
import io
import re
import zipfile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core.checking import check
from musterbook.core.domain import problems
from musterbook.core.domain.columns import REQUIRED
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Role, Vocabulary
from musterbook.core.reading.intake import read
from musterbook.core.reporting.results_file import ResultsKind, errors_file, results_file, stream_parts, write_workbook
from musterbook.core.values.text import TRIMMED
from tests.examples import examples

HEADER = [column.heading for column in REQUIRED]
ROW = ["101", "a@agency.example", "7", "Ann", "Lee", "Active", "alee", "Officer"]
OURS = ["X_ROW", "X_RESULT", "X_PROBLEMS"]


def upload(*rows: list[str]) -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target).writerows(rows)
    return target.getvalue().encode()


def outcomes(**by_row: str) -> pl.DataFrame:
    """Outcomes by row (`r2="errored: why"`)."""
    entries = [(int(row[1:]), *text.partition(": ")[::2]) for row, text in by_row.items()]
    return pl.DataFrame(entries, schema={"row": pl.UInt32, "outcome": pl.String, "problems": pl.String}, orient="row")


def lines(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_rows_come_back_as_they_came_with_what_became_of_them() -> None:
    table = read(upload(HEADER, ROW, [], ['a "b"', "x,y", "1\n2", *ROW[3:]]))
    content = results_file(table, outcomes(r2="added", r4="errored: EMAIL is wrong."))
    assert lines(content) == [
        [*OURS, *HEADER],
        ["2", "added", "", *ROW],
        ["3", "skipped", ""],
        ["4", "errored", "EMAIL is wrong.", 'a "b"', "x,y", "1\n2", *ROW[3:]],
    ]


def test_short_rows_stay_short_and_surplus_cells_come_back() -> None:
    table = read(upload(HEADER, ROW[:3], [*ROW, "", "extra, cell"]))
    content = errors_file(table, outcomes(r2="errored: short", r3="errored: long"))
    assert lines(content)[1:] == [
        ["2", "errored", "short", *ROW[:3]],
        ["3", "errored", "long", *ROW, "", "extra, cell"],
    ]
    again = read(content)
    assert [fault.code for fault in problems.list_problems(again.faults)] == ["cell-count", "cell-count"]


@pytest.mark.parametrize("blank", [1, 2, 3])
def test_blank_cells_beyond_the_headings_keep_their_number_and_stay_an_error(blank: int) -> None:
    table = read(upload(HEADER, [*ROW, *[""] * blank], ROW, ROW))
    content = errors_file(table, outcomes(r2="errored: long"))
    assert lines(content)[1][:-1] == ["2", "errored", "long", *ROW, *[""] * (blank - 1)]
    again = read(content)
    assert ([fault.code for fault in problems.list_problems(again.faults)], again.rows) == (["cell-count"], 1)


def test_the_errors_file_holds_the_errored_rows_alone() -> None:
    table = read(upload(HEADER, ROW, ROW, ROW))
    content = errors_file(table, outcomes(r2="added", r3="errored: x", r4="unchanged"))
    assert [line[0] for line in lines(content)] == ["X_ROW", "3"]
    assert lines(errors_file(table, outcomes(r2="added"))) == [[*OURS, *HEADER]]


def test_our_columns_of_an_earlier_results_file_are_replaced_and_not_doubled() -> None:
    first = errors_file(read(upload([*HEADER, "X_NOTE"], [*ROW, "n"])), outcomes(r2="errored: first"))
    second = errors_file(read(first), outcomes(r2="errored: second"))
    assert lines(second) == [[*OURS, *HEADER, "X_NOTE"], ["2", "errored", "second", *ROW, "n"]]


def test_a_cell_that_a_spreadsheet_would_run_is_guarded() -> None:
    row = ["=1+1", "@a", "-7", "+1", '="00123"', " \t=x", "'=y", "a=b"]
    content = errors_file(read(upload([*HEADER, "=N"], [*row, "z"])), outcomes(r2="errored: =boo"))
    assert lines(content) == [
        [*OURS, *HEADER, "'=N"],
        ["2", "errored", "'=boo", "'=1+1", "'@a", "'-7", "'+1", '="00123"', "'=x", "'=y", "a=b", "z"],
    ]


def test_a_value_that_the_workbook_lost_is_an_error_again_when_it_is_uploaded_unmended() -> None:
    table = read(upload(HEADER, ROW))
    lost = problems.build_frame([problems.Problem("no-result", 2, "ROLE")])
    damaged = Table(cells=table.cells, file=table.file, original=table.original, faults=lost)
    assert lines(errors_file(damaged, outcomes(r2="errored: x")))[1][-1] == "#N/A"


_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_PLAIN = st.text("ab,\"\n ;=-+@'é", max_size=6)


def meaning(cell: str) -> str:
    """A cell as rule C1 reads it: trimmed, without the apostrophe before a sign."""
    text = cell.strip(TRIMMED)
    return text[1:] if text[:2] in ("'=", "'+", "'-", "'@") else text


@settings(max_examples=examples(100))
@given(st.lists(st.lists(st.one_of(_CELL, _PLAIN), max_size=11), min_size=1, max_size=5))
def test_what_is_uploaded_again_means_what_it_meant(rows: list[list[str]]) -> None:
    table = read(upload(HEADER, *rows))
    errored = table.cells.select("row", outcome=pl.lit("errored"), problems=pl.lit("a\n, b"))
    again = read(errors_file(table, errored))
    assert not again.problems
    first, second = table.cells.drop("row").rows(), again.cells.drop("row").rows()
    assert [[meaning(cell) for cell in row] for row in first] == [[meaning(cell) for cell in row] for row in second]
    codes = [[f.code for f in problems.list_problems(t.faults)] for t in (table, again)]
    assert codes[0] == codes[1]


@pytest.mark.parametrize(("which", "rows"), [("results", ["2", "3", "4"]), ("errors", ["3"])])
def test_a_file_in_parts_is_the_whole_file(
    monkeypatch: pytest.MonkeyPatch, which: ResultsKind, rows: list[str]
) -> None:
    monkeypatch.setattr("musterbook.core.reporting.results_file._PART", 1)
    table = read(upload(HEADER, ROW, [*ROW[:5], "away", *ROW[6:], "extra"], [""] * len(ROW)))
    found = pl.DataFrame({"row": [2, 3], "outcome": ["added", "errored"]}, schema_overrides={"row": pl.UInt32})
    parts = list(
        stream_parts(table, found, problems.build_frame([Problem("invalid-status", 3, "STATUS", "away")]), which)
    )
    assert len(parts) == 3
    header, *shown = lines(b"".join(parts))
    assert header == [*OURS, *HEADER]
    assert [line[0] for line in shown] == rows
    [errored] = [line for line in shown if line[0] == "3"]
    assert (errored[1], errored[-1], "away" in errored[2]) == ("errored", "extra", True)


@pytest.mark.parametrize("which", ["results", "errors"])
def test_a_file_without_rows_has_its_headings(which: ResultsKind) -> None:
    table, none = read(upload(HEADER)), outcomes().drop("problems")
    assert lines(b"".join(stream_parts(table, none, problems.build_frame(), which))) == [[*OURS, *HEADER]]
    assert read(write_xlsx(table, which)).file.headings == (*OURS, *HEADER)


# As a workbook (rule A2)


def write_xlsx(table: Table, which: ResultsKind, **by_row: str) -> bytes:
    """The file as a workbook. `r2="errored"` is the outcome of row 2."""
    target = io.BytesIO()
    write_workbook(target, table, outcomes(**by_row).drop("problems"), problems.build_frame(), which)
    return target.getvalue()


def test_the_cells_of_a_workbook_are_text_as_they_came() -> None:
    row = ["00031", "a@agency.example", "1E5", "=1+1", "+1", "-7", '="007"', "_x0041_"]
    table = read(upload([*HEADER, "", "X_OLD"], [*row, "", "o"], ROW))
    again = read(write_xlsx(table, "errors", r2="errored", r3="added"))
    assert again.file.format == "xlsx"
    assert again.file.headings == (*OURS, *HEADER, "", "X_OLD")
    assert again.original.row(0) == (2, "2", "errored", "", *row, "", "o")
    assert again.cells.select(column.field for column in REQUIRED).row(0) == tuple(row)
    assert not again.faults.height


def test_a_workbook_of_the_results_has_every_row() -> None:
    table = read(upload(HEADER, ROW, [], [*ROW[:5], "away", *ROW[6:]]))
    content = write_xlsx(table, "results", r2="added", r4="errored")
    again = read(content)
    assert again.original.select("0", "1").rows() == [("2", "added"), ("3", "skipped"), ("4", "errored")]
    with zipfile.ZipFile(io.BytesIO(content)) as workbook:
        sheet = workbook.read("xl/worksheets/sheet1.xml").decode()
    assert re.findall('<col min="([0-9]+)" max="([0-9]+)"', sheet) == [("1", str(len(OURS) + len(HEADER)))]


@pytest.mark.parametrize(
    ("cells", "codes"),
    [(ROW[:3], {"spreadsheet-damage"}), ([*ROW, "", "extra"], {"cell-count"}), (ROW, {"cell-count"})],
    ids=["required cells missing", "a cell too many", "only an ignored cell missing"],
)
def test_a_row_of_too_few_or_too_many_cells_is_an_error_again_in_a_workbook(cells: list[str], codes: set[str]) -> None:
    table = read(upload([*HEADER, "Shoe size"], cells, [*ROW, "44"]))
    again = read(write_xlsx(table, "errors", r2="errored", r3="added"))
    found = check.check(again, Vocabulary((Role(1, "Officer", frozenset()),))).problems
    assert set(found["code"]) == codes


@settings(max_examples=examples(60))
@given(st.lists(st.lists(st.one_of(_CELL, _PLAIN), min_size=8, max_size=8), min_size=1, max_size=4))
def test_any_text_comes_back_from_a_workbook_unchanged(rows: list[list[str]]) -> None:
    table = read(upload(HEADER, *rows))
    again = read(write_xlsx(table, "errors", **{f"r{number}": "errored" for number in table.cells["row"]}))
    assert not again.problems
    first, second = (one.cells.drop("row").rows() for one in (table, again))
    assert [[cell.strip(TRIMMED) for cell in row] for row in first] == [
        [cell.strip(TRIMMED) for cell in row] for row in second
    ]
