"""The export of the audit trail: the matching events, the oldest first, in parts, for any number of them (rule A6)."""

from collections.abc import Iterator

import polars as pl

from musterbook.directory import models
from musterbook.directory.audit import runs
from musterbook.directory.audit.filters import EventFilters, Values, bind_time_text, build_conditions, fetch_rows
from musterbook.directory.storage import formats, frames

_PART = 50_000
_BATCH = 5_000
_FEW = 2_000
"""Passages with no more events than this are read together."""
_EVENTS, _PASSAGES = frames.table(models.Event), frames.table(models.Passage)
HEADINGS = (
    "AT", "KIND", "EXTERNAL_ID", "ACTOR", "THROUGH", "ADDRESS", "PROGRAM", "IMPORT", "ROW", "OUTCOME", "CHANGES",
    "SESSION", "REQUEST",
)  # fmt: skip
"""The columns of an exported trail; ACTOR is "" for the system, CHANGES is JSON text."""


def export_events(agency: models.Agency, criteria: EventFilters, form: str) -> Iterator[bytes]:
    """Return the matching events as csv or json, the oldest first, in parts."""
    events = (part.select(HEADINGS) for part in read_events(agency, criteria))
    return (
        formats.format_json(events)
        if form == "json"
        else formats.format_csv(formats.guard_cells(part) for part in events)
    )


def has_more_than(agency: models.Agency, criteria: EventFilters, most: int) -> bool:
    """Return whether more than `most` events match; count no further than that."""
    if criteria.subjects is None:
        conditions, parameters = build_conditions(agency, criteria, "p")
        source = (
            f'{_PASSAGES} p JOIN {_EVENTS} e ON e.agency_id = p.agency_id AND e.id >= p."first" AND e.id <= p."last"'
        )
    else:
        conditions, parameters = build_conditions(agency, criteria, "e")
        source = f"{_EVENTS} e"
    rows = fetch_rows(
        f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {conditions} LIMIT %s) AS found", [*parameters, most + 1]
    )
    return int(rows[0][0]) > most


def read_events(agency: models.Agency, criteria: EventFilters) -> Iterator[pl.DataFrame]:
    """Yield the matching events, the oldest first, in frames of `id` and HEADINGS, all text.

    Yield at least one frame.
    """
    yield _read_part("FALSE", [], 0)
    if criteria.subjects is None:
        for batch in _read_passages(agency, criteria):
            yield from _read_batch(agency, batch)
        return
    conditions, parameters = build_conditions(agency, criteria, "e")
    beyond, last = "TRUE", Values()
    while True:
        part = _read_part(f"{conditions} AND {beyond}", [*parameters, *last], _PART)
        yield part
        if part.height < _PART:
            return
        beyond = "(e.at, e.id) > (%s, %s)"
        last = [bind_time_text(part["AT"][-1].removesuffix("Z").replace("T", " ")), part["id"][-1]]


def _read_passages(agency: models.Agency, criteria: EventFilters) -> Iterator[list[tuple[int, int]]]:
    """Yield the first and last ids of all matching passages, in batches."""
    conditions, parameters = build_conditions(agency, criteria, "p")
    beyond, last = "TRUE", Values()
    while True:
        sql = (
            f'SELECT {runs.select_time("p.")}, p."first", p."last" FROM {_PASSAGES} p'
            f' WHERE {conditions} AND {beyond} ORDER BY p.at, p."first" LIMIT %s'
        )
        batch = fetch_rows(sql, [*parameters, *last, _BATCH])
        yield [(first, end) for _, first, end in batch]
        if len(batch) < _BATCH:
            return
        beyond, last = '(p.at, p."first") > (%s, %s)', [bind_time_text(batch[-1][0]), batch[-1][1]]


def _read_batch(agency: models.Agency, batch: list[tuple[int, int]]) -> Iterator[pl.DataFrame]:
    """Yield the events of these passages: short ones together, long ones in parts."""
    few: list[int] = []
    for first, last in batch:
        if last - first < _FEW:
            few += range(first, last + 1)
            continue
        if few:
            yield _read_few(agency, few)
            few = []
        yield from _read_long(agency, first, last)
    if few:
        yield _read_few(agency, few)


def _read_long(agency: models.Agency, first: int, last: int) -> Iterator[pl.DataFrame]:
    while first <= last:
        part = _read_part("e.agency_id = %s AND e.id >= %s AND e.id <= %s", [agency.pk, first, last], _PART)
        yield part
        first = part["id"][-1] + 1


def _read_few(agency: models.Agency, ids: list[int]) -> pl.DataFrame:
    condition, parameter = frames.match_any("e.id", ids)
    return _read_part(f"e.agency_id = %s AND {condition}", [agency.pk, parameter], len(ids))


def _read_part(condition: str, parameters: Values, most: int) -> pl.DataFrame:
    columns = (
        f"e.id, {_select_time()}, e.kind, e.subject_external_id, e.actor, e.through, e.address, e.agent,"
        " coalesce(i.number, ''), coalesce(CAST(e.row AS text), ''), e.outcome, e.changes,"
        " e.session, e.request"
    )
    sql = (
        f"SELECT {columns} FROM {_EVENTS} e LEFT JOIN {frames.table(models.Import)} i ON i.id = e.of_id"
        f" WHERE {condition} ORDER BY e.at, e.id LIMIT {most}"
    )
    return frames.read_frame(sql, parameters, {"id": pl.Int64, **dict.fromkeys(HEADINGS, pl.String)})


def _select_time() -> str:
    if frames.on_postgres():
        return "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    return "replace(substr(e.at, 1, 26), ' ', 'T') || 'Z'"
