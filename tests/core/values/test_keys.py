"""Keys: what values are compared by (rules M4 and C6)."""

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musterbook.core.values.keys import fold, make_key, make_keys

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@X.example", "aNN@x.EXAMPLE"),
        ("Straße", "STRASSE"),
        ("ﬁre", "FIRE"),
        ("Ａ１", "a1"),
        ("\u212b", "a\u030a"),
        ("ΣΑΣ", "σας"),
    ],
)
def test_m4_values_that_differ_by_case_or_form_alone_have_one_key(one: str, other: str) -> None:
    assert make_key(one) == make_key(other)


@pytest.mark.parametrize(("one", "other"), [("0300", "300"), ("ann", "änn"), ("a b", "ab"), ("1E5", "100000")])
def test_m4_other_values_have_other_keys(one: str, other: str) -> None:
    assert make_key(one) != make_key(other)


@given(TEXTS)
@example("\uab9b\u1fa5\u0306")  # folding brings forth what composes anew
@example("ﷺ" * 255)
@example("a" * 1001)
def test_the_key_of_a_key_is_itself_and_fits_an_index(value: str) -> None:
    assert make_key(make_key(value)) == make_key(value)
    assert len(make_key(value).encode()) <= 1000


@given(st.lists(st.none() | TEXTS | st.sampled_from(["Ann", "É", "a" * 1001, "é" * 600]), max_size=6))
def test_a_column_has_the_keys_of_its_values(values: list[str | None]) -> None:
    expected = [None if value is None else make_key(value) for value in values]
    assert make_keys(pl.Series(values, dtype=pl.String)).to_list() == expected


def test_long_values_that_differ_have_different_keys() -> None:
    assert make_key("é" * 600) != make_key("é" * 601)


def test_c6_names_are_compared_without_regard_to_white_space() -> None:
    assert fold(" Evidence \t technician") == fold("EVIDENCE\u00a0Technician")
