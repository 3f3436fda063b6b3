"""Likely encodings: what other encodings would read, in the note and in the refusal (rule F2)."""

import pytest

from musterbook.core.reading.csv import likely_encodings
from musterbook.core.reading.intake import ReadOptions, read
from tests.core.reading.test_encoding import roster


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1250", ["Dvořák", "Černák", "Novotný"]), ("cp1250", ["Wałęsa", "Kowalczyk"]), ("cp1250", ["Erdős", "Szűcs"]),
        ("cp1251", ["Иван", "Петров"]), ("koi8-r", ["Иван", "Петров"]), ("cp866", ["Иван", "Петров"]),
        ("cp1253", ["Γιώργος", "Παπαδόπουλος"]), ("cp1254", ["Yıldız", "Doğan"]), ("cp1255", ["יוסף", "כהן"]),
        ("cp1256", ["محمد", "علي"]), ("cp1257", ["Bērziņš", "Ozoliņš"]), ("cp932", ["田中", "鈴木"]), ("gbk", ["王伟", "张敏"]),
        ("big5", ["王偉", "張敏"]), ("cp949", ["김철수", "이영희"]), ("mac_roman", ["José", "Müller"]),
        ("cp850", ["García", "Müller"]), ("koi8-r", ["ИВАН", "ПЕТРОВ"]), ("cp866", ["ИВАН", "ПЕТРОВ"]),
        ("cp1251", ["ИВАН", "ПЕТРОВ"]), ("iso8859-5", ["ИВАН", "ПЕТРОВ"]), ("koi8-u", ["Ірина", "Єфименко", "Їжакевич"]),
        ("cp857", ["Doğan", "Yıldız", "İpek"]), ("cp852", ["Kučera"]), ("cp1251", ["њежић"]),
    ],
)  # fmt: skip
def test_the_likely_encoding_shows_how_it_reads_the_cells(encoding: str, names: list[str]) -> None:
    table = read(roster(names).encode(encoding))
    text = " ".join(problem.message for problem in (*table.problems, *table.notes))
    assert all(name in text for name in names if not name.isascii())


@pytest.mark.parametrize(
    ("encoding", "label", "names"),
    [
        ("cp1251", "Windows-1251 (Cyrillic)", ["ИВАН", "ПЕТРОВ"]),
        ("cp1251", "Windows-1251 (Cyrillic)", ["ЩЕРБАКОВ"]),
        ("cp1251", "Windows-1251 (Cyrillic)", ["ГЕОРГИ", "ДИМИТЪР", "СТОЯНКА", "ЙОРДАНКА", "МАРИЯ"]),
        ("cp1251", "Windows-1251 (Cyrillic)", ["МИЛОШ", "ЈОВАНОВИЋ", "ЉУБИЦА"]),
        ("cp1251", "Windows-1251 (Cyrillic)", ["Димитър", "СТОЯНКА", "мария"]),
        ("koi8-r", "KOI8-R (Cyrillic)", ["ИВАН", "ПЕТРОВ", "ГЕОРГИ", "ДИМИТЪР", "СТОЯНКА"]),
        ("cp1253", "Windows-1253 (Greek)", ["ΓΙΩΡΓΟΣ", "ΠΑΠΑΔΟΠΟΥΛΟΣ"]),
        ("cp1250", "Windows-1250 (Central European)", ["ŁUKASZ", "WAŁĘSA"]),
        ("cp852", "DOS 852 (Central European)", ["ŁUKASZ", "WAŁĘSA"]),
        ("mac_roman", "Mac Roman", ["GARCÍA", "MÜLLER"]),
        ("cp850", "DOS 850 (Western European)", ["GARCÍA", "MÜLLER"]),
        ("cp874", "Windows-874 (Thai)", ["สมชาย", "ใจดี", "วงศ์สุวรรณ"]),
        ("cp949", "EUC-KR (Korean)", ["김철수"]),
        ("euc_jp", "EUC-JP (Japanese)", ["さくら", "山本"]),
        ("gbk", "GBK (Chinese)", ["王伟", "柴焱"]),
        ("cp855", "DOS 855 (Cyrillic)", ["Ђорђе", "Јовановић", "Љубица"]),
        ("mac_turkish", "Mac Turkish", ["Yıldız", "Doğan", "İpek"]),
        ("cp775", "DOS 775 (Baltic)", ["Žukauskienė", "Kęstutis"]),
        ("cp720", "DOS 720 (Arabic)", ["محمد", "علي"]),
        ("iso8859-6", "ISO 8859-6 (Arabic)", ["محمد", "علي"]),
    ],
)
def test_a_refusal_names_the_right_encoding_first(encoding: str, label: str, names: list[str]) -> None:
    [problem] = read(roster(names).encode(encoding)).problems
    assert f"In {label}: " in problem.message
    assert problem.message.partition("In ")[2].startswith(label)
    assert names[0] in problem.message


