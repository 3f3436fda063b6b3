"""How a list of users finds its next ones: by the narrowest index if they are few, along the order's index if they are many.

Whom a filter lets through is looked for by an index of its own. If they are few, they are sorted. If they are many, the
index of the order is walked, and each user tried, until there are enough; if that is slow, the many are sorted after all.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl
from django.db import connection

from musterbook.directory import filters, frames, models, search
from musterbook.directory.filters import USERS, Condition
from musterbook.directory.orders import Order, Place, Section

_FEW, _FOUND, _MANY = 4_000, 10_000, 50_000
"""So many whom a filter lets through, or a search finds, are sorted at once; so many if a walk is slow to meet them."""
_STEP, _READ_STEP, _LONGEST_STEP = 5_000, 500, 50_000
"""A walk's first step in users, the same if their texts must be read, and the longest of its later steps."""


@dataclass(frozen=True)
class Listing:
    """Users who meet the conditions and have the words, in an order; all ways lead downwards if `descending`."""

    agency: models.Agency
    conditions: tuple[Condition, ...]
    words: tuple[str, ...]
    order: Order
    descending: bool
    _have: dict[int, list[int] | None] = field(default_factory=dict, compare=False)
    """What was found with the words, by how many were asked for at most: a page and its count look once."""

    def following(self, start: Place | None, number: int) -> list[Place]:
        """The places of the next users after the start, no more than so many."""
        few = self._few(_FEW, _FOUND)
        if few is not None:
            return self._picked(few, start, number)
        places: list[Place] = []
        for section in self._sections(start):
            after = start if start and start.mark == section.mark else None
            part = replace(self, conditions=(*self.conditions, *_given(section.condition)), order=Order((section,)))
            few = filters.few(self.agency, section.condition, _FEW) if section.condition else None
            lacking = number - len(places)
            if few is None:
                places += part.walked(section, after, lacking)
            else:
                places += part.sorted_in(section, part.tried(few), after, lacking)
            if len(places) == number:
                break
        return places

    def _sections(self, start: Place | None) -> Iterable[Section]:
        """The sections from the start's on."""
        sections = self.order.sections
        if self.descending:
            return reversed(sections[: self.order.number(start) + 1] if start else sections)
        return sections[self.order.number(start) :] if start else sections

    def _few(self, most: int, found: int) -> list[int] | None:
        """The ids of all who have the words and may meet the conditions; None if there are more than `most` for each
        condition, and more than `found` with the words.
        """
        narrow = [
            ids for condition in self.conditions if (ids := filters.few(self.agency, condition, most)) is not None
        ]
        ids = sorted(set(narrow[0]).intersection(*narrow[1:])) if narrow else None
        if not self.words or (ids is not None and len(ids) <= _STEP):
            return None if ids is None else self.tried(ids)
        # Where a condition lets many through as well, the few who have both stand far apart: no walk meets them soon.
        found = max(found, _MANY) if self.conditions else found
        if found not in self._have:
            self._have[found] = search.found(self.agency, self.words, found)
        have = self._have[found]
        return have if have is not None or ids is None else self.tried(ids)

    def _many(self) -> list[int] | None:
        """The same for a walk that is slow to meet them. PostgreSQL joins indexes better than it gives out their ids."""
        if not frames.on_postgres() or self.words:
            return self._few(_MANY, _MANY)
        tests = " AND ".join(f"({condition.hint}) AND {condition.sql}" for condition in self.conditions)
        given = [value for c in self.conditions for value in (*c.hints, *c.parameters)]
        sql = f"SELECT u.id FROM {USERS} u WHERE u.agency_id = %s AND {tests} LIMIT %s"
        ids = [row[0] for row in _rows(sql, [self.agency.pk, *given, _MANY + 1])]
        return None if len(ids) > _MANY else ids

    def tried(self, ids: list[int]) -> list[int]:
        """Those of the ids who have the words."""
        if not self.words:
            return ids
        source, parameter = _among(ids)
        listed = ", ".join(f"u.{name}" for name in search.SEARCHED)
        users = frames.read(f"SELECT u.id, {listed} FROM {source}", [parameter], _TEXTS)
        return search.holding(users, self.words)["id"].to_list()

    def _picked(self, ids: list[int], start: Place | None, number: int) -> list[Place]:
        """The next places of these users, sorted."""
        if self.order.mark:
            return self._sorted_by_marks(ids, start, number)
        places: list[Place] = []
        for section in self._sections(start):
            after = start if start and start.mark == section.mark else None
            part = replace(self, conditions=(*self.conditions, *_given(section.condition)))
            places += part.sorted_in(section, ids, after, number - len(places))
        return places

    def sorted_in(self, section: Section, ids: list[int], after: Place | None, number: int) -> list[Place]:
        """The next places of these users in one section."""
        source, parameter = _among(ids)
        beyond, given = self._beyond(section, after)
        # Apart, so that no planner walks an order in the hope of them.
        sql = (
            f"WITH found AS MATERIALIZED (SELECT u.id, u.{section.column} AS k FROM {source} AND {self._tests} AND {beyond})"
            f" SELECT CAST(k AS text), id FROM found ORDER BY k {self._way}, id {self._way} LIMIT %s"
        )
        return self._places(section, sql, [parameter, *self._given, *given, number])

    def _sorted_by_marks(self, ids: list[int], start: Place | None, number: int) -> list[Place]:
        """The next places of these users in all sections, which are all by name; that is sorted here as there."""
        source, parameter = _among(ids)
        sql = f"SELECT {self.order.mark}, u.name_key, u.id FROM {source} AND {self._tests}"
        numbers = {section.mark: number for number, section in enumerate(self.order.sections)}
        rows = _rows(sql, [*self.order.parameters, parameter, *self._given])
        places = [(numbers[mark], key, user) for mark, key, user in rows if mark in numbers]
        if start:
            here = (self.order.number(start), start.key, start.id)
            places = [place for place in places if (place < here if self.descending else place > here)]
        places.sort(reverse=self.descending)
        return [Place(self.order.sections[section].mark, key, user) for section, key, user in places[:number]]

    def walked(self, section: Section, after: Place | None, number: int) -> list[Place]:
        """The next places in one section, step by step along its index."""
        if not self.conditions and not self.words:
            return self._between(section, after, None, number)
        places: list[Place] = []
        few: list[int] | None = None
        looked, step = 0, _READ_STEP if self.words else _STEP
        while True:
            end = self._ahead(section, after, step)
            places += self._between(section, after, end, number - len(places))
            if end is None or len(places) == number:
                return places
            after, before, looked, step = end, looked, looked + step, min(step * 4, _LONGEST_STEP)
            if before < _STEP <= looked:
                few = self._many()
            if few is not None and len(few) <= looked * 4:
                return places + self.sorted_in(section, few, after, number - len(places))

    def _ahead(self, section: Section, after: Place | None, step: int) -> Place | None:
        """The place so many users ahead, whoever they are; None beyond the end."""
        beyond, given = self._beyond(section, after)
        sql = f"{self._along(section)} AND {beyond} {self._by(section)} LIMIT 1 OFFSET %s"
        return next(iter(self._places(section, sql, [self.agency.pk, *given, step])), None)

    def _between(self, section: Section, after: Place | None, end: Place | None, number: int) -> list[Place]:
        """The places after the one, and no further than the other, of users who meet the conditions and have the words."""
        beyond, given = self._beyond(section, after)
        until, given_end = self._beyond(section, end, until=True)
        # Hidden from the planner, which would look for them by another index, and sort.
        tests = f"CASE WHEN {self._tests} THEN TRUE ELSE FALSE END"
        rest = f" AND {beyond} AND {until} AND {tests} {self._by(section)}"
        parameters = [self.agency.pk, *given, *given_end, *self._given]
        if not self.words:
            return self._places(section, f"{self._along(section)}{rest} LIMIT %s", [*parameters, number])
        listed = ", ".join(f"u.{name}" for name in search.SEARCHED)
        sql = f"{self._along(section, listed)}{rest}"
        users = frames.read(sql, parameters, {"key": pl.String, **_TEXTS})
        return [
            Place(section.mark, key, user)
            for key, user in search.holding(users, self.words).select("key", "id").head(number).rows()
        ]

    def _along(self, section: Section, more: str = "") -> str:
        """The query of the section's users along its index; SQLite is told to take it."""
        hint = f" INDEXED BY {section.index}" if section.index and not frames.on_postgres() else ""
        listed = f"CAST(u.{section.column} AS text), u.id" + (f", {more}" if more else "")
        sure = " AND u.last_sign_in_at IS NOT NULL" if section.index == "user_signed_in" else ""
        return f"SELECT {listed} FROM {USERS} u{hint} WHERE u.agency_id = %s{sure}"

    def _by(self, section: Section) -> str:
        return "ORDER BY " + ", ".join(f"{key} {self._way}" for key in section.keys)

    def _beyond(self, section: Section, place: Place | None, *, until: bool = False) -> tuple[str, list[Any]]:
        """The condition that a user stands after the place, or with `until` no further, and its parameters."""
        if place is None:
            return "TRUE", []
        sign = ("<" if self.descending != until else ">") + ("=" if until else "")
        values = [place.key, place.id][: len(section.keys)]
        return f"(({', '.join(section.keys)}) {sign} ({', '.join(['%s'] * len(values))}))", values

    @property
    def _way(self) -> str:
        return "DESC" if self.descending else "ASC"

    @cached_property
    def _tests(self) -> str:
        return " AND ".join(condition.sql for condition in self.conditions) or "TRUE"

    @cached_property
    def _given(self) -> list[Any]:
        return [value for condition in self.conditions for value in condition.parameters]

    @staticmethod
    def _places(section: Section, sql: str, parameters: Sequence[Any]) -> list[Place]:
        return [Place(section.mark, key, user) for key, user in _rows(sql, parameters)]

    def count(self, most: int) -> int:
        """How many there are; `most` + 1 if there are more."""
        few = self._few(most, most)
        if few is not None:
            source, parameter = _among(few)
            return int(_rows(f"SELECT count(*) FROM {source} AND {self._tests}", [parameter, *self._given])[0][0])
        if self.words and self.conditions:
            return len(self.following(None, most + 1))
        if self.words or [condition.exact for condition in self.conditions] == [True]:
            return most + 1
        source, given = f"{USERS} u WHERE u.agency_id = %s", list[Any]([self.agency.pk])
        if self.conditions and not frames.on_postgres():
            ways = self.conditions[0].ways
            ids = " UNION ALL ".join(way.query() for way in ways)
            source = f"({ids}) w CROSS JOIN {USERS} u WHERE u.id = w.id"
            given = [value for way in ways for value in (self.agency.pk, *way.parameters)]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} AND {self._tests} LIMIT %s) counted"
        return int(_rows(sql, [*given, *self._given, most + 1])[0][0])


_TEXTS = {"id": pl.Int64, **dict.fromkeys(search.SEARCHED, pl.String)}


def _given(condition: Condition | None) -> Iterator[Condition]:
    if condition:
        yield condition


def _among(ids: list[int]) -> tuple[str, Any]:
    """The users of the ids, as what follows FROM, and its parameter; found by their ids, whatever else is asked."""
    condition, parameter = frames.among("u.id", ids)
    if frames.on_postgres():
        return f"{USERS} u WHERE {condition}", parameter
    return f"json_each(%s) j CROSS JOIN {USERS} u WHERE u.id = j.value", parameter


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
