"""Grids: rows of any width become columns, and what they take is counted."""

import pytest

from musterbook.core.reading.budget import OBJECT, Budget, FileLimits, limit_problems
from musterbook.core.reading.grid import Refusal
from musterbook.core.reading.grid_builder import GridBuilder


def _refusal(rows: list[tuple[int, list[str]]], left: int, *, width: int = 2) -> str:
    """What a grid of these rows says when it may take so many bytes."""
    budget = Budget(0)
    budget.left = left
    builder = GridBuilder(width, 10, budget)
    with pytest.raises(Refusal) as refused:
        for number, cells in rows:
            builder.add(number, cells)
        builder.rows()
    return refused.value.problems[0].message


def test_a_row_that_takes_too_much_is_named() -> None:
    assert "its rows down to row 3." in _refusal([(2, ["ab", ""]), (3, ["a", "b"])], 2 + 32 + 2 + 31)


def test_letters_that_take_more_bytes_than_counted_are_counted_with_the_last_row() -> None:
    many = "語" * 5_000
    assert "its rows down to row 7." in _refusal([(2, [many, ""]), (7, [many, ""])], 2 * (5_000 + 32) + 100)


def test_the_bytes_of_rows_are_counted_once() -> None:
    budget = Budget(0)
    budget.left = 3 * 33
    builder = GridBuilder(2, 10, budget)
    builder._chunk = 1
    for number in range(2, 5):
        builder.add(number, ["a", ""])
    assert builder.rows().rows() == [(2, "a", ""), (3, "a", ""), (4, "a", "")]
    assert budget.left == 0


def test_cells_beyond_the_headings_are_kept_if_one_is_not_blank_and_counted() -> None:
    budget = Budget(0)
    builder = GridBuilder(1, 10, budget)
    builder.add(2, ["a", "", " "])
    before = budget.left
    builder.add(3, ["a", "", "x"])
    assert before - budget.left >= OBJECT + 2 + 3 * 16
    builder.add(4, [])
    assert builder.surplus == {3: ["", "x"]}
    assert builder.rows().rows() == [(2, "a"), (3, "a"), (4, None)]


def test_a_grid_has_as_many_rows_as_the_limit_and_no_more() -> None:
    builder = GridBuilder(1, 2, Budget(0))
    builder.add(2, ["a"])
    builder.add(3, ["a"])
    with pytest.raises(Refusal):
        builder.add(4, ["a"])


def test_rows_of_many_columns_are_converted_in_smaller_chunks() -> None:
    assert [GridBuilder(width, 1, Budget(0))._chunk for width in (0, 50, 1_000, 2_000_000)] == [
        20_000,
        20_000,
        1_000,
        1,
    ]


def test_a_file_may_ask_for_sixty_four_megabytes_and_sixteen_times_its_size() -> None:
    budget = Budget(1024**2)
    budget.take(80 * 1024**2, "its rows")
    with pytest.raises(Refusal) as refused:
        budget.take(1, "its rows")
    assert "80 MB" in refused.value.problems[0].message


def test_reading_of_a_cell_stops_after_what_a_spreadsheet_or_the_limit_allows() -> None:
    assert (Budget(0).cell, Budget(0, 100).cell, Budget(0, 50_000).cell) == (32_768, 32_768, 50_001)


def test_the_limits_are_those_of_the_documentation() -> None:
    assert FileLimits() == FileLimits(bytes=512 * 2**20, rows=5_000_000, characters_in_cell=10_000)
    assert FileLimits().bytes == 536_870_912
    assert [limit_problems(size) for size in (1, 16_000_000, 32_000_000)] == [200_000, 200_000, 400_000]
    assert limit_problems(0) > 10**15
