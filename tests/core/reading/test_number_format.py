"""Number formats: what a person sees of a number in a cell."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.reading.workbook.number_format import BUILT_IN, build_format, format_general, is_date, parse_number


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("General", "12.0", "12"),
        ("General", "0.1234567890123456", "0.123456789012346"),
        ("General", "1E-300", "1E-300"),
        ("General", "-0", "0"),
        ("00000", "7", "00007"),
        ("00000", "1234567", "1234567"),
        ("000\\-00\\-0000", "12345678", "012-34-5678"),
        ("(000) 000-0000", "2025550143", "(202) 555-0143"),
        ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", "2025550143", "2025550143"),
        ("#,##0.00_);(#,##0.00)", "-1234.5", "(1,234.50)"),
        ("#,##0", "999", "999"),
        ("0.##", "1.5", "1.5"),
        ("0.00", "2.675", "2.68"),
        ("0,", "12345", "12"),
        ("0%", "0.256", "26%"),
        ('"No. "0', "5", "No. 5"),
        ("[Red]0", "5", "5"),
        ("[Red]00000", "7", "00007"),
        ("[>5]00000", "7", "7"),
        ("[$€-407] 0", "5", "€ 5"),
        ("0;-0;;@", "0", "0"),
        ("00000;-00000;0;@", "7", "00007"),
        ("#", "0", "0"),
        ("# ?/?", "0.5", "0.5"),
        ("##0.0E+0", "12345678", "12345678"),
        ("d.m.yy", "1", "1900-01-01"),
        ("d.m.yy", "59", "1900-02-28"),
        ("d.m.yy", "61", "1900-03-01"),
        ("mmm-yy", "45352", "2024-03-01"),
        ("h:mm", "0.5", "12:00:00"),
        ("[h]:mm", "1.5", "1.5"),
        ("d.m.yy", "0", "1899-12-31"),
        ("d.m.yy", "60", "1900-02-28"),
        ("d.m.yy", "2958464", "9999-12-30"),
        ("d.m.yy", "2958465", "2958465"),
        ("m/d h:mm:ss", "45352.0000116", "2024-03-01 00:00:01"),
        ("s", "0.5", "12:00:00"),
        ("General", "1E-10", "0.0000000001"),
        ("General", "1E-11", "1E-11"),
        ("#,##0", "1234567", "1,234,567"),
        ("0,,", "12345678", "12"),
        ("0.0%", "0.256", "25.6%"),
        (",.0", "123", ".1"),
        (".00", "12.5", "12.50"),
        (".00", "0.5", ".50"),
        ('"$".00', "1234.5", "$1234.50"),
        ("%.0", "0.5", "%50.0"),
        ("0.0##", "1", "1.0"),
        ("0.0##", "1.25", "1.25"),
        ("0.0##0", "1.2", "1.2000"),
        ("0.?", "1", "1."),
        ("?0", "5", " 5"),
        ("0", "-5", "-5"),
        ("0;(0)", "-5", "(5)"),
        ("0;(0)", "0", "0"),
        ('0;(0);"none "0', "0", "none 0"),
        ('0;(0);"none "0', "3", "3"),
        ("0." + "0" * 29, "1", "1." + "0" * 29),
        ("0." + "0" * 30, "1", "1"),
        ("0" + "%" * 15, "1", f"1{'0' * 30}{'%' * 15}"),
        ("0" + "%" * 16, "1", "1"),
        ("[h]", "30", "30"),
        ("_-0", "5", " 5"),
        ("[>5]0", "5", "5"),
        ("yyyy", "-1", "-1"),
        ("yyyy", "9999999", "9999999"),
    ],
)
def test_a_number_is_shown_as_its_format_has_it(code: str, value: str, text: str) -> None:
    assert build_format(code)(Decimal(value)) == text


def test_dates_may_be_counted_from_1904() -> None:
    assert build_format("yyyy-mm-dd", from_1904=True)(Decimal(0)) == "1904-01-01"


def test_letters_in_quotation_marks_make_no_date() -> None:
    assert not is_date('"days" 0')
    assert not is_date("[Red]0")
    assert not is_date("General")
    assert is_date("[$-409]d\\-mmm;@")
    assert is_date("mm:ss")


def test_the_numbers_of_built_in_formats_are_those_of_the_standard() -> None:
    shown = {number: build_format(BUILT_IN[number])(Decimal(1)) for number in BUILT_IN}
    assert {number for number, text in shown.items() if text == "1900-01-01"} == {
        14, 15, 16, 17, 27, 28, 29, 30, 31, 34, 35, 36, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    }  # fmt: skip
    assert {number for number, text in shown.items() if text == "00:00:00"} == {18, 19, 20, 21, 32, 33, 45, 46, 47}
    assert {number: text for number, text in shown.items() if ":" not in text and "-" not in text} == {
        1: "1", 2: "1.00", 3: "1", 4: "1.00", 9: "100%", 10: "100.00%", 11: "1", 37: "1 ", 38: "1 ", 39: "1.00 ", 40: "1.00 ",
        48: "1", 49: "1",
    }  # fmt: skip
    assert shown[22] == "1900-01-01 00:00:00"


@pytest.mark.parametrize("text", ["1E399", "1E-399"])
def test_a_number_that_a_spreadsheet_holds_is_read(text: str) -> None:
    assert parse_number(text) == Decimal(text)


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "1E999999", "--1", "1E400", "1E-400"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number(text) is None


@given(st.integers(-(10**14), 10**14))
def test_a_whole_number_is_shown_whole(value: int) -> None:
    assert format_general(Decimal(value)) == str(value)
    assert format_general(Decimal(repr(float(value)))) == str(value)


@given(st.text('0#?.,%;"\\_*[]EyGmdhs@ -/', max_size=12), st.decimals(-(10**20), 10**20, allow_nan=False, places=4))
def test_no_format_raises(code: str, value: Decimal) -> None:
    assert isinstance(build_format(code)(value), str)


@pytest.mark.parametrize("code", ["0" + "%" * 500, "0." + "0" * 1000, "0" + "," * 500, "yyyy", "h:mm"])
@pytest.mark.parametrize("value", ["1E+399", "2958465.9999999", "2958464", "-1E-399"])
def test_no_format_and_number_beyond_measure_raises(code: str, value: str) -> None:
    for from_1904 in (False, True):
        assert build_format(code, from_1904=from_1904)(Decimal(value))
