"""Phone numbers (rule C8): what is settled over whole columns is what the library says of each number."""

from collections.abc import Iterator
from functools import cache
from random import Random

import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musterbook.core.values import phones
from tests.examples import examples

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
SEPARATORS = " .()-/\u00a0\u2010"


@pytest.fixture(autouse=True, scope="module")
def _each_number_is_read_once() -> Iterator[None]:
    """The library is asked about a number of a country once, however often the tests and `parse_numbers` do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phones, "parse_number", cache(phones.parse_number))
        yield


@cache
def numbers_of(region: str) -> list[str]:
    """The library's examples of each kind of number, all digits with the calling code first."""
    found = [phonenumbers.example_number_for_type(region, kind) for kind in range(11)]
    return [phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:] for number in found if number]


def full_numbers(code: int, chance: Random) -> list[str]:
    """Numbers of a calling code: examples, some with a slip, and any others."""
    known = [number for region in phonenumbers.region_codes_for_country_code(code) for number in numbers_of(region)]
    free = [f"{code}{''.join(chance.choices('0123456789', k=chance.randint(1, 14)))}" for _ in range(10)]
    slips = []
    for number in known[:40]:
        at = chance.randrange(len(number))
        slips.append(number[:at] + "".join(chance.choices("0123456789", k=chance.randint(0, 2))) + number[at + 1 :])
    return [*known, *slips, *free]


def as_written(full: str, code: int, chance: Random) -> str:
    """A number as people write it: with and without its calling code and a mark before it, and signs between."""
    start = chance.choice(["+", "00", "(+", "(", "", "", f"({code})", "0", "8", "011"])
    value = start + chance.choice([full, full.removeprefix(str(code))])
    for _ in range(chance.choice([0, 0, 1, 3])):
        at = chance.randint(0, len(value))
        value = value[:at] + chance.choice(SEPARATORS) + value[at:]
    return value


def assert_agreement(values: list[str], country: str) -> None:
    """What is settled at one look is what each number is read as alone; and all of them are."""
    written = pl.Series(values)
    read = [phones.parse_number(value, country) for value in values]
    quickly = phones.parse_quickly(written, country).to_list()
    settled = [
        (value, quick, one) for value, quick, one in zip(values, quickly, read, strict=True) if quick is not None
    ]
    assert [(value, quick) for value, quick, _ in settled] == [(value, one) for value, _, one in settled]
    assert phones.parse_numbers(written, country).to_list() == read


@pytest.mark.parametrize("country", ["", "US", "DE", "IT", "RU", "BR", "AX"])
def test_a_number_of_any_calling_code_that_is_settled_at_one_look_is_read_alike_alone(country: str) -> None:
    chance = Random(country)
    assert_agreement([as_written(full, code, chance) for code in CODES for full in full_numbers(code, chance)], country)


@pytest.mark.parametrize("region", REGIONS)
def test_numbers_of_every_region_are_read_alike_where_it_is_the_default(region: str) -> None:
    chance = Random(region)
    code = phonenumbers.country_code_for_region(region)
    assert_agreement([as_written(full, code, chance) for full in full_numbers(code, chance)[-40:]], region)


@settings(max_examples=examples(150))
@given(
    st.lists(st.text(st.sampled_from("0123456789+() -x;e"), max_size=14), max_size=8), st.sampled_from(["", "US", "GB"])
)
def test_any_text_is_read_alike_in_a_column_and_alone(values: list[str], country: str) -> None:
    assert_agreement([value for value in values if value] or ["0"], country)


@pytest.mark.parametrize(
    ("values", "country"),
    [
        (
            [
                "+12025550143",
                "0012025550143",
                "12025550143",
                "1 (202) 555-0143",
                "+442079460958",
                "447400123456",
                "+390612345678",
            ],
            "",
        ),
        (["2025550143", "(202) 555-0143", "12025550143", "447400123456", "+442079460958"], "US"),
        (["7400123456", "(20) 7946 0958", "447400123456", "+12025550143"], "GB"),
        (["512345678", "48512345678"], "PL"),
    ],
)
def test_common_numbers_are_settled_at_one_look(values: list[str], country: str) -> None:
    assert phones.parse_quickly(pl.Series(values), country).null_count() == 0


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
        ("4915123456789", "DE", "+4915123456789"),
        ("1202 555", "DE", "+491202555"),
        ("(44) 7400 123456", "", None),
        ("0171 1234567", "", None),
        ("+1-800-FLOWERS", "", None),
        ("+1 555 0143", "", None),
        ("+12025550143 / +12025550144", "", None),
    ],
)
def test_c8_how_a_number_is_read(value: str, country: str, stored: str | None) -> None:
    assert phones.parse_numbers(pl.Series([value]), country).to_list() == [stored]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("ask Bo", "It contains letters or signs that are not part of a phone number."),
        ("+1 555 0143", "Check the country code and the number of digits."),
        ("555-0143", ""),
    ],
)
def test_why_it_is_no_number_is_said_in_words(value: str, sentence: str) -> None:
    assert phones.explain_fault(value) == sentence
