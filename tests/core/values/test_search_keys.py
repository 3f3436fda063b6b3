"""Folding: what one word finds of another's spelling."""

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.values.search_keys import folded, folded_all


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Müller", "muller"), ("Łukasz", "LUKASZ"), ("Søren", "soren"), ("Straße", "STRASSE"), ("ＡＮＮ", "ann"),
        ("Гео́ргий", "георгий"), ("Nuñez", "nunez"), ("Ólafur Þór", "olafur thor"), ("ﬁeld", "field"), ("İ", "i"),
        ("a\u200db", "ab"), ("Guðrún", "gudrun"), ("Æsa", "aesa"),
    ],
)  # fmt: skip
def test_case_and_accents_do_not_matter(written: str, same: str) -> None:
    assert folded(written) == folded(same)


def test_vowels_that_are_marks_matter() -> None:
    assert folded("कि") != folded("की")


@given(st.text(), st.text())
def test_a_part_of_a_text_is_a_part_of_it_folded(one: str, other: str) -> None:
    assert folded(one + other) == folded(one) + folded(other)
    assert folded(folded(one)) == folded(one)


@given(st.lists(st.text()))
def test_many_are_folded_like_each(texts: list[str]) -> None:
    assert folded_all(pl.Series(texts, dtype=pl.String)).to_list() == [folded(text) for text in texts]


@given(st.text())
def test_no_accent_is_left(text: str) -> None:
    assert not any(map(unicodedata.combining, folded(text)))
