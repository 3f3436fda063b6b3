"""Values that a spreadsheet or a program has damaged (C12)."""

import polars as pl
import pytest

from musterbook.core.values import damaged_text


def judge(test: str, value: str, was: str) -> bool:
    frame = pl.DataFrame({"value": [value], "was": [was]})
    rule = getattr(damaged_text, test)(pl.col("value"), pl.col("was"))
    return bool(frame.select(rule).item())


@pytest.mark.parametrize(
    "value",
    ["FarrÃ³w", "Farr√≥w", "Farr├│w", "FarrÃƒÂ³w"],
)
def test_text_that_was_decoded_once_too_often_is_damaged(value: str) -> None:
    assert damaged_text.find_fault(value, "Farrów") == "it was decoded once too often, and should be “Farrów”"


@pytest.mark.parametrize(
    ("value", "was"), [("Ãngela", "Ángela"), ("NicolÃ", "Nicolà"), ("Ð˜Ð²Ð°Ð½", "Иван"), ("å±±ç”°", "山田")]
)
def test_it_is_damaged_too_where_characters_were_lost_since(value: str, was: str) -> None:
    assert "decoded once too often" in damaged_text.find_fault(value, was)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("ClÃ©o", "Cléo"),
        ("Oâ€™Neil", "O’Neil"),
        ("Â±±Áî∞", "山田"),
        ("M├╝ller", "Müller"),
        ("山田たろう".encode().decode("latin-1"), "山田たろう"),
    ],
)
def test_without_a_stored_value_the_characters_tell_that_it_was_decoded_too_often(value: str, means: str) -> None:
    assert damaged_text.undo_decoding(value, "") == means


@pytest.mark.parametrize(
    "value",
    ["Ângela", "O’Neil", "LÍŠKA", "ANDRÉ’S", "Åse", "Ñáñez", "Gößner", "Jean–Émile", "Úšov", "Иванов", "山田", "Ann"],
)
def test_names_of_any_language_are_not_taken_for_damage(value: str) -> None:
    assert damaged_text.find_fault(value, "") == ""
    assert damaged_text.find_fault(value, "Someone") == ""


def test_text_that_was_decoded_many_times_is_recognized() -> None:
    value = "é"
    for _ in range(3):
        value = value.encode().decode("cp1252")
    assert "decoded once too often" in damaged_text.find_fault(f"Cl{value}o", "")


def test_a_value_that_was_damaged_before_may_change() -> None:
    assert damaged_text.find_fault("ClÃ©o-Marie", "ClÃ©o") == ""
    assert damaged_text.find_fault("Cléo", "ClÃ©o") == ""


@pytest.mark.parametrize(
    ("value", "was"),
    [
        ("?l?", "Eli"),
        ("M?ller", "Müller"),
        ("M??LLER", "Müller"),
        ("Jose?", "José"),
        ("M¿ller", "Müller"),
        ("??", "山田"),
    ],
)
def test_letters_that_became_question_marks_are_damaged(value: str, was: str) -> None:
    assert damaged_text.find_fault(value, was) == "letters became question marks"


@pytest.mark.parametrize(
    ("value", "was"),
    [("Room 5?", "Room 5"), ("Room ?", "Room 5"), ("Why? Müller", "Why? Muller"), ("Who?", "HQ"), ("A??", "A?b")],
)
def test_a_question_mark_of_its_own_is_not_damage(value: str, was: str) -> None:
    assert damaged_text.find_fault(value, was) == ""


@pytest.mark.parametrize(
    ("value", "was"), [("“Eli”", "Eli"), ("‘Eli’", "Eli"), ("El“i", "Eli"), ("„Eli“", "ELI"), ("«Eli»", "Eli")]
)
def test_curly_quotes_around_or_in_a_value_are_damage(value: str, was: str) -> None:
    assert damaged_text.find_fault(value, was) == "quotation marks were put around or into it"


@pytest.mark.parametrize(("value", "was"), [("O’Grant", "O'Grant"), ("O’Brien", "OBrien"), ("“Bud” Smith", "Smith")])
def test_an_apostrophe_and_a_nickname_are_not_damage(value: str, was: str) -> None:
    assert damaged_text.find_fault(value, was) == ""


@pytest.mark.parametrize(
    ("value", "was"),
    [("O&#39;Grant", "O'Grant"), ("R &amp; E", "R & E"), ("R &amp;amp; E", "R & E"), ("&quot;Eli&quot;", "Eli"),
     ("&ldquo;Eli&rdquo;", "Eli"), ("Jos&eacute;", "José"), ("Eli&nbsp;", "Eli")],
)  # fmt: skip
def test_codes_of_web_pages_are_damage(value: str, was: str) -> None:
    assert "codes of web pages" in damaged_text.find_fault(value, was)


def test_an_ampersand_is_not_damage() -> None:
    assert damaged_text.find_fault("AT&T; Floor 2", "AT T") == ""
    assert damaged_text.find_fault("A &amp; C", "A & B") == ""


@pytest.mark.parametrize(("value", "was", "lost"), [
    ("302", "0302", True), ("0", "000", True), ("0302", "00302", True), ("01004", "1004", False), ("303", "0302", False),
    ("A12", "0A12", False), ("0302", "0302", False), ("", "000", False),
])  # fmt: skip
def test_leading_zeros_are_lost(value: str, was: str, lost: bool) -> None:
    assert judge("loses_zeros", value, was) is lost


@pytest.mark.parametrize(("value", "was", "gained"), [
    ("1004.0", "1004", True), ("1004,0", "1004", True), ("1004,", "1004", True), ("1,004", "1004", True),
    ("1.004", "1004", True), ("1,00,004", "100004", True), ("302.0", "0302", True), ("1,004.00", "1004", True),
    ("10.04", "1004", False), ("1005.0", "1004", False), ("HQ, 2", "2", False), ("1004", "1004", False),
])  # fmt: skip
def test_a_number_gains_decimals_or_separators(value: str, was: str, gained: bool) -> None:
    assert judge("gains_decimals", value, was) is gained


@pytest.mark.parametrize(("value", "was", "date"), [
    ("1-Mar", "3-1", True), ("Mar-05", "1005", True), ("01/03/2026 00:00", "1006", True), ("3-Mrz-24", "3-1", True),
    ("2024-03-01 00:00:00", "3-1", True), ("2024-03-01T00:00:00Z", "3-1", True), ("March 1, 2024", "3-1", True),
    ("1. Mrz", "3-1", True), ("1.3.2024", "3-1", True), ("1-mars", "3-1", True), ("3/1/24", "3-1", True),
    ("Friday, March 1, 2024", "3-1", True), ("2 Main", "Station 2", False), ("12-05", "3-1", False),
    ("2024-001", "3-1", False), ("1-Mar", "HQ", False), ("1-Mar", "2-Mar", False), ("1 Marina", "Pier 1", False),
])  # fmt: skip
def test_a_value_with_digits_becomes_a_date(value: str, was: str, date: bool) -> None:
    assert judge("becomes_date", value, was) is date
