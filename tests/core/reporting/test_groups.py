"""The problems of rows by kind (A7)."""

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.problems import Problem
from musterbook.core.reporting.groups import MOST, ProblemGroup, group_problems
from tests.core.cast import WORDS


def group(*found: Problem) -> list[ProblemGroup]:
    return group_problems(problems.build_frame(found).lazy(), WORDS)


def rank(row: int, value: str) -> Problem:
    return Problem.of("unknown-rank", row, "RANK", value, suggestion="")


def test_problems_are_grouped_by_code_column_and_value_with_the_most_rows_first() -> None:
    """A7."""
    groups = group(
        rank(7, "Sargent"), rank(3, "Sargent"), rank(2, "Cap'n"), Problem.of("required", 4, "ROLE"),
        Problem.of("required", 5, "ROLE"), Problem.of("required", 6, "ROLE"), Problem.of("required", 6, "EMAIL"),
    )  # fmt: skip
    assert [entry.as_json() for entry in groups] == [
        {"code": "required", "column": "ROLE", "value": "", "rows": 3, "suggestion": ""},
        {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "rows": 2, "suggestion": "Sergeant"},
        {"code": "required", "column": "EMAIL", "value": "", "rows": 1, "suggestion": ""},
        {"code": "unknown-rank", "column": "RANK", "value": "Cap'n", "rows": 1, "suggestion": "Captain"},
    ]
    assert [entry.problem.row for entry in groups] == [4, 3, 6, 2]
    assert [entry.can_map for entry in groups] == [False, True, False, True]


def test_problems_of_the_file_are_no_problems_of_rows() -> None:
    assert group(Problem.of("empty-file")) == []


def test_of_very_many_groups_those_with_the_most_rows_are_listed() -> None:
    """The number of groups is bounded, and a frame of a million problems is grouped in columns."""
    number = 1_000_000
    found = pl.DataFrame(
        {"row": range(2, number + 2), "value": [f"v{row % 400_000}" for row in range(number)]},
        schema={"row": pl.UInt32, "value": pl.String},
    )
    frame = problems.flag_rows(found, "unknown-rank", column="RANK", value=pl.col("value"), suggestion="")
    groups = group_problems(frame.lazy(), WORDS)
    assert len(groups) == MOST
    assert {entry.rows for entry in groups} == {3}
    assert [entry.problem.value for entry in groups] == sorted(entry.problem.value for entry in groups)
