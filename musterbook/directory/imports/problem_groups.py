"""The problems of an import's rows by kind, and the rows of one kind, from its plan or its stored data (A7)."""

from contextlib import suppress
from dataclasses import dataclass

import polars as pl
from django.db.models import Count, Min

from musterbook.core.domain import problems
from musterbook.core.domain.decisions import TAKEN
from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting.groups import MAPPABLE, MOST, ProblemGroup, group_problems, make_groups
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import plan_files

MOST_CORRECTED = 20_000
"""The most rows whose cells are corrected at once: each is stored with the options of the import."""


def list_groups(record: models.Import, plan: Plan | None = None) -> list[ProblemGroup]:
    """Return the problems of the import's rows by kind (A7), from the plan just made, or else from the stored data.

    The suggestions are names that the agency has now.
    """
    if plan:
        return group_problems(plan.problems.lazy(), plan.vocabulary)
    words = snapshot_queries.read_vocabulary(record.agency)
    with suppress(plan_files.PlanGone):
        stored = plan_files.scan_part(record.number, "problems").filter(~pl.col("note"))
        return group_problems(stored, words)
    keys = ("code", "column", "value")
    entries = models.ImportProblem.objects.filter(of=record, row__gt=0, note=False).order_by()
    tally = entries.values_list(*keys).annotate(
        rows=Count("pk"), at=Min("row"), details=Min("detail"), hints=Min("hint")
    )
    counted = [
        (Problem(code, row, column, value, detail, hint), rows)
        for code, column, value, rows, row, detail, hint in tally.order_by("-rows", *keys)[:MOST]
    ]
    return make_groups(counted, words)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem, as a page lists it: an example, the number of rows, and the number of different values.

    Values that should name something of the agency's are kinds of their own. Other values are one kind for each column.
    """

    group: ProblemGroup
    values: int = 1


def list_kinds(record: models.Import) -> list[ProblemKind]:
    """Return the problems of the import's rows by kind, most rows first, at most MOST."""
    with suppress(plan_files.PlanGone):
        return _make_kinds(record, _tally_plan(record))
    return _make_kinds(record, [*_tally_record(record, mappable=True), *_tally_record(record, mappable=False)])


_Tally = tuple[Problem, int, int]
"""An example of a problem, its number of rows, and its number of values."""


def _tally_plan(record: models.Import) -> list[_Tally]:
    releasable = (pl.col("code") == TAKEN) & pl.col("hint").str.contains(problems.RELEASE_ADVICE, literal=True)
    own_value = pl.when(pl.col("code").is_in(MAPPABLE)).then("value").otherwise(releasable.cast(pl.String))
    found = plan_files.scan_part(record.number, "problems").filter(~pl.col("note"), pl.col("row") > 0)
    keys = ["code", "column", "same"]
    tally = (
        found.with_columns(same=own_value)
        .group_by(keys)
        .agg(
            pl.len().alias("rows"),
            pl.col("value").n_unique().alias("values"),
            *(pl.col(name).sort_by("row").first() for name in ("value", "detail", "hint")),
            pl.col("row").min(),
        )
        .sort("rows", *keys, descending=[True, False, False, False])
        .head(MOST)
        .collect()
    )
    return [*zip(problems.list_problems(tally), tally["rows"], tally["values"], strict=True)]


def _tally_record(record: models.Import, *, mappable: bool) -> list[_Tally]:
    """Return the same from the stored problems: of cells that should name something, or of others."""
    entries = models.ImportProblem.objects.filter(of=record, row__gt=0, note=False).order_by()
    entries = entries.filter(code__in=MAPPABLE) if mappable else entries.exclude(code__in=MAPPABLE)
    keys = ("code", "column", "value") if mappable else ("code", "column")
    tally = entries.values(*keys).annotate(rows=Count("pk"), values=Count("value", distinct=True), example=Min("pk"))
    top = list(tally.order_by("-rows", *keys)[:MOST])
    examples = models.ImportProblem.objects.in_bulk([one["example"] for one in top])
    return [(_make_problem(examples[one["example"]]), one["rows"], one["values"]) for one in top]


def _make_problem(entry: models.ImportProblem) -> Problem:
    return Problem(entry.code, entry.row, entry.column, entry.value, entry.detail, entry.hint)


def _make_kinds(record: models.Import, tally: list[_Tally]) -> list[ProblemKind]:
    words = snapshot_queries.read_vocabulary(record.agency)
    first = sorted(tally, key=lambda one: (-one[1], one[0].code, one[0].column, one[0].value))[:MOST]
    groups = make_groups([(problem, rows) for problem, rows, _ in first], words)
    return [ProblemKind(group, values) for group, (_, _, values) in zip(groups, first, strict=True)]


def list_group_rows(record: models.Import, code: str, column: str, value: str | None) -> list[int]:
    """Return the rows with that problem in that column, of that value, or of any value for None.

    Return none if they are over MOST_CORRECTED.
    """
    of_value = {} if value is None else {"value": value}
    entries = models.ImportProblem.objects.filter(
        of=record, row__gt=0, note=False, code=code, column=column, **of_value
    )
    rows = list(entries.order_by("row").values_list("row", flat=True).distinct()[: MOST_CORRECTED + 1])
    return rows if len(rows) <= MOST_CORRECTED else []
