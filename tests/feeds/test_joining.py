"""Several CSV files become one (rule N1): their rows under one row of headings, or a problem that names the file."""

import csv
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.feeds import joining
from musterbook.feeds.joining import CannotJoin

pytestmark = pytest.mark.any_database
HEAD = b"EXTERNAL_ID,EMAIL\r\n"


def write(folder: Path, *contents: bytes) -> list[FileOnDisk]:
    parts = []
    for number, content in enumerate(contents, 1):
        path = folder / f"{number}.csv"
        path.write_bytes(content)
        parts.append(FileOnDisk(path, path.name, len(content), hashlib.sha256(content).hexdigest()))
    return parts


def join(folder: Path, *contents: bytes) -> bytes:
    joined: list[bytes] = []
    joining.join(write(folder, *contents), joined.append, lambda: None)
    return b"".join(joined)


def test_the_rows_of_all_files_follow_one_row_of_headings(tmp_path: Path) -> None:
    assert join(tmp_path, HEAD + b"1,a\r\n", HEAD + b"2,b\n", HEAD) == HEAD + b"1,a\r\n2,b\n"


@pytest.mark.parametrize(
    "other",
    [
        b"\xef\xbb\xbf" + HEAD + b"2,b\n", b"sep=,\r\n" + HEAD + b"2,b\n",
        HEAD.replace(b"\r\n", b"\n") + b"2,b\n", HEAD.replace(b"\r\n", b"\r") + b"2,b\n",
    ],
    ids=["byte order mark", "sep", "LF", "CR"],
)  # fmt: skip
def test_what_is_before_and_after_the_headings_does_not_matter(tmp_path: Path, other: bytes) -> None:
    assert join(tmp_path, HEAD + b"1,a\r\n", other) == HEAD + b"1,a\r\n2,b\n"


def test_the_byte_order_mark_of_the_first_file_stays(tmp_path: Path) -> None:
    bom = b"\xef\xbb\xbf"
    assert join(tmp_path, bom + HEAD + b"1,a\n", bom + HEAD + b"2,b\n") == bom + HEAD + b"1,a\n2,b\n"


def test_a_last_row_without_a_line_ending_gets_one(tmp_path: Path) -> None:
    assert join(tmp_path, HEAD + b"1,a", HEAD + b"2,b") == HEAD + b"1,a\r\n2,b"


@pytest.mark.parametrize("end", [b"2", b'2,"b', b'2,"b\r\nc'])
def test_a_file_that_was_cut_off_in_the_middle_of_a_row_is_refused(tmp_path: Path, end: bytes) -> None:
    with pytest.raises(CannotJoin, match=r"1\.csv ends in the middle of a row"):
        join(tmp_path, HEAD + b"1,a\r\n" + end, HEAD + b"3,c\r\n")


def test_whether_the_last_file_was_cut_off_is_left_to_the_import(tmp_path: Path) -> None:
    assert join(tmp_path, HEAD + b"1,a\n", HEAD + b"2") == HEAD + b"1,a\n2"


def test_a_row_in_several_lines_is_not_cut_off(tmp_path: Path) -> None:
    assert join(tmp_path, HEAD + b'1,"a\nb,c"', HEAD + b"2,b") == HEAD + b'1,"a\nb,c"\r\n2,b'


def test_files_with_other_headings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotJoin, match=r"2\.csv has other headings than 1\.csv"):
        join(tmp_path, HEAD + b"1,a\n", b"EMAIL,EXTERNAL_ID\nb,2\n")


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", HEAD.decode().encode("utf-16"), b"%PDF-1.7", b"\x00\x01" * 900])
def test_only_csv_files_are_joined(tmp_path: Path, content: bytes) -> None:
    if content.startswith(b"\x00"):
        with pytest.raises(CannotJoin):
            join(tmp_path, HEAD, content)
        return
    with pytest.raises(CannotJoin, match=r"1\.csv is not a CSV file"):
        join(tmp_path, content, HEAD)


def test_headings_that_never_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotJoin, match="no header row"):
        join(tmp_path, b'"' + b"x" * (1 << 18), HEAD)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.lists(st.tuples(TEXTS, TEXTS), max_size=6), min_size=1, max_size=4), st.sampled_from(["\r\n", "\n"]))
def test_joined_files_have_the_rows_of_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[str, str]]], end: str
) -> None:
    def make(rows: list[tuple[str, str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows([("EXTERNAL_ID", "EMAIL"), *rows])
        return text.getvalue().encode()

    joined = join(tmp_path_factory.mktemp("parts"), *map(make, parts))
    read = list(csv.reader(io.StringIO(joined.decode(), newline="")))
    assert read == [["EXTERNAL_ID", "EMAIL"], *([first, last] for part in parts for first, last in part)]
