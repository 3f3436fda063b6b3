"""Encodings: every letter is read right, or the file is refused and says where."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musterbook.core.reading.csv import encoding
from musterbook.core.reading.intake import ReadOptions, read
from tests.examples import examples

HEADER = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"
NAMES = ["Björn", "Chloé", "García-López", "Muñoz", "Jürgen", "Søren", "François", "Ann"]


def roster(names: list[str]) -> str:
    rows = [f"{i},a{i}@agency.example,{i},{name},Lee,Active,u{i},Officer" for i, name in enumerate(names)]
    return "".join(f"{line}\r\n" for line in [HEADER, *rows])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_encodings_are_detected(encoding: str) -> None:
    names = [*NAMES, "Дарья", "健二", "𠮷野"]
    table = read(roster(names).encode(encoding))
    assert table.cells["first_name"].to_list() == names
    assert not table.notes


def test_utf_16_of_either_byte_order_is_read() -> None:
    assert read(b"\xfe\xff" + roster(NAMES).encode("utf-16-be")).cells["first_name"].to_list() == NAMES
    assert read(b"\xff\xfe" + roster(NAMES).encode("utf-16-le")).cells["first_name"].to_list() == NAMES


def test_windows_1252_is_read_with_a_note_that_shows_three_cells() -> None:
    table = read(roster(NAMES).encode("cp1252"))
    assert table.cells["first_name"].to_list() == NAMES
    assert [note.code for note in table.notes] == ["encoding"]
    assert "“Björn”, “Chloé”, “García-López”" in table.notes[0].message


TURKISH = ["Jürgen", "Zoë", "André", "Ayşe Yıldız", "Doğan", "İpek"]


def test_letters_that_may_be_turkish_are_shown_in_both_readings() -> None:
    table = read(roster(TURKISH).encode("cp1254"))
    assert table.notes[0].code == "encoding"
    assert (
        "For example: “Ayþe Yýldýz”, “Doðan”, “Ýpek”. In Windows-1254 (Turkish): “Ayşe Yıldız”, “Doğan”, “İpek”."
        in table.notes[0].message
    )
    named = read(roster(TURKISH).encode("cp1254"), ReadOptions(encoding="windows-1254"))
    assert named.cells["first_name"].to_list() == TURKISH


def test_letters_that_are_the_same_in_turkish_are_shown_in_one_reading() -> None:
    assert "Turkish" not in read(roster(NAMES).encode("cp1252")).notes[0].message
    icelandic = read(roster(["Ann-Zoë", "Þóra Davíðsdóttir"]).encode("cp1252"))
    assert icelandic.cells["first_name"].to_list() == ["Ann-Zoë", "Þóra Davíðsdóttir"]
    assert (
        "For example: “Þóra Davíðsdóttir”, “Ann-Zoë”. In Windows-1254 (Turkish): “Şóra Davíğsdóttir”."
        in icelandic.notes[0].message
    )


@pytest.mark.parametrize(
    "name",
    [
        "O’Brien", "“Bobby”", "HQ – North", "Nº 5", "25°C", "Café™", "l’Hôpital", "MUÑOZ", "José", "Œuvre", "Weiß", "€5",
        "°C", "25 °C", "Lab (5 °C)", "68 °F", "5–8 °C", "Cámara -5 °C", "½", "€", "™", "©", "§", "© 2026",
    ],
)  # fmt: skip
def test_what_western_languages_write_is_no_cause_for_doubt(name: str) -> None:
    assert read(roster([name]).encode("cp1252")).cells["first_name"].to_list() == [name]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp850", NAMES),
        ("cp437", ["Björn", "Chloé", "Muñoz"]),
        ("mac_roman", NAMES),
        ("cp1250", ["Świętosława"]),
        ("iso8859-2", ["Šťastný"]),
        ("cp1251", ["Иван"]),
        ("koi8-r", ["Иван"]),
        ("cp866", ["Пётр"]),
        ("cp1253", ["Γιώργος"]),
        ("cp932", ["佐藤", "健二"]),
        ("gbk", ["王伟"]),
        ("big5", ["李娜", "王偉"]),
        ("euc-kr", ["김철수"]),
        ("cp850", ["JoÃo"]),
        ("cp850", ["García"]),
        ("mac_roman", ["René"]),
    ],
)
def test_letters_of_another_encoding_are_never_stored_wrong(encoding: str, names: list[str]) -> None:
    content = roster(names).encode(encoding)
    assert [p.code for p in read(content).problems] in (["unreadable-byte"], ["doubtful-encoding"])
    named = read(content, ReadOptions(encoding=encoding))
    assert named.cells["first_name"].to_list() == names
    assert not named.notes


@pytest.mark.parametrize("name", ["°Chloe", "°C5", "A°C", "é°C", "–°C", "°Cé", "°K", "°N", "°c"])
def test_a_degree_sign_is_plausible_only_in_celsius_and_fahrenheit(name: str) -> None:
    """In Big5, other letters after the same byte make characters of names: `°K` is 袁."""
    content = roster(["°C", name]).encode("cp1252")
    assert [problem.code for problem in read(content).problems] == ["doubtful-encoding"]


@pytest.mark.parametrize("name", ["5 µg", "†Smith", "Yes…no", "A×B", "®Acme"])
def test_a_sign_in_doubt_says_that_it_may_be_right(name: str) -> None:
    """Other encodings have letters of names in its place, so it is not read unless the operator names Windows-1252."""
    content = roster([name]).encode("cp1252")
    [problem] = read(content).problems
    assert "probably not Windows-1252: row 2, column FIRST_NAME, would contain “" + name in problem.message
    assert f"If “{name}” is right, that is Windows-1252." in problem.remedy
    assert read(content, ReadOptions(encoding="windows-1252")).cells["first_name"].to_list() == [name]


def test_doubt_shows_what_would_have_been_read_and_where() -> None:
    table = read(roster(["Ann", "García"]).encode("cp850"))
    assert "row 3, column FIRST_NAME, would contain “Garc¡a”" in table.problems[0].message


def test_one_bad_byte_in_utf_8_refuses_the_file_and_is_not_read_as_windows_1252() -> None:
    content = roster(NAMES).encode() + b'9,"a\nb",9,Mu\xf1oz,Lee,Active,u9,Officer\r\n'
    table = read(content)
    assert [p.code for p in table.problems] == ["unreadable-byte"]
    assert (
        table.problems[0].message
        == "Row 10, column FIRST_NAME, contains a byte that is not valid in the encoding utf-8."
    )


def test_a_character_cut_off_at_the_end_refuses_the_file() -> None:
    for cut in ("é".encode()[:1], "健".encode()[:2], "𠮷".encode()[:3]):
        assert [p.code for p in read(roster(["Ann"]).encode().rstrip() + cut).problems] == ["unreadable-byte"]
    assert [p.code for p in read(roster(NAMES).encode("utf-16")[:-1]).problems] == ["unreadable-byte"]


def test_a_named_encoding_that_does_not_fit_or_does_not_exist_refuses_the_file() -> None:
    content = roster(NAMES).encode("cp1252")
    assert [p.code for p in read(content, ReadOptions(encoding="utf-8")).problems] == ["unreadable-byte"]
    assert [p.code for p in read(content, ReadOptions(encoding="rot13")).problems] == ["unknown-encoding"]
    assert [p.code for p in read(content, ReadOptions(encoding="klingon")).problems] == ["unknown-encoding"]
    assert read(content, ReadOptions(encoding="latin-1")).cells["first_name"].to_list() == NAMES
    assert [encoding.is_known(name) for name in ("cp1252", "latin-1", "klingon", "rot13")] == [True, True, False, False]


def test_a_byte_order_mark_counts_for_more_than_a_named_encoding() -> None:
    content = roster(NAMES).encode("utf-8-sig")
    assert read(content, ReadOptions(encoding="windows-1252")).cells["first_name"].to_list() == NAMES


def test_an_unreadable_heading_is_reported_with_its_position() -> None:
    table = read(HEADER.encode() + b",Gr\xa1n\r\n")
    assert "row 1, column 9 (I)" in table.problems[0].message


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"\x81,x\n1,2\n", "Row 1, column 1 (A), "),
        (HEADER.encode() + b"\r\n\x81,x\r\n", "Row 2, column EXTERNAL_ID, "),
        (HEADER.encode() + b"\r\n1,\x81\r\n", "Row 2, column EMAIL, "),
    ],
)
def test_an_unreadable_byte_is_reported_with_its_row_and_column(content: bytes, place: str) -> None:
    problem = read(content).problems[0]
    assert (problem.code, problem.message.partition("contains")[0]) == ("unreadable-byte", place)


@settings(max_examples=examples(300))
@example(b"\xff", 1)
@given(st.lists(st.binary(max_size=8) | st.text(max_size=6).map(str.encode)).map(b"\n".join), st.integers(1, 12))
def test_bytes_are_looked_at_piece_by_piece_as_they_would_be_at_once(content: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_CHUNK", piece)
        assert _found(lambda: encoding._check_utf8(content)) == _found(content.decode)


def _found(read: Callable[[], object]) -> str | None:
    """The text before the first bad byte, None where there is none."""
    try:
        read()
    except UnicodeDecodeError as error:
        return error.object[: error.start].decode()
    except encoding.UnreadableText as error:
        return error.before
    return None
