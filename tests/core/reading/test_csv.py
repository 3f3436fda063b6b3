"""The CSV readers: the exact one keeps the rules of quoting, and the quick one agrees or leaves the file alone."""

import csv
import io

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musterbook.core.reading.budget import FileLimits
from musterbook.core.reading.csv import exact as exact_reader
from musterbook.core.reading.csv import fast, reader
from musterbook.core.reading.csv.exact import BrokenQuote
from musterbook.core.reading.csv.reader import CsvOptions
from musterbook.core.reading.grid import HeaderRow, Refusal
from musterbook.core.reading.intake import ReadOptions, read
from tests.examples import examples

HEADER = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"
ROW = "1,a@agency.example,7,Ann,Lee,Active,alee,Officer"


def records(text: str, delimiter: str = ",") -> list[list[str]]:
    return [cells for _, cells in exact_reader.read_records(text.encode(), delimiter)]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
        ("", []),
        ('""', [""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a ""b"" c"', ['a "b" c']),
        ('""""', ['"']),
        ('"",', ["", ""]),
        ('"a\nb",c', ["a\nb", "c"]),
        ('"a\r\n\r\nb"', ["a\r\n\r\nb"]),
        ('"a\n""\n",b', ['a\n"\n', "b"]),
        ('5" pipe,b"', ['5" pipe', 'b"']),
        ('a"b"c', ['a"b"c']),
        ('a, "b, c" ,d', ["a", "b, c", "d"]),
        ('"b" \t,d', ["b", "d"]),
        (' "b,d', [' "b', "d"]),
        ("'a','b'", ["'a'", "'b'"]),
        ("a\x1cb\x85c\u2028d\x0be", ["a\x1cb\x85c\u2028d\x0be"]),
        ("\\,b", ["\\", "b"]),
    ],
)
def test_a_line_is_cut_into_its_cells(line: str, cells: list[str]) -> None:
    assert records(line) == ([cells] if line else [])
    assert records(f"{line}\r\nz") == [cells, ["z"]]


def test_blanks_after_a_quoted_cell_do_not_eat_a_tab_that_delimits() -> None:
    assert records('"a"\t\t"b"', "\t") == [["a", "", "b"]]


def test_line_ends_may_be_of_every_kind_in_one_file() -> None:
    assert records("a\nb\rc\r\nd\r\re") == [["a"], ["b"], ["c"], ["d"], [], ["e"]]


@pytest.mark.parametrize(
    ("text", "code", "row", "index"),
    [
        ('a,b\n1,"x\n2,y\n', "unclosed-quote", 2, 1),
        ('a,b\n1,"x\n2,y', "unclosed-quote", 2, 1),
        ('a,b\n1,"x\n2,"y"\n', "stray-quote", 2, 1),
        ('a,b\n1,2\n"Nadia "Bobby"",2\n', "stray-quote", 3, 0),
        ('a,b\n1,2\n"x""\n', "unclosed-quote", 3, 0),
        ('"', "unclosed-quote", 1, 0),
    ],
)
def test_a_broken_quotation_mark_is_found_where_it_was_opened(text: str, code: str, row: int, index: int) -> None:
    with pytest.raises(BrokenQuote) as raised:
        records(text)
    assert (raised.value.code, raised.value.row, raised.value.index) == (code, row, index)


def test_a_broken_quotation_mark_refuses_the_file_and_names_row_and_column() -> None:
    table = read(f'{HEADER}\n{ROW}\n2,b@agency.example,8,"Bo,Lee,Active,blee,Officer\n'.encode())
    assert table.problems[0].message == "The quotation mark opened in row 3, column FIRST_NAME, is never closed."
    table = read(f'{HEADER}\n2,b@agency.example,8,"Bo "B" Lee",Lee,Active,blee,Officer\n'.encode())
    assert "row 2, column FIRST_NAME" in table.problems[0].message


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("sep", ["", "sep={}\r\n", '"sep={}"\r\n', "SEP={}\n"])
def test_the_delimiter_is_detected_from_the_header_row_or_a_sep_line(delimiter: str, sep: str) -> None:
    cells = ROW.replace(",", delimiter).replace("Officer", '"A, B; C| D"')
    content = sep.format(delimiter) + HEADER.replace(",", delimiter) + "\n" + cells + "\n"
    table = read(content.encode())
    assert table.file.delimiter == delimiter
    assert table.cells.row(0) == (2, *ROW.split(",")[:-1], "A, B; C| D")


