"""The filters of the trail, each as a condition on passages, or on events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from django.db import connection

from musterbook.directory import models
from musterbook.directory.storage import frames

DONE = "done"
"""The outcome of an action that was neither refused nor failed."""

Values: TypeAlias = list[str | int | list[str] | list[int]]
"""Parameters of a query."""


@dataclass(frozen=True, slots=True)
class EventFilters:
    """The criteria for events: an event matches if it passes every filter given.

    `actors`: external IDs of the users who acted, "" for the system; `subjects`: ids of the users acted on;
    `import_id`; `kinds`; `through`; `outcome`: DONE, refused or failed; `since` that time, and before `until`.
    """

    actors: tuple[str, ...] | None = None
    subjects: tuple[int, ...] | None = None
    import_id: int | None = None
    kinds: tuple[str, ...] = ()
    through: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None


def build_conditions(
    agency: models.Agency, criteria: EventFilters, alias: str, exclude: str = ""
) -> tuple[str, Values]:
    """Return the conditions of all filters except `exclude`, and their parameters.

    `alias`: the alias in the query of the table of events, or of passages.
    """
    tests = [test for name, test in _list_conditions(criteria, alias) if name != exclude]
    sql = " AND ".join([f"{alias}.agency_id = %s", *(condition for condition, _ in tests)])
    return sql, [agency.pk, *(value for _, value in tests)]


def _list_conditions(
    criteria: EventFilters, alias: str
) -> Iterator[tuple[str, tuple[str, str | int | list[str] | list[int]]]]:
    """Yield the name of each filter that is given, with its condition and its parameter."""
    if criteria.actors is not None:
        yield "actor", frames.match_any(f"{alias}.actor", list(criteria.actors))
    if criteria.subjects is not None:
        yield "subject", frames.match_any(f"{alias}.subject_id", list(criteria.subjects))
    if criteria.kinds:
        yield "kind", frames.match_any(f"{alias}.kind", list(criteria.kinds))
    outcome = "" if criteria.outcome == DONE else criteria.outcome
    for name, present, value in (
        ("of_id", criteria.import_id is not None, criteria.import_id or 0),
        ("through", criteria.through, criteria.through),
        ("outcome", criteria.outcome, outcome),
    ):
        if present:
            yield name, (f"{alias}.{name} = %s", value)
    for sign, at in ((">=", criteria.since), ("<", criteria.until)):
        if at:
            yield "at", (f"{alias}.at {sign} %s", bind_time(at))


def bind_time(at: datetime) -> str:
    """Return a time as a parameter to compare with stored times."""
    return bind_time_text(frames.stamp(at))


def bind_time_text(at: str) -> str:
    """Return a time that is already text as a parameter to compare with stored times."""
    return at + ("+00" if frames.on_postgres() else "")


def fetch_rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
