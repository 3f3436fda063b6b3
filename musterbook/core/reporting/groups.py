"""The problems of rows by kind: grouped by code, column and value, with the number of rows, most first (A7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from musterbook.core.checking import meanings
from musterbook.core.domain import problems
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.vocabulary import Vocabulary

MOST = 100
"""The maximum number of groups that are listed."""
MAPPABLE = ("invalid-status", "unknown-role", "unknown-rank", "unknown-group")
"""The problems of cells that should name something that the agency has. Such a value can be mapped (F13)."""

_KEYS = ("code", "column", "value")


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """The same problem in some rows: an example of it, the number of rows, and the agency's value nearest to the value."""

    problem: Problem
    rows: int
    suggestion: str = ""

    @property
    def can_map(self) -> bool:
        """Return whether the value can be mapped to one of the agency's."""
        return self.problem.code in MAPPABLE

    def as_json(self) -> dict[str, str | int]:
        """Return the group in the format of the command line's contract."""
        problem = self.problem
        return {
            "code": problem.code,
            "column": problem.column,
            "value": problem.value,
            "rows": self.rows,
            "suggestion": self.suggestion,
        }


def group_problems(found: pl.LazyFrame, words: Vocabulary) -> list[ProblemGroup]:
    """Return the groups of a frame of problems (SCHEMA) with the most rows, most first."""
    tally = (
        found.filter(pl.col("row") > 0)
        .group_by(_KEYS)
        .agg(pl.len().alias("rows"), pl.col("row").min(), pl.col("detail").first(), pl.col("hint").first())
    )
    first = {"rows": True} | dict.fromkeys(_KEYS, False)
    top = tally.top_k(MOST, by=[*first], reverse=[not most for most in first.values()])
    groups = top.sort([*first], descending=[*first.values()]).collect()
    return make_groups(list(zip(problems.list_problems(groups), groups["rows"], strict=True)), words)


def make_groups(tally: Sequence[tuple[Problem, int]], words: Vocabulary) -> list[ProblemGroup]:
    """Return the groups of a tally, each with its suggestion."""
    return [ProblemGroup(problem, rows, _suggest(problem, words)) for problem, rows in tally]


def _suggest(problem: Problem, words: Vocabulary) -> str:
    return meanings.suggest_value(problem.column, problem.value, words) if problem.code in MAPPABLE else ""