def test_commas_in_values_do_not_mislead_about_the_delimiter() -> None:
    content = HEADER.replace(",", ";") + "\n" + ROW.replace(",", ";").replace("Lee", "L, e, e, e, e, e, e, e, e") + "\n"
    assert read(content.encode()).cells["last_name"].to_list() == ["L, e, e, e, e, e, e, e, e"]


def test_a_delimiter_that_is_named_is_taken_and_one_that_is_none_is_refused() -> None:
    content = f"{HEADER}\n{ROW}\n".encode()
    assert read(content, ReadOptions(delimiter="comma")).rows == 1
    assert [p.code for p in read(content, ReadOptions(delimiter=";")).problems] == ["no-header"]
    assert [p.code for p in read(content, ReadOptions(delimiter="x")).problems] == ["unknown-delimiter"]
    assert [p.code for p in read(b"sep=x\n" + content).problems] == ["unknown-delimiter"]


def test_a_nul_byte_refuses_the_file_and_names_its_row() -> None:
    table = read(f'{HEADER}\n"1\n1",b\n1\0,b\n'.encode())
    assert [p.code for p in table.problems] == ["nul-byte"]
    assert "Row 3" in table.problems[0].message
    table = read(f"{HEADER}\n{ROW}\n".encode("utf-16-le"))
    assert "UTF-16 without a byte order mark" in table.problems[0].remedy


def quick(text: str, delimiter: str = ",") -> list[list[str]] | None:
    frame = fast.read_rows(text.encode(), delimiter, records(text, delimiter)[0])
    return None if frame is None else [list(row) for row in frame.iter_rows()]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n3,4",
        "a,b\n1,2\r\n3,4\n",
        'a,b\n"x,y","z ""q"""\n"",\n',
        '"a","b"\r\n"1","2"\r\n',
        "a,b\n ,\u00a0\n#,null\n",
        "a,b\n\x0b,\x85\n",
        'a,b\n1,2\n3,"4,""5"""',
        '"a,b",c',
    ],
)
def test_a_plain_file_is_read_quickly(text: str) -> None:
    assert quick(text) == records(text)[1:]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n\n3,4\n",
        "a,b\n1\n2,3,4\n",
        "a,b\n1,2,3\n4\n",
        "a,b\r1,2\r",
        'a,b\n1,"x\ny"\n',
        'a,b\n1,5"\n',
        'a,b\n1, "x"\n',
        'a,b\n"x" ,1\n',
        "a,b\n1,2\n\n",
        "a,b\n1,2\n\n3,4,",
        "a,b\r\n1,2\r\n3\r\n4,5,",
        'a,b\n1,2\n3\n4,"5,6",',
        '"a\nb",c\n1,2\n',
        "a\n1\n",
    ],
)
def test_a_file_that_is_not_proven_plain_is_left_to_the_exact_reader(text: str) -> None:
    assert quick(text) is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_that_lacks_a_cell_is_a_fault_even_if_the_last_one_has_a_cell_too_many(end: str) -> None:
    """Their numbers of delimiters add up."""
    short, long = "2,b@agency.example,8,Bo,Lee,Active,blee", "3,c@agency.example,9,Cy,Lee,Active,clee,Officer,"
    table = read(end.join([HEADER, ROW, short, long]).encode())
    assert table.faults.select("row", "code").rows() == [(3, "cell-count"), (4, "cell-count")]


_CELL = st.one_of(
    st.sampled_from(["", "a", '"', '""', '"x"', '"a,b"', '"a""b"', '"\n"', " ", ' "x"', "é", "#", "'", "\\", '"",""']),
    st.text('ab",;\n\r\t é\u2028', max_size=5),
)
_FILE = st.lists(st.lists(_CELL, min_size=1, max_size=4).map(",".join), min_size=1, max_size=6)


