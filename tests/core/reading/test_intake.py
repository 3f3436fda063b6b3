"""Reading: what makes a table, and what refuses a file, with everything that is wrong with it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core.domain import problems
from musterbook.core.domain.columns import COLUMNS, REQUIRED
from musterbook.core.domain.problems import CATALOG, Level
from musterbook.core.domain.table import Table
from musterbook.core.reading.budget import FileLimits
from musterbook.core.reading.intake import ReadOptions, read
from musterbook.core.reporting.example_file import build_example
from tests.examples import examples

REQUIRED_NAMES = [column.heading for column in REQUIRED]
HEADER = ",".join(REQUIRED_NAMES)
ROW = "101,amelia@agency.example,7,Amelia,Reyes,Active,areyes,Officer"


def text(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{row}\r\n" for row in (header, *rows)).encode()


def list_refusals(content: bytes, options: ReadOptions | None = None) -> list[str]:
    """The codes that refuse a file."""
    table = read(content, options)
    assert table.problems
    assert not table.cells.height
    return [problem.code for problem in table.problems]


def taken(content: bytes, options: ReadOptions | None = None) -> Table:
    table = read(content, options)
    assert not table.problems, table.problems
    return table


def faults(table: Table) -> list[tuple[int, str, str]]:
    return [(fault.row, fault.code, fault.column) for fault in problems.list_problems(table.faults)]


def test_a_row_becomes_cells_by_column_with_the_row_that_a_spreadsheet_shows() -> None:
    table = taken(text(ROW))
    assert table.cells.rows(named=True) == [
        {"row": 2, **dict(zip([column.field for column in REQUIRED], ROW.split(","), strict=True))}
    ]
    assert table.rows == 1
    assert table.present == REQUIRED


def test_the_table_says_what_the_reader_learned_of_the_file() -> None:
    file = taken(text(f"{ROW};n", header=HEADER + ",NOTES").replace(b",", b";")).file
    assert (file.format, file.encoding, file.delimiter) == ("csv", "utf-8", ";")
    assert file.headings == (*REQUIRED_NAMES, "NOTES")
    assert file.mapped == {name: name for name in REQUIRED_NAMES}
    assert file.ignored == ("NOTES",)


def test_a_line_break_in_a_cell_does_not_change_the_numbers_of_rows() -> None:
    table = taken(text(ROW.replace("Amelia", '"Ame\nlia"'), ROW))
    assert table.cells["row"].to_list() == [2, 3]
    assert table.cells["first_name"].to_list() == ["Ame\nlia", "Amelia"]


def test_a_line_break_in_a_heading_does_not_change_the_numbers_of_rows() -> None:
    assert taken(text(ROW + ",x", header=HEADER + ',"MY\nNOTES"')).cells["row"].to_list() == [2]


def test_blank_rows_are_skipped_and_counted() -> None:
    table = taken(text(ROW, "", ",,,", " ,\u00a0,\u200b,\t,,,,", ROW))
    assert table.cells["row"].to_list() == [2, 6]
    assert table.skipped["row"].to_list() == [3, 4, 5]
    assert table.rows == 5
    assert not table.faults.height


def test_the_last_line_end_opens_no_row_and_may_be_missing() -> None:
    assert taken(text(ROW)).rows == taken(text(ROW).removesuffix(b"\r\n")).rows == 1


def test_a_row_that_holds_only_our_own_columns_is_blank() -> None:
    table = taken(text("7,errored,bad,,,,,,,,", "7,errored,bad," + ROW, header="X_ROW,X_RESULT,X_PROBLEMS," + HEADER))
    assert table.skipped["row"].to_list() == [2]
    assert table.cells["row"].to_list() == [3]
    assert not table.notes


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_example_rows_are_skipped_with_a_note(form: str) -> None:
    table = taken(build_example("xlsx" if form == "xlsx" else "csv"))
    assert table.present == COLUMNS
    assert table.cells.height == 0
    assert table.skipped["row"].to_list() == [2, 3, 4, 5]
    assert [note.code for note in table.notes] == ["example-rows"]


def test_a_user_who_took_an_example_row_over_is_no_example() -> None:
    assert taken(text(ROW.replace("101", "EXAMPLE-1"))).cells.height == 1


def test_a_short_row_is_a_fault_of_that_row_and_its_missing_cells_are_blank() -> None:
    table = taken(text(ROW, "102,b@agency.example"))
    assert faults(table) == [(3, "cell-count", "")]
    assert table.cells.row(1) == (3, "102", "b@agency.example", "", "", "", "", "", "")
    assert problems.list_problems(table.faults)[0].message == "Cells in the row: 2. Cells in the header row: 8."
    assert table.original.row(1) == (3, "102", "b@agency.example", None, None, None, None, None, None)


def test_blank_cells_beyond_the_header_are_no_fault() -> None:
    table = taken(text(ROW + ",,"))
    assert not table.faults.height
    assert not table.surplus


def test_a_cell_beyond_the_header_is_a_fault_and_is_kept() -> None:
    table = taken(text(ROW + ",,x"))
    assert faults(table) == [(2, "cell-count", "")]
    assert table.surplus == {2: ["", "x"]}


def test_a_delimiter_at_the_end_of_every_line_is_no_column() -> None:
    assert taken(text(ROW + ",", header=HEADER + ",")).file.headings == tuple(REQUIRED_NAMES)


@pytest.mark.parametrize("header", [HEADER + ",", HEADER.replace("EMAIL,", "EMAIL,,")])
def test_a_column_with_data_and_no_name_refuses_the_file(header: str) -> None:
    assert "blank-heading" in list_refusals(text(ROW + ",x", header=header))


def test_a_file_without_rows_is_read() -> None:
    assert taken(text()).rows == 0


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n \t\r\n"])
def test_an_empty_file_is_refused(content: bytes) -> None:
    assert list_refusals(content) == ["empty-file"]


def test_all_missing_columns_are_named_at_once_with_the_nearest_headings() -> None:
    header = HEADER.replace("BADGE_NUMBER", "BADGE_NO").replace("STATUS,", "")
    table = read(text(header=header))
    assert [(p.code, p.column) for p in table.problems] == [
        ("missing-column", "BADGE_NUMBER"),
        ("missing-column", "STATUS"),
    ]
    assert "“BADGE_NO”: did you mean BADGE_NUMBER?" in table.problems[0].message


def test_everything_wrong_with_a_file_is_said_in_one_answer() -> None:
    content = text(ROW + ",,x", header=HEADER.replace("ROLE", "EMAIL") + ",RANKS,")
    assert sorted(list_refusals(content)) == ["blank-heading", "duplicate-column", "missing-column", "misspelt-column"]
    broken = text('1,"a', header=HEADER.replace("ROLE", "RULES"))
    assert list_refusals(broken) == ["unclosed-quote", "missing-column"]


def test_a_file_whose_first_row_is_data_has_a_missing_header() -> None:
    table = read(text(ROW, header=ROW))
    assert [problem.code for problem in table.problems] == ["no-header"]
    assert "“101”" in table.problems[0].message
    assert all(name in table.problems[0].remedy for name in REQUIRED_NAMES)


@pytest.mark.parametrize(
    ("content", "code"), [(b"Roster\n", "no-header"), (b",,\nRoster\n", "no-header"), (b",,\n", "empty-file")]
)
def test_a_file_is_empty_only_if_it_has_neither_headings_nor_rows(content: bytes, code: str) -> None:
    assert list_refusals(content) == [code]


def test_a_header_row_further_down_is_pointed_to() -> None:
    """F12: the row is read as the header row. If a column is missing in it, the row is only pointed to."""
    table = read(text("as of Monday", "", HEADER, ROW, header="Roster"))
    assert (table.problems, table.file.header_row, table.cells["row"].to_list()) == ((), 4, [5])
    table = read(text("as of Monday", "", HEADER.replace("ROLE", "Rights"), ROW, header="Roster"))
    assert [problem.code for problem in table.problems] == ["headings-elsewhere", "missing-column"]
    assert "Row 4 seems to have the required headings." in table.problems[0].message


def test_a_header_row_with_another_delimiter_is_reported() -> None:
    table = read(text(ROW.replace(",", "^"), header=HEADER.replace(",", "^")))
    assert "other than comma, semicolon, tab and pipe" in table.problems[0].message


def test_a_file_past_a_limit_is_refused() -> None:
    many = text(*[ROW] * 3)
    assert list_refusals(many, ReadOptions(limits=FileLimits(rows=2))) == ["too-many-rows"]
    assert list_refusals(many.replace(b"7", b'"7"'), ReadOptions(limits=FileLimits(rows=2))) == ["too-many-rows"]
    assert list_refusals(many + b",\r\n", ReadOptions(limits=FileLimits(rows=2))) == ["too-many-rows"]
    assert list_refusals(many, ReadOptions(limits=FileLimits(bytes=100))) == ["file-too-large"]
    assert list_refusals(("," * 2000).join(REQUIRED_NAMES).encode()) == ["too-many-columns"]
    assert taken(many, ReadOptions(limits=FileLimits(rows=3))).rows == 3


def test_a_very_long_cell_is_a_fault_of_its_row_alone() -> None:
    table = taken(text(ROW, ROW.replace("Amelia", "A" * 10_001), ROW.replace("Amelia", "A" * 10_000)))
    assert faults(table) == [(3, "cell-too-long", "FIRST_NAME")]
    assert "10,001 characters" in problems.list_problems(table.faults)[0].message


def test_ids_are_text_and_nothing_is_inferred() -> None:
    ids = ["0300", "300", "1E5", "3-1", "TRUE", "null", "NA", "nan", "1.0", "#1", " x ", "-", "2024-01-01"]
    table = taken(text(*[ROW.replace("101", value) for value in ids]))
    assert table.cells["external_id"].to_list() == ids


def test_a_mapping_given_by_hand_names_the_column() -> None:
    content = text(ROW, header=HEADER.replace("BADGE_NUMBER", "Shield"))
    table = taken(content, ReadOptions(mapping={"shield": "badge number"}))
    assert table.file.mapped["Shield"] == "BADGE_NUMBER"
    assert table.cells["badge_number"].to_list() == ["7"]


def test_a_mapping_remembered_for_another_file_is_passed_over_and_one_given_for_this_one_is_not() -> None:
    mapping = {"Shield": "BADGE_NUMBER"}
    assert taken(text(ROW), ReadOptions(remembered=mapping)).rows == 1
    assert list_refusals(text(ROW), ReadOptions(mapping=mapping)) == ["unknown-mapping"]
    assert list_refusals(text(ROW), ReadOptions(mapping={"EMAIL": "MAIL"})) == ["unknown-mapping", "missing-column"]


def test_a_heading_can_be_ignored_by_hand() -> None:
    content = text(ROW + ",x", header=HEADER + ",RANKS")
    assert list_refusals(content) == ["misspelt-column"]
    assert not taken(content, ReadOptions(mapping={"RANKS": ""})).notes


def test_every_refusal_has_a_sentence_and_a_remedy() -> None:
    for kind in CATALOG.values():
        problem = problems.Problem(kind.code, 2, "EMAIL", "v", "d", "h")
        assert problem.message
        assert "{" not in problem.message + problem.remedy
        assert problem.remedy or kind.about is Level.NOTE


_LINES = st.lists(
    st.one_of(st.just(HEADER), st.just(ROW), st.text(max_size=30), st.text('",;\t|\r\n ab=é\0\x1a', max_size=30)),
    max_size=8,
)


def assert_complete(table: Table) -> None:
    """A table is whole: refused with sentences, or rows with every outcome accounted for."""
    for problem in (*table.problems, *table.notes, *problems.list_problems(table.faults)):
        assert problem.message
        assert json.dumps(problem.as_json())
    if not table.problems:
        numbers = table.cells["row"].to_list() + table.skipped["row"].to_list()
        assert sorted(numbers) == table.original["row"].to_list()
        assert not table.cells.null_count().sum_horizontal().sum()


@settings(max_examples=examples(150))
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf", HEADER.encode() + b"\n"]),
)
def test_no_bytes_raise(content: bytes, start: bytes) -> None:
    assert_complete(read(start + content))


@settings(max_examples=examples(150))
@given(_LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-16", "cp1252", "cp850"]))
def test_no_text_raises(lines: list[str], end: str, encoding: str) -> None:
    assert_complete(read(end.join([HEADER, *lines]).encode(encoding, "replace")))
    assert_complete(read(end.join(lines).encode(encoding, "replace")))


@settings(max_examples=examples(60))
@given(st.text(max_size=12), st.text(max_size=3), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_no_option_raises(encoding: str, delimiter: str, mapping: dict[str, str]) -> None:
    assert_complete(read(text(ROW), ReadOptions(encoding, delimiter, encoding, mapping)))


@pytest.mark.parametrize("blank", ["\u200e", "\u200f", "\u200b", "\xa0", " \u200e\t"])
def test_a_row_of_characters_that_are_trimmed_is_a_blank_row(blank: str) -> None:
    headings = [column.heading for column in REQUIRED]
    rows = [["1"] * len(headings), [blank] * len(headings), ["2"] * len(headings)]
    table = taken("\n".join(",".join(row) for row in (headings, *rows)).encode())
    assert (table.cells["row"].to_list(), table.skipped["row"].to_list()) == ([2, 4], [3])
