"""The audit trail: events, appended in links that seal each other, so that a change or a removal is found."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from musterbook.directory import frames, models

_SEALED = {
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

_PART = 100_000
_START = "0" * 64


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, when, through what (cli, page, api, scim, folder, system), and from which address."""

    at: datetime
    actor: str
    through: str
    address: str = ""


def append(agency: models.Agency, act: Act, happened: pl.DataFrame, *, of: int | None = None) -> None:
    """Appends one link of events. The caller holds the agency's lock, in the transaction of what the events tell.

    `happened`: `kind`, `subject_id`, `subject_external_id`, `row`, `changes` (JSON text); `of`: the import's id.
    """
    if happened.is_empty():
        return
    ids = frames.new_ids(models.Event, happened.height)
    events = happened.with_columns(
        id=ids,
        agency_id=pl.lit(agency.pk, pl.Int64),
        at=pl.lit(frames.stamp(act.at)),
        actor=pl.lit(act.actor),
        through=pl.lit(act.through),
        address=pl.lit(act.address),
        of_id=pl.lit(of, pl.Int64),
    ).select(pl.col(name).cast(kind) for name, kind in _SEALED.items())
    frames.insert(models.Event, events)
    before = models.TrailLink.objects.filter(agency=agency).order_by("-number").first()
    models.TrailLink.objects.create(
        agency=agency,
        number=before.number + 1 if before else 1,
        first=ids[0],
        last=ids[-1],
        digest=_digest(before.digest if before else _START, events.iter_slices(_PART)),
    )


def _digest(before: str, parts: Iterator[pl.DataFrame]) -> str:
    """The SHA-256 over the digest before and the events: fields parted by U+001F, events by a line feed.

    No field holds either (rule C1), so no two different trails have one text.
    """
    digest = hashlib.sha256(before.encode())
    for part in parts:
        fields = [pl.col(name).cast(pl.String).fill_null("") for name in _SEALED]
        lines = part.select(pl.concat_str(fields, separator="\x1f")).to_series()
        for text in (lines.str.join("\n").item(), "\n"):
            digest.update(text.encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of an agency's trail came to: its links and events, and what is wrong ("" for nothing)."""

    agency: str
    links: int
    events: int
    wrong: str = ""


def verify(agency: models.Agency) -> Finding:
    """Reads the agency's whole trail and compares it with its seals: a changed, removed or inserted event is found."""
    before, last, links, events = _START, 0, 0, 0
    for link in models.TrailLink.objects.filter(agency=agency).order_by("number").iterator():
        stray = models.Event.objects.filter(agency=agency, id__gt=last, id__lt=link.first).exists()
        if stray or link.number != links + 1:
            return Finding(agency.slug, links, events, f"link {links + 1} is missing, or events stand before link {link.number}")
        if _digest(before, _parts(agency, link)) != link.digest:
            return Finding(agency.slug, links, events, f"the events of link {link.number} are not those that were sealed")
        before, last, links = link.digest, link.last, link.number
        events += models.Event.objects.filter(agency=agency, id__gte=link.first, id__lte=link.last).count()
    if models.Event.objects.filter(agency=agency, id__gt=last).exists():
        return Finding(agency.slug, links, events, "events stand after the last link")
    return Finding(agency.slug, links, events)


def _parts(agency: models.Agency, link: models.TrailLink) -> Iterator[pl.DataFrame]:
    at = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') " if frames.on_postgres() else "CAST(at AS text)"
    listed = ", ".join(at if name == "at" else f'"{name}"' for name in _SEALED)
    sql = (
        f"SELECT {listed} FROM {frames.table(models.Event)}"
        f" WHERE agency_id = %s AND id > %s AND id <= %s ORDER BY id LIMIT {_PART}"
    )
    last = link.first - 1
    while True:
        part = frames.read(sql, [agency.pk, last, link.last], _SEALED)
        if part.is_empty():
            return
        yield part
        last = part["id"][-1]
