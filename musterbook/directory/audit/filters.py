"""The filters of the trail, each as a condition on passages, or on events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from django.db import connection

from musterbook.directory import models
from musterbook.directory.storage import frames

DONE = "done"
"""The outcome of an act that was neither refused nor failed."""

Values: TypeAlias = list[str | int | list[str] | list[int]]
"""Parameters of a query."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The criteria for events: an event matches if it passes every filter given.

    `actors`: external ids of the users who acted, "" for the system; `subjects`: ids of the users acted on; `of`: the
    import's id; `kinds`; `through`; `outcome`: DONE, refused or failed; `since` that time, and before `until`.
    """

    actors: tuple[str, ...] | None = None
    subjects: tuple[int, ...] | None = None
    of: int | None = None
    kinds: tuple[str, ...] = ()
    through: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None


def conditions(agency: models.Agency, wanted: Wanted, of: str, but: str = "") -> tuple[str, Values]:
    """Return the conditions of all filters except `but`, on an event `e` or a passage `p`, and their parameters."""
    told = [test for name, test in _each(wanted, of) if name != but]
    return " AND ".join([f"{of}.agency_id = %s", *(sql for sql, _ in told)]), [agency.pk, *(value for _, value in told)]


def _each(wanted: Wanted, of: str) -> Iterator[tuple[str, tuple[str, str | int | list[str] | list[int]]]]:
    """Yield the name of each filter that is given, with its condition and its parameter."""
    if wanted.actors is not None:
        yield "actor", frames.among(f"{of}.actor", list(wanted.actors))
    if wanted.subjects is not None:
        yield "subject", frames.among(f"{of}.subject_id", list(wanted.subjects))
    if wanted.kinds:
        yield "kind", frames.among(f"{of}.kind", list(wanted.kinds))
    outcome = "" if wanted.outcome == DONE else wanted.outcome
    for name, given, value in (
        ("of_id", wanted.of is not None, wanted.of or 0),
        ("through", wanted.through, wanted.through),
        ("outcome", wanted.outcome, outcome),
    ):
        if given:
            yield name, (f"{of}.{name} = %s", value)
    for sign, at in ((">=", wanted.since), ("<", wanted.until)):
        if at:
            yield "at", (f"{of}.at {sign} %s", stamp(at))


def stamp(at: datetime) -> str:
    """Return a time as a parameter to compare with stored times."""
    return bound(frames.stamp(at))


def bound(at: str) -> str:
    """Return a time that is already text as a parameter to compare with stored times."""
    return at + ("+00" if frames.on_postgres() else "")


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
