"""The comparison of a plan with the one that was made again with fixes, to see whether anything else differs."""

from collections.abc import Collection

import polars as pl

from musterbook.directory import models
from musterbook.directory.imports import plan_files
from musterbook.directory.imports.plan_files import PlanGone

_OF_ROWS = ("added", "updated", "unchanged", "errored")
"""The parts of a plan that have a row of the file in each line."""
_OF_USERS = ("deactivated", "concerned")
"""The parts that must be the same, whatever was fixed: users who lose access, and users that the plan harms in another way."""


def is_only_fixed(shown: models.Import, again: models.Import, rows: Collection[int]) -> bool:
    """Return whether the plan `again` does what the plan `shown` did, and no more than also import the fixed rows.

    That is so if nothing else holds it, each of these rows had a problem and has none now, all other rows have the same
    effect, and nobody else loses access or is harmed. A fixed row that had no problem any more was shown with another effect.
    """
    if again.state != "previewed" or again.holds not in ([], shown.holds):
        return False
    try:
        was, now = ([_read(record, name) for name in (*_OF_ROWS, *_OF_USERS)] for record in (shown, again))
    except PlanGone:
        return False
    wrong_before, wrong = (set(parts[_OF_ROWS.index("errored")]["row"]) for parts in (was, now))
    fixed = wrong_before.intersection(rows)
    same = all(_is_same(_leave_out(a, fixed), _leave_out(b, fixed)) for a, b in zip(was, now, strict=True))
    return same and wrong.isdisjoint(rows)


def _read(record: models.Import, name: str) -> pl.DataFrame:
    return plan_files.scan_part(record.number, name).collect()


def _leave_out(part: pl.DataFrame, rows: Collection[int]) -> pl.DataFrame:
    """Return a part without these rows, in an order that depends on nothing else."""
    if "row" not in part.columns:
        return part.sort(pl.all())
    return part.filter(~pl.col("row").is_in(rows)).sort("row")


def _is_same(was: pl.DataFrame, now: pl.DataFrame) -> bool:
    return was.height == now.height and (was.is_empty() or was.equals(now))
