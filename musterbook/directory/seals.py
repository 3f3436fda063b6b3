"""How the trail is sealed: the text of an event, and the digest that covers it and all before it."""

import hashlib

import polars as pl

from musterbook.directory import models

SEALED = {
    "id": pl.Int64,
    "agency_id": pl.Int64,
    "at": pl.String,
    "actor": pl.String,
    "through": pl.String,
    "address": pl.String,
    "kind": pl.String,
    "subject_id": pl.Int64,
    "subject_external_id": pl.String,
    "of_id": pl.Int64,
    "row": pl.Int64,
    "changes": pl.String,
}
"""The columns of an event, all of which its link seals."""

ALSO = {"agent": pl.String, "outcome": pl.String}
"""Columns that most events leave empty: sealed where they are not."""

START = "0" * 64
"""What stands for the digest before the first link."""


def end(agency: models.Agency) -> tuple[int, str]:
    """How many links the agency's trail has, by its end, and the digest of the last."""
    return models.TrailEnd.objects.filter(agency=agency).values_list("links", "digest").first() or (0, START)


def lines(events: pl.DataFrame) -> pl.Series:
    """The text of each event that its link seals: fields parted by U+001F.

    No field holds that character or a line feed (rule C1), so no two different trails have one text.
    """
    fields = [pl.col(name).cast(pl.String).fill_null("") for name in SEALED]
    line = pl.concat_str(fields, separator="\x1f")
    if "agent" in events.columns:
        also = pl.concat_str(pl.lit(""), *ALSO, separator="\x1f")
        empty = pl.all_horizontal(pl.col(name) == "" for name in ALSO)
        line = pl.concat_str(line, pl.when(empty).then(pl.lit("")).otherwise(also))
    return events.select(line).to_series()


def add(digest: "hashlib._Hash", events: pl.DataFrame) -> None:
    """Adds events to a link's SHA-256, each ended by a line feed."""
    for text in (lines(events).str.join("\n").item(), "\n"):
        digest.update(text.encode())
