"""The difference between a plan as it was shown and as it is now (rule A4)."""

from contextlib import suppress

import polars as pl

from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.imports import plan_files
from musterbook.directory.imports.plan_files import PlanGone

_LISTED = 10
"""The number of users that a sentence names."""
_CHANGES = ("added", "updated")
_OUTSIDE = ("deactivated", "protected")
"""The parts of a plan with users that no row mentions."""


def describe_difference(shown: models.Import, plan: Plan) -> str:
    """Return the sentences that say what differs: the counts, and the first users, as far as the plan is still kept.

    A plan of an older version has no count of some harms, so nothing is said of those.
    """
    counts = [
        f"{name.replace('_', ' ')} {shown.counts[name]:,} → {number:,}"
        for name, number in plan.counts.items()
        if shown.counts.get(name, number) != number
    ]
    sentences = [f"Counts: {', '.join(counts)}."] if counts else []
    with suppress(PlanGone):
        sentences += _describe_users(shown.number, plan)
    return " ".join(sentences)


def _describe_users(number: str, plan: Plan) -> list[str]:
    now = {name: part.lazy() for name, part in plan_files.make_parts(plan).items()}
    was = {name: plan_files.scan_part(number, name) for name in ("rows", *_CHANGES, *_OUTSIDE)}
    users = _list_outcomes(was).join(_list_outcomes(now), on="external_id", how="full", coalesce=True, suffix="_now")
    moved = users.filter(pl.col("outcome").ne_missing(pl.col("outcome_now")))
    others = [_compare_values(was[name], now[name], name) for name in _CHANGES]
    found = pl.concat([moved, *others]).sort("external_id").collect()
    if found.is_empty():
        return []
    texts = [f"{who} ({was or 'not concerned'} → {now or 'not concerned'})" for who, was, now in found[:_LISTED].rows()]
    more = [f"and {found.height - _LISTED:,} more"] if found.height > _LISTED else []
    return [f"Users: {', '.join([*texts, *more])}."]


def _list_outcomes(parts: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Return `external_id`, `outcome` of each user and each row with an external id."""
    rows = parts["rows"].filter(pl.col("external_id") != "").select("external_id", pl.col("outcome").cast(pl.String))
    outside = [parts[name].select("external_id", outcome=pl.lit(name)) for name in _OUTSIDE]
    return pl.concat([rows, *outside]).unique("external_id", keep="first")


def _compare_values(was: pl.LazyFrame, now: pl.LazyFrame, outcome: str) -> pl.LazyFrame:
    """Return the users of one outcome whose values differ, in the form of the users whose outcome differs."""
    known = set(was.collect_schema().names())
    names = [name for name in now.collect_schema().names() if name in known and name != "row"]
    differing = now.select(names).join(was.select(names), on=names, how="anti", nulls_equal=True)
    both = differing.join(was.select("external_id"), on="external_id", how="semi")
    return both.select("external_id", outcome=pl.lit(outcome), outcome_now=pl.lit(f"{outcome} otherwise"))
