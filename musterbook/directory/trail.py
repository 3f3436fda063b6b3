"""The audit trail: events, appended in links that seal each other, so that a change or a removal is found."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl
from django.db import transaction

from musterbook.directory import frames, locks, models
from musterbook.directory.beside import Beside, ahead

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

_ALSO = {"agent": pl.String, "outcome": pl.String}
"""Columns that most events leave empty: sealed where they are not."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_AGENT = 255
_PART = 100_000
_START = "0" * 64
REFUSED, FORBIDDEN = "act.refused", "refused"
"""The kind and the outcome of what somebody asked for and was not allowed to do."""
_BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, when, through what (cli, page, api, scim, folder, system), from which address, by which program."""

    at: datetime
    actor: str
    through: str
    address: str = ""
    agent: str = ""


def tell(
    agency: models.Agency,
    act: Act,
    kind: str,
    about: models.User | None = None,
    changes: Mapping[str, tuple[str, str]] | None = None,
    *,
    outcome: str = "",
) -> None:
    """Appends one event by itself: what happened, to whom, and each field before and after; `outcome`: "", refused or failed."""
    happened = {
        "kind": kind, "subject_id": about.pk if about else None,
        "subject_external_id": about.external_id if about else "", "row": None,
        "changes": json.dumps(changes or {}, ensure_ascii=False, separators=(",", ":")), "outcome": outcome,
    }  # fmt: skip
    with transaction.atomic():
        locks.row(agency)
        append(agency, act, [pl.DataFrame([happened])])


def append(agency: models.Agency, act: Act, happened: Iterable[pl.DataFrame], *, of: int | None = None) -> None:
    """Appends one link of events, in parts. The caller holds the agency's lock, in the transaction of what the events tell.

    `happened`: `kind`, `subject_id`, `subject_external_id`, `row`, `changes` (JSON text); `of`: the import's id.
    """
    links, before = _end(agency)
    digest = hashlib.sha256(before.encode())
    written: list[int] = []
    for part in ahead(happened):
        if part.is_empty():
            continue
        events = _events(agency, act, part, of)
        sealed = Beside(partial(_digest, digest, events))
        frames.insert(models.Event, events)
        sealed.result()
        written += [events["id"][0], events["id"][-1]]
    if written:
        end = {"links": links + 1, "digest": digest.hexdigest()}
        models.TrailLink.objects.create(
            agency=agency, number=links + 1, first=written[0], last=written[-1], digest=digest.hexdigest()
        )
        models.TrailEnd.objects.update_or_create(agency=agency, defaults=end)


def _events(agency: models.Agency, act: Act, happened: pl.DataFrame, of: int | None) -> pl.DataFrame:
    columns = _SEALED
    if act.agent or "outcome" in happened.columns:
        columns = _SEALED | _ALSO
        outcome = pl.col("outcome") if "outcome" in happened.columns else pl.lit("")
        happened = happened.with_columns(outcome=outcome, agent=pl.lit(_CONTROL.sub(" ", act.agent)[:_LONGEST_AGENT]))
    return happened.with_columns(
        id=frames.new_ids(models.Event, happened.height),
        agency_id=pl.lit(agency.pk, pl.Int64),
        at=pl.lit(frames.stamp(act.at)),
        actor=pl.lit(act.actor),
        through=pl.lit(act.through),
        address=pl.lit(act.address),
        of_id=pl.lit(of, pl.Int64),
    ).select(pl.col(name).cast(kind) for name, kind in columns.items())


def _end(agency: models.Agency) -> tuple[int, str]:
    """How many links the agency's trail has, by its end, and the digest of the last."""
    return models.TrailEnd.objects.filter(agency=agency).values_list("links", "digest").first() or (0, _START)


def _digest(digest: "hashlib._Hash", events: pl.DataFrame) -> None:
    """Adds events to a link's SHA-256: fields parted by U+001F, events ended by a line feed.

    No field holds either (rule C1), so no two different trails have one text.
    """
    fields = [pl.col(name).cast(pl.String).fill_null("") for name in _SEALED]
    line = pl.concat_str(fields, separator="\x1f")
    if "agent" in events.columns:
        also = pl.concat_str(pl.lit(""), *_ALSO, separator="\x1f")
        empty = pl.all_horizontal(pl.col(name) == "" for name in _ALSO)
        line = pl.concat_str(line, pl.when(empty).then(pl.lit("")).otherwise(also))
    lines = events.select(line).to_series()
    for text in (lines.str.join("\n").item(), "\n"):
        digest.update(text.encode())


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of an agency's trail came to: its links and events, and what is wrong ("" for nothing).

    `digest` covers all that was checked: written down elsewhere, it shows later whether that still stands.
    """

    agency: str
    links: int
    events: int
    wrong: str = ""
    digest: str = _START


def verify(agency: models.Agency) -> Finding:
    """Reads the agency's whole trail and compares it with its seals and its end.

    Found is any event that was changed, removed or inserted, any link, and a lost end. Not found is a trail that was
    forged whole, seals and all, by one who may write to the database: for that, compare `digest` with one noted before.
    """
    while True:
        end = _end(agency)
        finding = _verified(agency, end)
        # What was appended meanwhile is not wrong: look again.
        if not finding.wrong or end == _end(agency):
            return finding


def _verified(agency: models.Agency, end: tuple[int, str]) -> Finding:
    before, last, links, events = _START, _BEFORE_ALL, 0, 0
    wrong = ""
    for link in models.TrailLink.objects.filter(agency=agency).order_by("number").iterator():
        wrong = _wrong(agency, link, links + 1, last, before)
        if wrong:
            break
        before, last, links = link.digest, link.last, link.number
        events += models.Event.objects.filter(agency=agency, id__gte=link.first, id__lte=link.last).count()
    else:
        wrong = _wrong_end(agency, end, (links, before), last)
    return Finding(agency.slug, links, events, wrong, before)


def _wrong(agency: models.Agency, link: models.TrailLink, number: int, last: int, before: str) -> str:
    if link.number != number:
        return f"link {number} is missing"
    if models.Event.objects.filter(agency=agency, id__gt=last, id__lt=link.first).exists():
        return f"events that nothing seals stand before link {number}"
    digest = hashlib.sha256(before.encode())
    for part in _parts(agency, link):
        _digest(digest, part)
    if digest.hexdigest() != link.digest:
        return f"the events of link {number} are not those that were sealed"
    return ""


def _wrong_end(agency: models.Agency, end: tuple[int, str], found: tuple[int, str], last: int) -> str:
    if end != found:
        return f"the trail should have {end[0]} links and ends after link {found[0]}, or its end was changed"
    if models.Event.objects.filter(agency=agency, id__gt=last).exists():
        return "events that nothing seals stand after the last link"
    return ""


def _parts(agency: models.Agency, link: models.TrailLink) -> Iterator[pl.DataFrame]:
    at = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') " if frames.on_postgres() else "CAST(at AS text)"
    columns = _SEALED | _ALSO
    listed = ", ".join(at if name == "at" else f'"{name}"' for name in columns)
    sql = (
        f"SELECT {listed} FROM {frames.table(models.Event)}"
        f" WHERE agency_id = %s AND id > %s AND id <= %s ORDER BY id LIMIT {_PART}"
    )
    last = link.first - 1
    while True:
        part = frames.read(sql, [agency.pk, last, link.last], columns)
        if part.is_empty():
            return
        yield part
        last = part["id"][-1]
