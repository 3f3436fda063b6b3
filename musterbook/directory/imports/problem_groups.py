"""The problems of an import's rows by kind, and the rows of one kind, from its plan or its stored data (A7)."""

from contextlib import suppress

import polars as pl
from django.db.models import Count, Min

from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting.groups import MOST, ProblemGroup, group_problems, make_groups
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


def list_group_rows(record: models.Import, code: str, column: str, value: str) -> list[int]:
    """Return the rows with that problem in that column, of that value. Return none if they are over MOST_CORRECTED."""
    entries = models.ImportProblem.objects.filter(
        of=record, row__gt=0, note=False, code=code, column=column, value=value
    )
    rows = list(entries.order_by("row").values_list("row", flat=True).distinct()[: MOST_CORRECTED + 1])
    return rows if len(rows) <= MOST_CORRECTED else []
