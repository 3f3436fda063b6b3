"""The writing of new external IDs (M14): a part of `apply.writer`."""

from collections.abc import Callable

import polars as pl

from musterbook.directory import models
from musterbook.directory.apply import search_index, stored_keys
from musterbook.directory.audit import former_ids, trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames

_PART = 50_000


def write_rekeys(
    rekeyed: pl.DataFrame,
    agency: models.Agency,
    context: AuditContext,
    *,
    of: int | None,
    written: Callable[[int], None],
) -> None:
    """Write the new external IDs of users (plan.REKEYED with `changes`), with an event for each user.

    Ids that other users take are released first, so that no order of writing can conflict. Links between users hold
    their numbers, so they stay. What is kept of imports follows its operator; the trail keeps the ids of its time.
    """
    vacated = rekeyed.filter("vacates").select("id", external_id=pl.format("\x01{}", pl.col("id")))
    frames.update(models.User, vacated)
    former_ids.keep_ids(agency, rekeyed, context.at)
    _move_operators(agency, rekeyed)
    done = 0
    written(done)
    for part in rekeyed.iter_slices(_PART):
        users = part.with_columns(external_id="new_external_id")
        keys = stored_keys.build_id_keys(users["external_id"])
        frames.update(models.User, users.select("id", "external_id").with_columns(keys))
        search_index.update_index(agency, users.select("id", *search_index.SEARCHED))
        done += part.height
        written(done)
    events = (
        part.select(
            kind=pl.lit(EventKind.USER_REKEYED), subject_id="id", subject_external_id="external_id",
            row=pl.col("row").cast(pl.Int64), changes="changes",
        )
        for part in rekeyed.iter_slices(_PART)
    )  # fmt: skip
    trail.append_events(agency, context, events, import_id=of)


def _move_operators(agency: models.Agency, rekeyed: pl.DataFrame) -> None:
    """Give the imports and fixes of these users the new external IDs of those who requested, ran and typed them.

    So a waiting import still acts as its operator, nobody confirms their own import under a new id (S8), and a swap of
    ids makes no import another user's.
    """
    own = "agency_id = %s"
    of_own = f"of_id IN (SELECT id FROM {frames.table(models.Import)} WHERE {own})"
    for model, field, where in (
        (models.Import, "actor", own), (models.Import, "requester", own), (models.ImportDraft, "actor", of_own),
    ):  # fmt: skip
        sql = f"SELECT id, {field} FROM {frames.table(model)} WHERE {where} AND {field} <> ''"
        found = frames.read_frame(sql, [agency.pk], {"id": pl.Int64, field: pl.String})
        names = rekeyed.select("external_id", pl.col("new_external_id").alias(field))
        moved = found.join(names, left_on=field, right_on="external_id", suffix="_new")
        frames.update(model, moved.select("id", pl.col(f"{field}_new").alias(field)))
