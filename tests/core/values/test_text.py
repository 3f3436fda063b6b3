"""The text of cells (rule C1)."""

import re
import unicodedata

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from musterbook.core.values import text

LETTERS = st.text(st.sampled_from("ab'=+-@\"é\u0301\u0338\u200b\u00a0 \t\n\u2028\u212b\ufb01<"), max_size=8)
TEXTS = LETTERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def clean(value: str) -> str:
    return str(text.clean(pl.Series([value]))[0])


def guard(value: str) -> str:
    return str(text.guard(pl.Series([value]))[0])


def trim_fully(value: str) -> str:
    """The value as it could be stored: a fixed point of trimming and composing."""
    while (again := unicodedata.normalize("NFC", value.strip(text.TRIMMED))) != value:
        value = again
    return value


@given(TEXTS.map(trim_fully))
@example("=1+1")
@example("'=1")
@example('="00123"')
@example('\'="00123"')
@example("'")
def test_cleaning_takes_off_what_guarding_put_on(value: str) -> None:
    assert clean(guard(value)) == value


@given(TEXTS.map(trim_fully))
def test_a_guarded_value_is_none_that_a_spreadsheet_runs(value: str) -> None:
    assert not guard(value).startswith(("=", "+", "-", "@"))


@given(TEXTS.map(lambda cell: unicodedata.normalize("NFC", cell)))
@example(" =1+1")
@example('="00123" ')
@example("'=1+1")
@example('="a""b"')
@example('="a"&B1')
def test_a_guarded_cell_is_read_as_before_and_is_none_that_a_spreadsheet_runs(cell: str) -> None:
    guarded = str(pl.select(text.guard_cell(pl.lit(cell))).item())
    assert clean(guarded) == clean(cell)
    bare = guarded.strip(text.TRIMMED)
    assert not bare.startswith(("=", "+", "-", "@")) or re.fullmatch('="([^"]|"")*"', bare)


@given(TEXTS.map(trim_fully).filter(lambda value: not value.startswith(("'", "="))))
def test_cleaning_leaves_text_without_guards_as_it_is(value: str) -> None:
    assert clean(value) == value


@given(TEXTS)
def test_clean_text_is_trimmed_and_composed(value: str) -> None:
    assert clean(value) == trim_fully(clean(value))


@given(st.lists(TEXTS, max_size=5))
def test_a_column_is_cleaned_and_guarded_as_its_cells_are(values: list[str]) -> None:
    series = pl.Series(values, dtype=pl.String)
    assert text.clean(series).to_list() == [clean(value) for value in values]
    assert text.guard(series).to_list() == [guard(value) for value in values]


def test_the_first_illegal_character_is_named_with_what_stands_before_it() -> None:
    assert text.name_illegal("\x07x") == "U+0007, a control character"
    assert text.name_illegal("a long name and then\nmore\t") == "a line break, after “ame and then”"
    assert text.name_character("ann\u200b\n") == "U+200B, zero width space, after “ann”"
