"""The external IDs that users had before: who had which id at a time.

The trail, and what is kept of imports, name users by the external IDs of their time. By now, another user may have one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import polars as pl

from musterbook.core.domain.snapshot import FORMER
from musterbook.directory import models
from musterbook.directory.storage import frames

_IDS = frames.table(models.FormerId)

Mention: TypeAlias = tuple[str, datetime]
"""An external ID, and when it was used."""


def keep_ids(agency: models.Agency, users: pl.DataFrame, at: datetime) -> None:
    """Keep the external IDs (`id`, `external_id`) that users had until now, in the transaction that changes them."""
    rows = users.select("external_id", user_id="id", agency_id=pl.lit(agency.pk), until=pl.lit(frames.stamp(at)))
    frames.insert(models.FormerId, rows.with_columns(id=frames.new_ids(models.FormerId, rows.height)))


def read_latest(agency: models.Agency) -> pl.DataFrame:
    """Return the last former external ID of each user who has one (snapshot.FORMER)."""
    sql = f"SELECT user_id, external_id FROM {_IDS} WHERE agency_id = %s ORDER BY until, id"
    return frames.read_frame(sql, [agency.pk], FORMER).unique("user_id", keep="last", maintain_order=True)


def map_to_current(agency: models.Agency, since: datetime) -> dict[str, str]:
    """Return the current external ID of each user whose id at that time was another: id then → id now."""
    rows = models.FormerId.objects.filter(agency=agency, until__gte=since).order_by("-until", "-pk")
    return dict(rows.values_list("external_id", "user__external_id"))


def read_names(agency: models.Agency, mentions: Iterable[Mention]) -> dict[Mention, str]:
    """Return the current name of the user who had each external ID at its time."""
    return {mention: name for mention, (_, name) in read_users(agency, mentions).items()}


def read_users(agency: models.Agency, mentions: Iterable[Mention]) -> dict[Mention, tuple[int, str]]:
    """Return the id and the current name of the user who had each external ID at its time."""
    wanted = set(mentions)
    ids = {external_id for external_id, _ in wanted}
    users = models.User.objects.filter(agency=agency, external_id__in=ids)
    facts = users.values_list("external_id", "pk", "first_name", "last_name")
    now = {external_id: (pk, f"{first} {last}") for external_id, pk, first, last in facts}
    held: dict[str, list[tuple[datetime, tuple[int, str]]]] = {}
    fields = ("external_id", "until", "user_id", "user__first_name", "user__last_name")
    former = models.FormerId.objects.filter(agency=agency, external_id__in=ids).order_by("until", "pk")
    for external_id, until, pk, first, last in former.values_list(*fields):
        held.setdefault(external_id, []).append((until, (pk, f"{first} {last}")))
    found = {
        (external_id, at): next(
            (user for until, user in held.get(external_id, ()) if until >= at), now.get(external_id)
        )
        for external_id, at in wanted
    }
    return {mention: user for mention, user in found.items() if user}


def read_current_names(agency: models.Agency, external_ids: Iterable[str], at: datetime) -> dict[str, str]:
    """Return the same for external IDs that were all used at one time: id → name."""
    return {external_id: name for (external_id, _), name in read_names(agency, ((i, at) for i in external_ids)).items()}


def find_users(agency: models.Agency, external_id: str) -> list[int]:
    """Return the ids of the users who had this external ID before."""
    rows = models.FormerId.objects.filter(agency=agency, external_id=external_id)
    return list(rows.order_by("user_id").values_list("user_id", flat=True).distinct())


def list_former(agency: models.Agency, external_ids: Iterable[str]) -> list[str]:
    """Return the other external IDs that the users who have these now had before."""
    now = list(external_ids)
    rows = models.FormerId.objects.filter(agency=agency, user__external_id__in=now).exclude(external_id__in=now)
    return list(rows.order_by("external_id").values_list("external_id", flat=True).distinct())
