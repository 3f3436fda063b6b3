"""Passages: events of one link that follow each other and differ only in whom they are about.

The million events of an import are two or three passages. So whatever the trail is looked through by has its index here, and
costs an import nothing.
"""

from collections.abc import Iterable

import polars as pl

from musterbook.directory import models
from musterbook.directory.storage import frames

ALIKE: dict[str, type[pl.DataType]] = {
    "at": pl.String,
    "actor": pl.String,
    "through": pl.String,
    "kind": pl.String,
    "outcome": pl.String,
    "of_id": pl.Int64,
}
"""What the events of a passage have in common."""

PLACE: dict[str, type[pl.DataType]] = {"first": pl.Int64, "last": pl.Int64}
"""From which event to which it goes."""


def runs(events: pl.DataFrame, *also: str) -> pl.DataFrame:
    """The passages of events that stand in their order, as a frame of ALIKE, PLACE and `also`, in which they are alike too."""
    if "outcome" not in events.columns:
        events = events.with_columns(outcome=pl.lit(""))
    return _grouped(events.with_columns(first="id", last="id"), *also)


def joined(parts: Iterable[pl.DataFrame], *also: str) -> pl.DataFrame:
    """The passages of events that came in parts: where a part goes on with the passage before, they are one."""
    return _grouped(pl.concat(parts), *also).select(*ALIKE, *PLACE)


def _grouped(told: pl.DataFrame, *also: str) -> pl.DataFrame:
    run = pl.struct(*ALIKE, *also).rle_id().alias("run")
    grouped = told.select(*ALIKE, *PLACE, *also, run).group_by("run", maintain_order=True)
    return grouped.agg(pl.first(*ALIKE), pl.min("first"), pl.max("last"), pl.first(*also) if also else []).drop("run")


def write(agency: models.Agency, parts: Iterable[pl.DataFrame]) -> None:
    """Writes the passages of a link. In the transaction of its events."""
    told = joined(parts)
    ids = frames.new_ids(models.Passage, told.height)
    frames.insert(models.Passage, told.with_columns(id=ids, agency_id=pl.lit(agency.pk, pl.Int64)))


def stored(agency: models.Agency, after: int, until: int) -> pl.DataFrame:
    """The passages that begin after that event and not after the other, as a frame of ALIKE and PLACE."""
    listed = ", ".join(at() if name == "at" else f'"{name}"' for name in (ALIKE | PLACE))
    sql = (
        f"SELECT {listed} FROM {frames.table(models.Passage)}"
        ' WHERE agency_id = %s AND "first" > %s AND "first" <= %s ORDER BY "first"'
    )
    return frames.read(sql, [agency.pk, after, until], ALIKE | PLACE)


def at(prefix: str = "") -> str:
    """The time of an event or a passage as SQL for text, as the trail seals it."""
    if frames.on_postgres():
        return f"to_char({prefix}at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return f"CAST({prefix}at AS text)"