@settings(max_examples=examples(600))
@given(_FILE, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example(["a,b", '1,"x",y', "2"], "\n", True)
@example([",", "", ",,"], "\n", False)
@example(["a,", "a", 'a,"b,c",'], "\r\n", False)
def test_the_quick_reader_agrees_with_the_exact_one_on_all_that_it_takes(
    lines: list[str], end: str, last: bool
) -> None:
    text = end.join(["k,l", *lines]) + (end if last else "")
    try:
        exact = records(text)
    except BrokenQuote:
        assert fast.read_rows(text.encode(), ",", ["k", "l"]) is None
        return
    taken = quick(text)
    assert taken is None or taken == exact[1:]


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=6), min_size=2, max_size=4),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_as_it_was(
    rows: list[list[str]], delimiter: str, end: str, all_: bool
) -> None:
    target = io.StringIO(newline="")
    writer = csv.writer(
        target, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL if all_ else csv.QUOTE_MINIMAL
    )
    writer.writerows(rows)
    assert records(target.getvalue(), delimiter) == rows
    taken = quick(target.getvalue(), delimiter)
    assert taken is None or taken == rows[1:]


@settings(max_examples=examples(40))
@given(st.lists(st.tuples(st.sampled_from(["x", '"x,y"', '""']), st.sampled_from(["", "é", '"q"""'])), min_size=1))
def test_a_file_that_is_long_enough_for_several_threads_is_read_in_order(pattern: list[tuple[str, str]]) -> None:
    lines = [f"{i},{one},{other}" for i in range(600) for one, other in pattern]
    text = "\n".join(["a,b,c", *lines])
    assert quick(text) == records(text)[1:]


def test_many_rows_and_odd_ones_among_them_keep_their_numbers() -> None:
    lines = [ROW if number % 1000 else "" for number in range(2, 45_000)]
    table = read("\n".join([HEADER, *lines]).encode())
    assert table.skipped["row"].to_list() == list(range(1000, 45_000, 1000))
    assert table.original["row"].equals(pl.Series("row", range(2, 45_000), dtype=pl.UInt32))


@pytest.mark.parametrize("line", [",x" * 30_000, '"a"' + ",x" * 30_000])
def test_a_row_of_cells_without_end_refuses_the_file(line: str) -> None:
    table = read(f"{HEADER}\n{ROW}\n{line}\n".encode())
    assert [p.message for p in table.problems] == ["Row 3 has more than 20,000 cells."]


@pytest.mark.parametrize("first", ["", '"a"'])
def test_a_row_of_as_many_cells_as_a_row_may_have_is_a_fault_of_its_own(first: str) -> None:
    table = read(f"{HEADER}\n{ROW}\n{first}{',x' * 19_999}\n".encode())
    assert table.faults.select("row", "code").rows() == [(3, "cell-count")]
    table = read(f"{HEADER}\n{ROW}\n{first}{',x' * 20_000}\n".encode())
    assert [problem.code for problem in table.problems] == ["too-many-columns"]


def test_a_long_cell_full_of_delimiters_is_a_fault_of_its_row_alone() -> None:
    table = read(f"{HEADER}\n{ROW.replace('Ann', chr(34) + ',' * 150_000 + chr(34))}\n".encode())
    assert table.faults["code"].to_list() == ["cell-too-long"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","), ("a,b\r\n1,2", ","), ('"a","b"\n"1","2"\n', ","), ('a,b\n"x""y",2\n"",""\n', ","),
        ("a;b;c\n1;2;3\n;;\n", ";"), ('"a ""x""",b\n1,2\n', ","), ("é,b\n語,2\n", ","),
    ],
)  # fmt: skip
def test_a_plain_file_is_taken_by_the_quick_reader(text: str, delimiter: str) -> None:
    assert quick(text, delimiter) == records(text, delimiter)[1:]


@pytest.mark.parametrize(
    ("text", "row"), [("a,b\n\0,2\n", 2), ("a,\0\n1,2\n", 1), ("a,b\n1,2\n3,4\0", 3), ("sep=,\na,b\n1,\0\n", 2)]
)
def test_a_nul_byte_is_named_with_its_row(text: str, row: int) -> None:
    with pytest.raises(Refusal) as refused:
        reader.read_grid(text.encode(), FileLimits(), CsvOptions())
    [problem] = refused.value.problems
    assert (problem.code, f"ow {row} " in problem.message) == ("nul-byte", True)
    assert bool(refused.value.headings) is (row > 1)


