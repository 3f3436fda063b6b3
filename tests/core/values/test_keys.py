"""Keys: what values are compared by (rules M4 and C6)."""

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musterbook.core.values.keys import fold, make_id_key, make_id_keys, make_key, make_keys

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
        ("P\u20111004", "p-1004"),
        ("1\u22122\u20133", "1-2-3"),
        ("10\u00ad07\u200b", "1007"),
        ("ida@Müller.example", "IDA@XN--MLLER-KVA.example"),
        ("i@a.xn--mller-kva.xn--p1ai", "i@a.müller.рф"),
        ("i@straße.example", "i@xn--strae-oqa.example"),
        ("i@müller\u3002example", "i@müller.example"),
    ],
)
def test_m4_values_that_differ_by_case_or_form_alone_have_one_key(one: str, other: str) -> None:
    assert make_key(one) == make_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0300", "300"),
        ("ann", "änn"),
        ("a b", "ab"),
        ("1E5", "100000"),
        ("\u00ad", ""),
        ("xn--mller-kva", "müller"),
        ("xn--mller-kva@a.example", "müller@a.example"),
        ("i@xn--99999999.example", "i@99999999.example"),  # encodes nothing
        ("i@xn--a-.example", "i@a-.example"),
    ],
)
def test_m4_other_values_have_other_keys(one: str, other: str) -> None:
    assert make_key(one) != make_key(other)


@given(TEXTS)
@example("\uab9b\u1fa5\u0306")  # folding brings forth what composes anew
@example("ﷺ" * 255)
@example("a" * 1001)
@example("a@xn--0.xn--a-.xn--99999999.xn--ls8h.xn--1ug")
@example("a@xn\u2013\u2013mller-kva.\u00adxn--mller-kva")
def test_the_key_of_a_key_is_itself_and_fits_an_index(value: str) -> None:
    assert make_key(make_key(value)) == make_key(value)
    assert len(make_key(value).encode()) <= 1000


@given(
    st.lists(
        st.none() | TEXTS | st.sampled_from(["Ann", "É", "i@xn--mller-kva.example", "P\u20111", "a" * 1001, "é" * 600]),
        max_size=6,
    )
)
def test_a_column_has_the_keys_of_its_values(values: list[str | None]) -> None:
    expected = [None if value is None else make_key(value) for value in values]
    assert make_keys(pl.Series(values, dtype=pl.String)).to_list() == expected


def test_long_values_that_differ_have_different_keys() -> None:
    assert make_key("é" * 600) != make_key("é" * 601)


def test_c6_names_are_compared_without_regard_to_white_space() -> None:
    assert fold(" Evidence \t technician") == fold("EVIDENCE\u00a0Technician")


def test_c6_a_role_with_another_dash_is_another_role() -> None:
    assert fold("Officer\u2013II") != fold("Officer-II")


@pytest.mark.parametrize(("one", "same"), [("０３００", True), ("03\u00ad00", True), ("300", False)])
def test_m4_an_external_id_is_compared_by_its_look(one: str, same: bool) -> None:
    assert (make_id_key(one) == "0300") == same


@given(TEXTS)
@example("ﷺ" * 255)
def test_m4_the_key_of_an_external_id_keeps_its_case_and_fits_an_index(value: str) -> None:
    key = make_id_key(value)
    assert make_id_key(key) == key
    assert len(key.encode()) <= 1000 or value.isascii()
    assert make_id_keys(pl.Series(["E-1", "e-1", value])).to_list() == ["E-1", "e-1", key]
