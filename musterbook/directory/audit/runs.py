"""Passages: consecutive events of one link that differ only in the user they are about.

The million events of an import are two or three passages. The indexes for browsing the trail are on passages, so they
cost an import nothing.
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
"""The columns that the events of a passage have in common."""

SPAN: dict[str, type[pl.DataType]] = {"first": pl.Int64, "last": pl.Int64}
"""The first and the last event of a passage."""


def find_passages(events: pl.DataFrame, *also: str) -> pl.DataFrame:
    """Return the passages of ordered events, as a frame of ALIKE, PLACE and `also`.

    The events of a passage have the same values in `also` too.
    """
    if "outcome" not in events.columns:
        events = events.with_columns(outcome=pl.lit(""))
    if events.height == 1:  # without a selection, which wakes other threads
        place = [events["id"].alias(name) for name in SPAN]
        return pl.DataFrame([*(events[name] for name in ALIKE), *place, *(events[name] for name in also)])
    return _group_events(events.with_columns(first="id", last="id"), *also)


def join_passages(parts: Iterable[pl.DataFrame], *also: str) -> pl.DataFrame:
    """Return the passages of events that were read in parts; join passages that continue from one part to the next."""
    parts = list(parts)
    grouped = parts[0] if len(parts) == 1 else _group_events(pl.concat(parts), *also)
    return grouped[[*ALIKE, *SPAN]]


def _group_events(events: pl.DataFrame, *also: str) -> pl.DataFrame:
    run = pl.struct(*ALIKE, *also).rle_id().alias("run")
    grouped = events.select(*ALIKE, *SPAN, *also, run).group_by("run", maintain_order=True)
    return grouped.agg(pl.first(*ALIKE), pl.min("first"), pl.max("last"), *([pl.first(*also)] if also else [])).drop(
        "run"
    )


def write_passages(agency: models.Agency, parts: Iterable[pl.DataFrame]) -> None:
    """Write the passages of a link, in the transaction of its events."""
    passages = join_passages(parts)
    ids = frames.new_ids(models.Passage, passages.height)
    agencies = pl.Series("agency_id", [agency.pk] * passages.height, dtype=pl.Int64)
    frames.insert(models.Passage, passages.hstack([ids, agencies]))


def read_passages(agency: models.Agency, after: int, until: int) -> pl.DataFrame:
    """Return the passages that begin after one event and not after the other, as a frame of ALIKE and PLACE."""
    selected = ", ".join(select_time() if name == "at" else f'"{name}"' for name in (ALIKE | SPAN))
    sql = (
        f"SELECT {selected} FROM {frames.table(models.Passage)}"
        ' WHERE agency_id = %s AND "first" > %s AND "first" <= %s ORDER BY "first"'
    )
    return frames.read_frame(sql, [agency.pk, after, until], ALIKE | SPAN)


def select_time(prefix: str = "") -> str:
    """Return the SQL for the time of an event or a passage as text, as the trail seals it."""
    if frames.on_postgres():
        return f"to_char({prefix}at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return f"CAST({prefix}at AS text)"
