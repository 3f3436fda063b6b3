"""The difference between a plan and the one that was shown before, and the last import of the same source (rule A4)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class MovedUser:
    """A user whose outcome or values differ in two plans. The outcome is "" in a plan that does not have the user."""

    external_id: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The first users whose outcome or values differ in two plans, and the number of all."""

    users: Sequence[MovedUser] = ()
    total: int = 0


def list_moved(shown: models.Import, record: models.Import) -> Moved:
    """Return the users whose outcome or values in the plan of the import are not those of the plan shown before.

    Return none if one of the plans is no longer kept.
    """
    with suppress(PlanGone):
        found = _find_moved(_scan_parts(shown.number), _scan_parts(record.number))
        rows = found.head(_LISTED).rows()
        return Moved([MovedUser(user, before or "", now or "") for user, before, now in rows], found.height)
    return Moved()


def find_shown_before(record: models.Import) -> models.Import | None:
    """Return the import whose plan was shown before this one, and which this one takes the place of."""
    is_plan = bool(record.options.get("preview")) or record.state == "refused"
    return record.origin if is_plan and record.counts else None


_LOOKED_AT = 50
"""The most imports among which the last one of a source is looked for."""


def find_last_import(record: models.Import) -> models.Import | None:
    """Return the import of a file of the same source that was applied last before this one, or None.

    If there is one in the same mode, it is the last of those.
    """
    if record.kind != models.ImportKind.FILE:
        return None
    earlier = models.Import.objects.filter(
        agency=record.agency_id, kind=record.kind, state="applied", number__lt=record.number
    )
    source = record.options.get("source", "")
    latest = [one for one in earlier.order_by("-number")[:_LOOKED_AT] if one.options.get("source", "") == source]
    return next((one for one in latest if one.mode == record.mode), next(iter(latest), None))


def _describe_users(number: str, plan: Plan) -> list[str]:
    now = {name: part.lazy() for name, part in plan_files.make_parts(plan).items()}
    found = _find_moved(_scan_parts(number), now)
    if found.is_empty():
        return []
    texts = [f"{who} ({was or 'not concerned'} → {now or 'not concerned'})" for who, was, now in found[:_LISTED].rows()]
    more = [f"and {found.height - _LISTED:,} more"] if found.height > _LISTED else []
    return [f"Users: {', '.join([*texts, *more])}."]


def _scan_parts(number: str) -> dict[str, pl.LazyFrame]:
    return {name: plan_files.scan_part(number, name) for name in ("rows", *_CHANGES, *_OUTSIDE)}


def _find_moved(was: dict[str, pl.LazyFrame], now: dict[str, pl.LazyFrame]) -> pl.DataFrame:
    """Return `external_id`, `outcome` and `outcome_now` of the users whose outcome or values differ in two plans."""
    users = _list_outcomes(was).join(_list_outcomes(now), on="external_id", how="full", coalesce=True, suffix="_now")
    moved = users.filter(pl.col("outcome").ne_missing(pl.col("outcome_now")))
    others = [_compare_values(was[name], now[name], name) for name in _CHANGES]
    return pl.concat([moved, *others]).sort("external_id").collect()


def _list_outcomes(parts: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Return `external_id`, `outcome` of each user and each row with an external ID."""
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
