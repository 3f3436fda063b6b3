"""The columns: what they say of themselves."""

from musterbook.core.domain.columns import COLUMNS, EXTERNAL_ID, KEYED


def test_the_columns_that_say_they_are_unique_are_those_that_are_compared() -> None:
    assert {column for column in COLUMNS if column.unique} == {EXTERNAL_ID, *KEYED}
