"""The audit trail: events appended in links that form a hash chain, so that a change or a removal is detected."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl
from django.db import transaction

from musterbook.directory import models
from musterbook.directory.audit import anchors, hash_chain, runs, webhook_messages
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.permissions import Authority
from musterbook.directory.storage import frames, locks
from musterbook.directory.storage.background import BackgroundTask, prefetch

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_AGENT = 255
_FEW = 100
"""The most events that are sealed faster than a thread starts."""


@dataclass(frozen=True, slots=True)
class AuditContext:
    """An act: its time, actor, channel (cli, page, api, scim, folder, system), address and program.

    `session`: the name of the page session in the trail; `request`: the request's number in the log.
    `granted`: the permissions of the token that acts for the actor; None if the actor does not act by a token.
    """

    at: datetime
    actor: str
    through: str
    address: str = ""
    agent: str = ""
    session: str = ""
    request: str = ""
    granted: frozenset[str] | None = None

    @property
    def authority(self) -> Authority:
        """Return the authority that the act relies on."""
        return Authority(self.actor, self.granted)


def record_event(
    agency: models.Agency,
    context: AuditContext,
    kind: EventKind,
    about: models.User | None = None,
    changes: Mapping[str, tuple[str, str]] | None = None,
    *,
    outcome: str = "",
    paused: bool = False,
) -> None:
    """Append one event by itself: what happened, to which user, and each field before and after.

    `outcome`: "", refused or failed. `paused`: also to the trail of a paused agency. Raise AgencyPaused otherwise.
    """
    event = build_event(kind, changes or {}, about, outcome=outcome)
    with transaction.atomic():
        locks.lock_row(agency, paused=paused)
        append_events(agency, context, [event])


def build_event(
    kind: EventKind, changes: Mapping[str, tuple[str, str]], about: models.User | None = None, **more: str
) -> pl.DataFrame:
    """Return one event, as `append_events` takes it: what happened, to which user, and each field before and after.

    `more`: the outcome, if the event has one.
    """
    event = {
        "kind": kind.value, "subject_id": about.pk if about else None,
        "subject_external_id": about.external_id if about else "", "row": None,
        "changes": json.dumps(changes, ensure_ascii=False, separators=(",", ":")), **more,
    }  # fmt: skip
    return pl.DataFrame([event])


def record_refused_file(agency: models.Agency, context: AuditContext, name: str, why: str) -> None:
    """Record the event of a file that was refused and may be malicious."""
    record_event(
        agency,
        context,
        EventKind.IMPORT_FILE_REFUSED,
        changes={"file": ("", name), "reason": ("", why)},
        outcome=REFUSED,
    )


def seal_unkeyed_trails(at: datetime, *, restored: bool = False) -> None:
    """Begin to seal each unkeyed trail with a key, by an event whose link covers all of the old trail.

    A trail that an anchor knows had a key before. If it lacks one now, it was replaced, and is left for the check to
    find, unless the operator has `restored` a backup of a version whose trails had no keys.
    """
    known = {} if restored else anchors.read_anchors().anchors
    for agency in models.Agency.objects.exclude(pk__in=known):
        last = models.TrailLink.objects.filter(agency=agency).order_by("-number").first()
        if last is not None and not last.key:
            record_event(agency, AuditContext(at, "", "system"), EventKind.AUDIT_KEYED)


def append_events(
    agency: models.Agency, context: AuditContext, parts: Iterable[pl.DataFrame], *, import_id: int | None = None
) -> None:
    """Append one link of events, in parts.

    The caller holds the agency's lock, in the transaction of the changes that the events record. `parts`: `kind`,
    `subject_id`, `subject_external_id`, `row`, `changes` (JSON text).
    """
    links, before = hash_chain.read_head(agency)
    name, key = next(iter(hash_chain.derive_keys().items()))
    digest = hash_chain.begin_digest(before, key)
    passages: list[pl.DataFrame] = []
    outgoing = webhook_messages.Outgoing(agency, context.at, import_id)
    for part in prefetch(parts):
        if part.is_empty():
            continue
        events = _build_events(agency, context, part, import_id)
        seal = partial(hash_chain.add_events, digest, events)
        sealed = BackgroundTask(seal).result if events.height > _FEW else seal
        frames.insert(models.Event, events)
        outgoing.add(events)
        sealed()
        passages.append(runs.find_passages(events))
    if passages:
        first, last = passages[0]["first"][0], passages[-1]["last"][-1]
        link = models.TrailLink(agency=agency, number=links + 1, first=first, last=last, key=name)
        link.digest = hash_chain.finish_digest(digest, link)
        link.save(force_insert=True)
        runs.write_passages(agency, passages)
        models.TrailEnd.objects.create(agency=agency, links=link.number, digest=link.digest)
        transaction.on_commit(partial(anchors.record_head, agency, link.number, before, link.digest), robust=True)


def _build_events(
    agency: models.Agency, context: AuditContext, events: pl.DataFrame, import_id: int | None
) -> pl.DataFrame:
    columns = hash_chain.SEALED
    if context.agent or context.session or context.request or "outcome" in events.columns:
        columns = hash_chain.SEALED | hash_chain.ALSO | hash_chain.LATER
    constants = {
        "agency_id": agency.pk,
        "at": frames.stamp(context.at),
        "actor": context.actor,
        "through": context.through,
        "address": context.address,
        "of_id": import_id,
        "agent": _CONTROL.sub(" ", context.agent)[:_LONGEST_AGENT],
        "session": context.session,
        "request": context.request,
    }
    if "outcome" not in events.columns:
        constants["outcome"] = ""
    constants = {name: value for name, value in constants.items() if name in columns}
    ids = frames.new_ids(models.Event, events.height)
    if events.height > _FEW:
        filled = events.with_columns(ids, **{name: pl.lit(value) for name, value in constants.items()})
        return filled.select(pl.col(name).cast(kind) for name, kind in columns.items())
    # Column by column: a selection of several columns wakes other threads, which takes longer than all else of one event.
    made = {name: pl.Series(name, [value] * events.height, columns[name]) for name, value in constants.items()}
    made["id"] = ids
    return pl.DataFrame([made[name] if name in made else events[name].cast(kind) for name, kind in columns.items()])
