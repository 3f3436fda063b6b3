"""Inactive groups (C7): no user may join one, and a member stays, with a note."""

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import unchanged


def inactive(rows: pl.DataFrame, same: pl.DataFrame, vocabulary: Vocabulary) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the problems of rows that name an inactive group, and the notes of users who stay in one.

    `rows`: the checked rows with `group_id`, `group_inactive` and `was_group_id`. `same`: the rows of the unchanged
    fast path.
    """
    off = [group.id for group in vocabulary.groups if not group.active]
    named = rows.filter("group_inactive")
    keeps = pl.col("group_id").eq_missing(pl.col("was_group_id"))
    repeated = same.filter(pl.col("group_id").is_in(off))
    kept = pl.concat([named.filter(keeps).select("row", "group_id"), repeated.select("row", "group_id")])
    return _said(named.filter(~keeps), "inactive-group", vocabulary), _said(kept, "inactive-group-kept", vocabulary)


def _said(rows: pl.DataFrame, code: str, vocabulary: Vocabulary) -> pl.DataFrame:
    return rows.select(
        "row",
        code=pl.lit(code),
        column=pl.lit(columns.EVIDENCE_GROUP_EXT_ID.heading),
        value=unchanged.named("group_id", {group.id: group.external_id for group in vocabulary.groups}),
        detail=pl.lit(""),
        hint=pl.lit(""),
    )
