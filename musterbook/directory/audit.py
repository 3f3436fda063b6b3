"""The audit trail looked at: the events of an agency, of one user, of a time, in parts (rule A6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from musterbook.directory import frames, models, written

_PART = 50_000
HEADINGS = ("AT", "KIND", "EXTERNAL_ID", "ACTOR", "THROUGH", "ADDRESS", "IMPORT", "ROW", "CHANGES")
"""The columns of the trail as it is given out; ACTOR is "" for the system, CHANGES is JSON text."""


@dataclass(frozen=True, slots=True)
class Period:
    """The events wanted: of the user with that external id ("" for all), from `since` on, and before `until`."""

    user: str = ""
    since: datetime | None = None
    until: datetime | None = None


def parts(agency: models.Agency, wanted: Period, form: str) -> Iterator[bytes]:
    """The wanted events as csv or json."""
    told = events(agency, wanted)
    return written.as_json(told) if form == "json" else written.csv(written.guarded(part) for part in told)


def events(agency: models.Agency, wanted: Period) -> Iterator[pl.DataFrame]:
    """The wanted events, in their order, in frames of the columns of HEADINGS, all text; at least one frame."""
    conditions, parameters = ["e.agency_id = %s"], list[str | int]([agency.pk])
    if wanted.user:
        conditions.append("e.subject_external_id = %s")
        parameters.append(wanted.user)
    for sign, at in ((">=", wanted.since), ("<", wanted.until)):
        if at:
            conditions.append(f"e.at {sign} %s")
            parameters.append(frames.stamp(at) + ("+00" if frames.on_postgres() else ""))
    last, first = 0, True
    while True:
        part = _part([*conditions, "e.id > %s"], [*parameters, last])
        if part.height or first:
            yield part.select(HEADINGS)
        if part.height < _PART:
            return
        last, first = part["id"][-1], False


def _part(conditions: list[str], parameters: list[str | int]) -> pl.DataFrame:
    columns = (
        f"e.id, {_at()}, e.kind, e.subject_external_id, e.actor, e.through, e.address,"
        " coalesce(i.number, ''), coalesce(CAST(e.row AS text), ''), e.changes"
    )
    sql = (
        f"SELECT {columns} FROM {frames.table(models.Event)} e LEFT JOIN {frames.table(models.Import)} i ON i.id = e.of_id"
        f" WHERE {' AND '.join(conditions)} ORDER BY e.id LIMIT {_PART}"
    )
    return frames.read(sql, parameters, {"id": pl.Int64, **dict.fromkeys(HEADINGS, pl.String)})


def _at() -> str:
    if frames.on_postgres():
        return "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    return "replace(substr(e.at, 1, 26), ' ', 'T') || 'Z'"
