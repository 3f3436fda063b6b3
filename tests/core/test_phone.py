"""Phone numbers (rule C8): what is settled over whole columns is what the library says of each number."""

import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core import phone

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
SEPARATORS = " .()-/\u00a0\u2010"


def digits(code: int) -> st.SearchStrategy[str]:
    """Full numbers of a calling code: those that the library knows as examples, with a slip, and any others."""
    known = [number for region in phonenumbers.region_codes_for_country_code(code) for number in examples(region)]
    free = st.text(st.sampled_from("0123456789"), min_size=1, max_size=14).map(lambda national: f"{code}{national}")
    if not known:
        return free
    slips = st.tuples(st.sampled_from(known), st.integers(0, 15), st.text(st.sampled_from("0123456789"), max_size=2))
    return free | st.sampled_from(known) | slips.map(lambda slip: slip[0][: slip[1]] + slip[2] + slip[0][slip[1] + 1 :])


def examples(region: str) -> list[str]:
    found = [phonenumbers.example_number_for_type(region, kind) for kind in range(11)]
    return [phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:] for number in found if number]


@st.composite
def written(draw: st.DrawFn, code: int) -> str:
    """A number as people write it: with and without its country code and a mark before it, and signs between."""
    full = draw(digits(code))
    national = full.removeprefix(str(code))
    start = draw(st.sampled_from(["+", "00", "(+", "(", "", f"({code})", "0", "8", "011"]))
    value = start + draw(st.sampled_from([full, national]))
    for sign in draw(st.lists(st.sampled_from(SEPARATORS), max_size=3)):
        at = draw(st.integers(0, len(value)))
        value = value[:at] + sign + value[at:]
    return value


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_number_settled_at_one_look_is_read_alike_alone(code: int, data: st.DataObject) -> None:
    own = [region for region in phonenumbers.region_codes_for_country_code(code) if region in REGIONS] or ["US"]
    country = data.draw(st.sampled_from(["", *own, "US", "DE", "IT", "RU", "BR"]))
    values = pl.Series(data.draw(st.lists(written(code), min_size=4, max_size=12)))
    read = [phone.number(value, country) for value in values]
    quickly = phone.quick(values, country).to_list()
    assert [quick for quick in quickly if quick] == [one for quick, one in zip(quickly, read, strict=True) if quick]
    assert phone.numbers(values, country).to_list() == read


@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_of_every_region_are_numbers_and_most_are_settled_at_one_look(region: str) -> None:
    known = examples(region)
    written = pl.Series([f"{mark}{number}" for mark in ("+", "00") for number in known])
    assert phone.numbers(written).to_list() == [phone.number(value) for value in written]
    settled = phone.quick(written)
    assert all(stored is None or stored in {f"+{number}" for number in known} for stored in settled)


@pytest.mark.parametrize(
    ("values", "country"),
    [
        (["+12025550143", "0012025550143", "12025550143", "1 (202) 555-0143", "+442079460958", "447400123456", "+390612345678"], ""),
        (["2025550143", "(202) 555-0143", "12025550143", "447400123456", "+442079460958"], "US"),
        (["7400123456", "(20) 7946 0958", "447400123456", "+12025550143"], "GB"),
        (["512345678", "48512345678"], "PL"),
    ],
)
def test_common_numbers_are_settled_at_one_look(values: list[str], country: str) -> None:
    assert phone.quick(pl.Series(values), country).null_count() == 0


@pytest.mark.parametrize(
    ("value", "country", "stored"),
    [
        ("", "US", ""),
        ("tel:+1-202-555-0143", "", "+12025550143"),
        ("(+44) 20 7946 0958", "", "+442079460958"),
        ("+44 (0)20 7946 0958", "", "+442079460958"),
        ("+390612345678", "", "+390612345678"),
        ("+1 202 555 0143 x7", "", "+12025550143;ext=7"),
        ("0171 1234567", "DE", "+491711234567"),
        ("447400123456", "DE", "+447400123456"),
        ("1202 555", "DE", "+491202555"),
        ("(44) 7400 123456", "", None),
        ("0171 1234567", "", None),
        ("+1-800-FLOWERS", "", None),
        ("+1 555 0143", "", None),
        ("+12025550143 / +12025550144", "", None),
    ],
)
def test_c8_how_a_number_is_read(value: str, country: str, stored: str | None) -> None:
    assert phone.numbers(pl.Series([value]), country).to_list() == [stored]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("ask Bo", "It holds letters or signs that no phone number has."),
        ("+1 555 0143", "There is no such country code, or its numbers have fewer or more digits."),
        ("555-0143", ""),
    ],
)
def test_why_it_is_no_number_is_said_in_words(value: str, sentence: str) -> None:
    assert phone.reason(value) == sentence
