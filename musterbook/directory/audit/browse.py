"""Browsing of the audit trail: the matching events, page by page, each with the names of its users (rule A6)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from musterbook.directory import models
from musterbook.directory.audit import former_ids
from musterbook.directory.audit.filters import EventFilters, Values, bind_time, build_conditions, fetch_rows
from musterbook.directory.storage import frames

PAGE = 50
_EVENTS, _PASSAGES = frames.table(models.Event), frames.table(models.Passage)


class UnknownCursor(Exception):
    """The text is not a cursor of a list of events."""


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event, with the current ids and names of its users (None and "" for none); `changes`: field → before, after.

    `number`, `file_name` and `of_kind`: the import that it belongs to, "" for none.
    """

    id: int
    at: datetime
    kind: str
    actor: str
    actor_name: str
    actor_id: int | None
    subject: int | None
    subject_external_id: str
    subject_name: str
    through: str
    address: str
    agent: str
    number: str
    file_name: str
    of_kind: str
    row: int | None
    outcome: str
    changes: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, the newest first, with the places of the newer and the older page ("" for none)."""

    events: list[ListedEvent]
    newer: str
    older: str


class Passage(NamedTuple):
    """Consecutive events that differ only in the user they are about: the ids of the first and the last, and the rest."""

    at: Any
    first: int
    last: int
    kind: str
    actor: str
    through: str
    outcome: str
    of: int | None


_COLUMNS = 'p.at, p."first", p."last", p.kind, p.actor, p.through, p.outcome, p.of_id'


def read_page(agency: models.Agency, criteria: EventFilters, cursor: str = "", size: int = 0) -> EventPage:
    """Return the page of matching events at the place ("": the newest), `size` at most (0: PAGE). Raise UnknownCursor."""
    size = size or PAGE
    start, back = parse_cursor(cursor)
    ids = _read_next_ids(agency, criteria, start, size + 1, back=back)
    more, visible = len(ids) > size, ids[:size]
    if back:
        visible.reverse()
    events = list(read_events(agency, visible))
    newer, older = (more, True) if back else (start is not None, more)
    return EventPage(
        events,
        format_cursor(events[0].at, events[0].id, back=True) if newer and events else "",
        format_cursor(events[-1].at, events[-1].id) if older and events else "",
    )


_BACK = "~"
Place: TypeAlias = tuple[str, int]
"""A place in the trail: a time, as a parameter of a query, and the id of an event."""


def parse_cursor(cursor: str) -> tuple[Place | None, bool]:
    """Return the place of a cursor (None: the newest), and whether the page goes upward from it. Raise UnknownCursor."""
    start = _decode_cursor(cursor.removeprefix(_BACK)) if cursor else None
    return start, cursor.startswith(_BACK)


def format_cursor(at: datetime, number: int, *, back: bool = False) -> str:
    """Return the cursor of the page that begins next to the event with that time and id: after it, or with `back` before."""
    return f"{_BACK if back else ''}{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}-{number}"


def _decode_cursor(text: str) -> tuple[str, int]:
    """Return the time and the id that a place holds."""
    at, _, number = text.partition("-")
    try:
        event = int(number)
        when = datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        raise UnknownCursor(text) from None
    if not 0 <= event < 2**63:
        raise UnknownCursor(text)
    return bind_time(when), event


def _read_next_ids(
    agency: models.Agency, criteria: EventFilters, start: Place | None, number: int, *, back: bool
) -> list[int]:
    """Return the ids of the next `number` events after the place, downwards, or upwards with `back`."""
    sign, direction = (">", "ASC") if back else ("<", "DESC")
    if criteria.subjects is not None:
        conditions, parameters = build_conditions(agency, criteria, "e")
        beyond = f"(e.at, e.id) {sign} (%s, %s)" if start else "TRUE"
        sql = (
            f"SELECT e.id FROM {_EVENTS} e WHERE {conditions} AND {beyond} ORDER BY e.at {direction}, e.id {direction}"
        )
        return [row[0] for row in fetch_rows(f"{sql} LIMIT %s", [*parameters, *(start or ()), number])]
    event_ids, pending = list[int](), list[int]()
    for passage in read_passages(agency, criteria, start, number, back=back):
        first, last = _clip_passage((passage.first, passage.last), start, back=back)
        few = last - first < PAGE
        if few:
            pending += sorted(range(first, last + 1), reverse=not back)
        if not few or len(event_ids) + len(pending) >= number:
            event_ids, pending = event_ids + keep_existing(agency, pending), []
        if not few:
            sql = f"SELECT id FROM {_EVENTS} WHERE agency_id = %s AND id >= %s AND id <= %s ORDER BY id {direction} LIMIT %s"
            event_ids += [row[0] for row in fetch_rows(sql, [agency.pk, first, last, number])]
        if len(event_ids) >= number:
            break
    return (event_ids + keep_existing(agency, pending))[:number]


def _clip_passage(passage: tuple[int, int], start: Place | None, *, back: bool) -> tuple[int, int]:
    """Return the first and the last id of the part of a passage that lies beyond the place."""
    first, last = passage
    if start is None or not first <= start[1] <= last:
        return passage
    return (start[1] + 1, last) if back else (first, start[1] - 1)


def keep_existing(agency: models.Agency, ids: list[int]) -> list[int]:
    """Return the ids that are events of the agency.

    Events of other agencies may lie between two events of an import.
    """
    own = set(models.Event.objects.filter(agency=agency, pk__in=ids).values_list("pk", flat=True)) if ids else ()
    return [number for number in ids if number in own]


def read_passages(
    agency: models.Agency, criteria: EventFilters, start: Place | None, number: int, *, back: bool
) -> list[Passage]:
    """Return the next `number` passages after the place, downward, or upward with `back`.

    Each actor, or each kind, has a query of its own. So each query finds its next passages by an index, and sorts
    nothing.
    """
    end, sign, direction = ("last", ">", "ASC") if back else ("first", "<", "DESC")
    beyond = f'(p.at, p."{end}") {sign} (%s, %s)' if start else "TRUE"
    apart, values = ("actor", criteria.actors) if criteria.actors is not None else ("kind", criteria.kinds or None)
    queries, all_parameters = [], Values()
    for value in values or [None]:
        conditions, parameters = build_conditions(agency, criteria, "p", exclude=apart if values else "")
        extra = "TRUE" if value is None else f"p.{apart} = %s"
        all_parameters += parameters if value is None else [*parameters, value]
        queries.append(
            f"SELECT * FROM (SELECT {_COLUMNS} FROM {_PASSAGES} p"
            f" WHERE {conditions} AND {extra} AND {beyond}"
            f' ORDER BY p.at {direction}, p."first" {direction} LIMIT %s) AS part'
        )
        all_parameters += [*(start or ()), number]
    sql = f'{" UNION ALL ".join(queries)} ORDER BY at {direction}, "first" {direction} LIMIT %s'
    return [Passage(*row) for row in fetch_rows(sql, [*all_parameters, number])] if values != () else []


def read_events(agency: models.Agency, ids: Sequence[int]) -> Iterator[ListedEvent]:
    """Yield the agency's events with these ids, in the order of the ids."""
    events = models.Event.objects.filter(agency=agency).select_related("subject", "of").in_bulk(list(ids))
    actors = former_ids.read_users(agency, ((event.actor, event.at) for event in events.values() if event.actor))
    for number in ids:
        event = events[number]
        subject, of = event.subject, event.of
        actor_id, actor_name = actors.get((event.actor, event.at), (None, ""))
        yield ListedEvent(
            event.pk, event.at, event.kind, event.actor, actor_name, actor_id, event.subject_id, event.subject_external_id,
            f"{subject.first_name} {subject.last_name}" if subject else "",
            event.through, event.address, event.agent, of.number if of else "", of.file_name if of else "",
            of.kind if of else "", event.row, event.outcome,
            {name: (before, after) for name, (before, after) in json.loads(event.changes).items()},
        )  # fmt: skip
