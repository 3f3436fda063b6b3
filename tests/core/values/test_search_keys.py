"""Folding: what one word finds of another's spelling."""

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.values.search_keys import fold_text, fold_texts


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Müller", "muller"), ("Łukasz", "LUKASZ"), ("Søren", "soren"), ("Straße", "STRASSE"), ("ＡＮＮ", "ann"),
        ("Гео́ргий", "георгий"), ("Nuñez", "nunez"), ("Ólafur Þór", "olafur thor"), ("ﬁeld", "field"), ("İ", "i"),
        ("a\u200db", "ab"), ("Guðrún", "gudrun"), ("Æsa", "aesa"),
    ],
)  # fmt: skip
def test_case_and_accents_do_not_matter(written: str, same: str) -> None:
    assert fold_text(written) == fold_text(same)


def test_vowels_that_are_marks_matter() -> None:
    assert fold_text("कि") != fold_text("की")


@given(st.text(), st.text())
def test_a_part_of_a_text_is_a_part_of_it_folded(one: str, other: str) -> None:
    assert fold_text(one + other) == fold_text(one) + fold_text(other)
    assert fold_text(fold_text(one)) == fold_text(one)


@given(st.lists(st.text()))
def test_many_are_folded_like_each(texts: list[str]) -> None:
    assert fold_texts(pl.Series(texts, dtype=pl.String)).to_list() == [fold_text(text) for text in texts]


@given(st.text())
def test_no_accent_is_left(text: str) -> None:
    assert not any(map(unicodedata.combining, fold_text(text)))