@pytest.mark.parametrize(("encoding", "names"), [("gbk", ["王", "张"]), ("gbk", ["王"]), ("big5", ["王", "張"])])
def test_a_name_of_one_character_is_not_read_as_two_western_letters(encoding: str, names: list[str]) -> None:
    [problem] = read(roster(names).encode(encoding)).problems
    assert (problem.code, names[0] in problem.message) == ("doubtful-encoding", True)


@pytest.mark.parametrize("cell", ["§g", "«a", "¾¾", "Unit §g 5", "Ñí"])
def test_a_sign_that_may_be_one_chinese_character_is_no_evidence(cell: str) -> None:
    assert read(roster(["Ann", cell]).encode("cp1252")).cells["first_name"].to_list() == ["Ann", cell]


@pytest.mark.parametrize("encoding", ["cp866", "mac_cyrillic"])
def test_a_word_without_a_letter_of_ascii_is_in_no_latin_alphabet(encoding: str) -> None:
    """`ЮРИЙ` in DOS 866 has the bytes of `ûêàâ` in Mac Roman."""
    message = read(roster(["ЮРИЙ"]).encode(encoding)).problems[0].message
    assert "Cyrillic" in message
    assert not any(name in message for name in ("Turkish", "Baltic", "Mac Roman", "European"))


def test_a_mark_of_thai_follows_a_consonant() -> None:
    """Small Cyrillic letters of KOI8-R read as Thai begin words with vowel marks."""
    assert "Thai" not in read(roster(["юлия", "яна", "ангел"]).encode("koi8-r")).problems[0].message


@pytest.mark.parametrize(
    "names",
    [["Kraiø", "Søren"], ["José", "Muñoz", "Núñez"], ["Jürgen", "Weiß"], ["François", "Hélène"], ["25°C"], ["Ñí"]],
)
def test_western_names_are_shown_in_one_reading(names: list[str]) -> None:
    [note] = read(roster(names).encode("cp1252")).notes
    assert (note.code, "In " in note.message) == ("encoding", False)


def test_japanese_text_is_never_read_as_windows_1252() -> None:
    """F2: letters between quotation marks and control pictures are not text in any language."""
    table = read(roster(["Ann", "田中"]).encode("cp932"))
    [problem] = table.problems
    assert (problem.code, problem.column) == ("doubtful-encoding", "FIRST_NAME")
    assert "row 3" in problem.message and "In Shift JIS (Japanese): “田中”." in problem.message


def test_a_remembered_encoding_applies_to_what_it_can_read_and_is_not_utf_8() -> None:
    """F2: it is remembered like a mapping."""
    central, names = ReadOptions(remembered_encoding="windows-1250"), ["Dvořák", "Ann"]
    table = read(roster(names).encode("cp1250"), central)
    assert table.cells["first_name"].to_list() == names
    assert (
        "Windows-1250 (Central European), the encoding that is remembered. For example: “Dvořák”."
        in table.notes[0].message
    )
    assert read(roster(names).encode(), central).cells["first_name"].to_list() == names
    assert not read(roster(["Ann"]).encode(), central).notes
    for useless in ("utf-8", "klingon", "euc_kr"):
        found = read(roster(["José"]).encode("cp1252"), ReadOptions(remembered_encoding=useless))
        assert found.file.encoding == "windows-1252"
    plain = roster(["Dvořák"]).encode("utf-16-le")
    assert read(plain, ReadOptions(remembered_encoding="utf-16-le")).cells["first_name"].to_list() == ["Dvořák"]
    assert read(roster(["A\0n"]).encode(), ReadOptions(remembered_encoding="klingon")).problems[0].code == "nul-byte"


def test_an_encoding_without_a_label_has_its_own_name() -> None:
    assert [likely_encodings.get_label(name) for name in ("cp1250", "iso8859-2", "latin-1")] == [
        "Windows-1250 (Central European)", "ISO 8859-2 (Central European)", "latin-1",
    ]  # fmt: skip


def test_only_the_first_cells_of_a_large_file_are_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likely_encodings, "_MOST_CELLS", 1)
    assert "“Bj" in read(roster(["Bjørn"] * 20).encode("cp1252")).notes[0].message


def test_a_file_may_begin_with_a_letter_beyond_ascii() -> None:
    content = ("氏名," + roster(["Ann"])).encode("cp932")
    assert "In Shift JIS (Japanese): “氏名”." in read(content).problems[0].message


@pytest.mark.parametrize(("letters", "likely"), [("о", False), ("он", True)])
def test_a_single_letter_is_no_evidence_of_another_script(letters: str, likely: bool) -> None:
    assert ("Cyrillic" in likely_encodings.describe_likely(letters.encode("cp1251"))) is likely