@pytest.mark.parametrize(("zeros", "advised"), [(500, False), (501, True)])
def test_utf_16_without_a_mark_is_suggested_if_a_quarter_of_the_bytes_is_nul(zeros: int, advised: bool) -> None:
    content = b"a,b\n" + b"\0" * zeros + b"x" * (1_996 - zeros) + b"\0" * 5_000
    with pytest.raises(Refusal) as refused:
        reader.read_grid(content, FileLimits(), CsvOptions())
    assert ("UTF-16" in refused.value.problems[0].remedy) is advised


def test_a_problem_names_sixty_characters_of_a_heading_or_the_position_of_a_column_without_one() -> None:
    dialect = reader._Dialect(",", 0, HeaderRow(cells=("a", " ", "x" * 61)), offset=0)
    assert [reader._name_column(dialect, 2, at) for at in range(4)] == ["a", "2 (B)", "x" * 60, "4 (D)"]
    assert reader._name_column(dialect, 1, 0) == "1 (A)"


def test_three_cells_of_an_old_encoding_are_shown_each_once() -> None:
    names = ["M\xe4rz", "J\xe4n", "J\xe4n", "M\xe4r", "Z\xe4h"]
    content = ("a,b\n" + "".join(f"{name},x\n" for name in names)).encode("windows-1252")
    [note] = reader.read_grid(content, FileLimits(), CsvOptions()).notes
    assert "For example: “März”, “Jän”, “Mär”." in note.message
    wide = ("a,b\n" + "".join(f"x,{name}\n{name}y,x\n" for name in names)).encode("windows-1252")
    [note] = reader.read_grid(wide, FileLimits(), CsvOptions()).notes
    assert "For example: “Märzy”, “Jäny”, “Märy”." in note.message


def test_three_cells_with_letters_that_may_be_turkish_are_shown() -> None:
    content = "a,b\nDoðan,Þóra\nÝpek,Ayþe\n".encode("windows-1252")
    [note] = reader.read_grid(content, FileLimits(), CsvOptions()).notes
    assert "In Windows-1254 (Turkish): “Doğan”, “İpek”, “Şóra”." in note.message


@pytest.mark.parametrize("content", [b",,\n1,2,3\n", b"\n1,2,3\n"])
def test_a_blank_header_row_has_no_headings(content: bytes) -> None:
    grid = reader.read_grid(content, FileLimits(), CsvOptions())
    assert (grid.headings, grid.rows.columns, grid.surplus) == ((), ["row"], {2: ["1", "2", "3"]})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_between_quoted_headings_is_detected(delimiter: str) -> None:
    """With every other delimiter, the first quotation mark is closed in the wrong place."""
    content = delimiter.join(f'"{cell}"' for cell in HEADER.split(",")) + "\n"
    assert read(content.encode()).file.delimiter == delimiter


@pytest.mark.parametrize(("width", "good"), [(1_000, True), (1_001, False)])
def test_a_file_has_a_thousand_columns_at_most(width: int, good: bool) -> None:
    content = (",".join(["x"] * width) + "\n").encode()
    if good:
        assert len(reader.read_grid(content, FileLimits(), CsvOptions()).headings) == width
    else:
        with pytest.raises(Refusal, match="too-many-columns"):
            reader.read_grid(content, FileLimits(), CsvOptions())


@pytest.mark.parametrize("end", ["\n", "\n\n"])
def test_a_file_has_as_many_rows_as_the_limit_and_no_more(end: str) -> None:
    """Both readers count: a blank line takes the exact one."""
    content = f"a,b\n1,2\n3,4{end}".encode()
    rows = content.count(b"\n") - 1
    assert reader.read_grid(content, FileLimits(rows=rows), CsvOptions()).rows["row"].to_list()[:2] == [2, 3]
    with pytest.raises(Refusal, match="too-many-rows"):
        reader.read_grid(content, FileLimits(rows=rows - 1), CsvOptions())


@pytest.mark.parametrize("heading", ["x,y", "x\ny", 'x "y"'])
def test_a_heading_may_contain_what_a_quoted_cell_may_contain(heading: str) -> None:
    quoted = heading.replace('"', '""')
    grid = reader.read_grid(f'a,"{quoted}",b\n1,2,3\n'.encode(), FileLimits(), CsvOptions())
    assert (grid.headings, grid.rows.rows()) == (("a", heading, "b"), [(2, "1", "2", "3")])
