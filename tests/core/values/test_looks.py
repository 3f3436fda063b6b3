"""Values that look alike: the character that makes two of them differ (rule C13)."""

import polars as pl
import pytest

from musterbook.core.values.looks import explain_likeness, explain_pairs


@pytest.mark.parametrize(
    ("value", "other", "sentence"),
    [
        ("０0004", "00004", "Character 1 of “０0004” is U+FF10, fullwidth digit zero."),
        ("0000\u200b5", "00005", "Character 5 of “0000\u200b5” is U+200B, zero width space."),
        ("00006", "0000\u00ad6", "Character 5 of “0000\u00ad6” is U+00AD, soft hyphen."),
        ("P\u20111", "p-1", "Character 2 of “P\u20111” is U+2011, non-breaking hyphen."),
        ("a\u2013b\u2014c", "a\u2013b-c", "Character 4 of “a\u2013b\u2014c” is U+2014, em dash."),
    ],
)
def test_c13_the_character_and_its_position_are_named(value: str, other: str, sentence: str) -> None:
    assert explain_likeness(value, other) == sentence


@pytest.mark.parametrize(
    ("value", "other"), [("a", "a"), ("A", "a"), ("a", "b"), ("i@müller.example", "i@xn--mller-kva.example")]
)
def test_c13_values_that_do_not_look_alike_need_no_explanation(value: str, other: str) -> None:
    assert explain_likeness(value, other) == ""


def test_c13_of_many_pairs_only_those_that_look_alike_are_explained() -> None:
    values, others = pl.Series(["１", "ä", None, "a"]), pl.Series(["1", "b", "１", "a"])
    assert [bool(text) for text in explain_pairs(values, others)] == [True, False, False, False]
    assert explain_pairs(pl.Series(["a"]), pl.Series(["b"])).to_list() == [""]
