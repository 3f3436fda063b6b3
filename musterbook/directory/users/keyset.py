"""Keyset pagination of a list of users: few users are sorted, and many are found along the order's index.

The users who pass a filter are found by an index of its own. If they are few, they are sorted. If they are many, the
index of the order is walked, and each user checked, until there are enough. If that is slow, the many are sorted after
all.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from musterbook.directory.apply import search_index
from musterbook.directory.storage import frames
from musterbook.directory.users.candidates import (
    TEXTS,
    CandidateLookup,
    CandidateSet,
    count_candidates,
    fetch_rows,
    select_users,
)
from musterbook.directory.users.filters import USERS, Condition
from musterbook.directory.users.orders import Cursor, Order, Section

_FEW, _FOUND = 4_000, 10_000
"""The most users that are sorted at once: those who pass a filter, and those that a search finds."""
_STEP, _READ_STEP, _LONGEST_STEP = 5_000, 500, 50_000
"""A walk's first step in users, its first step if their texts must be read, and its longest later step."""


@dataclass(frozen=True)
class Listing:
    """The users who meet the conditions and have the words, in an order; all methods go downwards if `descending`."""

    lookup: CandidateLookup
    conditions: tuple[Condition, ...]
    order: Order
    descending: bool

    def find_next(self, start: Cursor | None, number: int) -> list[Cursor]:
        """Return the cursors of the next users after the start, no more than `number`.

        A few matching users are sorted. Otherwise, each section of the order is walked along its index.
        """
        few = self.lookup.find_few(self.conditions, _FEW, _FOUND)
        if few is not None:
            return self._sort_candidates(few, start, number)
        cursors: list[Cursor] = []
        for section in self._sections(start):
            after = start if start and start.mark == section.mark else None
            part = replace(
                self, conditions=(*self.conditions, *_iter_condition(section.condition)), order=Order((section,))
            )
            ids = self.lookup.ids(section.condition, _FEW) if section.condition else None
            lacking = number - len(cursors)
            if ids is None:
                cursors += part.walk(section, after, lacking)
            else:
                cursors += part.sort_section(section, self.lookup.filter_by_words(ids), after, lacking)
            if len(cursors) == number:
                break
        return cursors

    def _sections(self, start: Cursor | None) -> Iterable[Section]:
        """Return the sections from that of the start on."""
        sections = self.order.sections
        if self.descending:
            return reversed(sections[: self.order.number(start) + 1] if start else sections)
        return sections[self.order.number(start) :] if start else sections

    def _sort_candidates(self, candidates: CandidateSet, start: Cursor | None, number: int) -> list[Cursor]:
        """Return the next cursors of these users, sorted."""
        if self.order.mark:
            return replace(self, conditions=candidates.unchecked).sort_by_marks(candidates.ids, start, number)
        cursors: list[Cursor] = []
        for section in self._sections(start):
            after = start if start and start.mark == section.mark else None
            part = replace(self, conditions=(*candidates.unchecked, *_iter_condition(section.condition)))
            cursors += part.sort_section(section, candidates.ids, after, number - len(cursors))
        return cursors

    def sort_section(self, section: Section, ids: list[int], after: Cursor | None, number: int) -> list[Cursor]:
        """Return the next cursors of these users in one section."""
        source, parameter = select_users(ids)
        beyond, values = self._build_seek(section, after)
        # Materialized, so that no planner walks an order and expects to meet them.
        sql = (
            f"WITH found AS MATERIALIZED (SELECT u.id, u.{section.column} AS k FROM {source}"
            f" AND {self._condition_sql} AND {beyond})"
            f" SELECT CAST(k AS text), id FROM found ORDER BY k {self._direction}, id {self._direction} LIMIT %s"
        )
        return self._fetch_cursors(section, sql, [parameter, *self._parameters, *values, number])

    def sort_by_marks(self, ids: list[int], start: Cursor | None, number: int) -> list[Cursor]:
        """Return the next cursors of these users in all sections.

        All sections are sorted by name, and the order here is the same as there.
        """
        source, parameter = select_users(ids)
        sql = f"SELECT {self.order.mark}, u.name_key, u.id FROM {source} AND {self._condition_sql}"
        numbers = {section.mark: number for number, section in enumerate(self.order.sections)}
        records = fetch_rows(sql, [*self.order.parameters, parameter, *self._parameters])
        positions = [(numbers[mark], key, user) for mark, key, user in records if mark in numbers]
        if start:
            here = (self.order.number(start), start.key, start.id)
            positions = [place for place in positions if (place < here if self.descending else place > here)]
        positions.sort(reverse=self.descending)
        return [Cursor(self.order.sections[section].mark, key, user) for section, key, user in positions[:number]]

    def walk(self, section: Section, after: Cursor | None, number: int) -> list[Cursor]:
        """Return the next cursors in one section, step by step along its index."""
        if not self.conditions and not self.lookup.words:
            return self._read_between(section, after, None, number)
        cursors: list[Cursor] = []
        few: CandidateSet | None = None
        visited, step = 0, _READ_STEP if self.lookup.words else _STEP
        while True:
            end = self._look_ahead(section, after, step)
            cursors += self._read_between(section, after, end, number - len(cursors))
            if end is None or len(cursors) == number:
                return cursors
            after, visited_before, visited, step = end, visited, visited + step, min(step * 4, _LONGEST_STEP)
            if visited_before < _STEP <= visited:
                few = self.lookup.find_many(self.conditions)
            if few is not None and len(few.ids) <= visited * 4:
                part = replace(self, conditions=few.unchecked)
                return cursors + part.sort_section(section, few.ids, after, number - len(cursors))

    def _look_ahead(self, section: Section, after: Cursor | None, step: int) -> Cursor | None:
        """Return the cursor `step` users ahead, matching or not, or None beyond the end."""
        beyond, values = self._build_seek(section, after)
        sql = f"{self._build_select(section)} AND {beyond} {self._build_order(section)} LIMIT 1 OFFSET %s"
        return next(iter(self._fetch_cursors(section, sql, [self.lookup.agency.pk, *values, step])), None)

    def _read_between(self, section: Section, after: Cursor | None, end: Cursor | None, number: int) -> list[Cursor]:
        """Return the cursors after `after`, and up to `end`, of users who meet the conditions and have the words."""
        beyond, values = self._build_seek(section, after)
        until, end_values = self._build_seek(section, end, until=True)
        # Hidden from the planner, which would find them by another index, and sort.
        tests = f"CASE WHEN {self._condition_sql} THEN TRUE ELSE FALSE END"
        rest = f" AND {beyond} AND {until} AND {tests} {self._build_order(section)}"
        parameters = [self.lookup.agency.pk, *values, *end_values, *self._parameters]
        if not self.lookup.words:
            return self._fetch_cursors(section, f"{self._build_select(section)}{rest} LIMIT %s", [*parameters, number])
        names = ", ".join(f"u.{name}" for name in search_index.SEARCHED)
        sql = f"{self._build_select(section, names)}{rest}"
        users = frames.read_frame(sql, parameters, {"key": pl.String, **TEXTS})
        return [
            Cursor(section.mark, key, user)
            for key, user in search_index.filter_users(users, self.lookup.words).select("key", "id").head(number).rows()
        ]

    def _build_select(self, section: Section, more: str = "") -> str:
        """Return the query of the section's users along its index, which SQLite gets as a hint."""
        hint = f" INDEXED BY {section.index}" if section.index and not frames.on_postgres() else ""
        names = f"CAST(u.{section.column} AS text), u.id" + (f", {more}" if more else "")
        sure = " AND u.last_sign_in_at IS NOT NULL" if section.index == "user_signed_in" else ""
        return f"SELECT {names} FROM {USERS} u{hint} WHERE u.agency_id = %s{sure}"

    def _build_order(self, section: Section) -> str:
        return "ORDER BY " + ", ".join(f"{key} {self._direction}" for key in section.keys)

    def _build_seek(self, section: Section, cursor: Cursor | None, *, until: bool = False) -> tuple[str, list[Any]]:
        """Return the condition that a user is after the cursor, or with `until` no further, and its parameters."""
        if cursor is None:
            return "TRUE", []
        sign = ("<" if self.descending != until else ">") + ("=" if until else "")
        values = [cursor.key, cursor.id][: len(section.keys)]
        return f"(({', '.join(section.keys)}) {sign} ({', '.join(['%s'] * len(values))}))", values

    @property
    def _direction(self) -> str:
        return "DESC" if self.descending else "ASC"

    @cached_property
    def _condition_sql(self) -> str:
        return " AND ".join(condition.sql for condition in self.conditions) or "TRUE"

    @cached_property
    def _parameters(self) -> list[Any]:
        return [value for condition in self.conditions for value in condition.parameters]

    @staticmethod
    def _fetch_cursors(section: Section, sql: str, parameters: Sequence[Any]) -> list[Cursor]:
        return [Cursor(section.mark, key, user) for key, user in fetch_rows(sql, parameters)]

    def count(self, most: int) -> int:
        """Return how many there are; `most` + 1 if there are more."""
        few = self.lookup.find_few(self.conditions, max(most, _FEW), most) or self.lookup.get_found(self.conditions)
        if few is not None:
            return min(count_candidates(few), most + 1)
        if self.lookup.words and self.conditions:
            return len(self.find_next(None, most + 1))
        if self.lookup.words or [condition.exact for condition in self.conditions] == [True]:
            return most + 1
        source, parameters = f"{USERS} u WHERE u.agency_id = %s", list[Any]([self.lookup.agency.pk])
        if self.conditions and not frames.on_postgres():
            paths = self.conditions[0].paths
            ids = " UNION ALL ".join(way.query() for way in paths)
            source = f"({ids}) w CROSS JOIN {USERS} u WHERE u.id = w.id"
            parameters = [value for way in paths for value in (self.lookup.agency.pk, *way.parameters)]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} AND {self._condition_sql} LIMIT %s) counted"
        return int(fetch_rows(sql, [*parameters, *self._parameters, most + 1])[0][0])


def _iter_condition(condition: Condition | None) -> Iterator[Condition]:
    if condition:
        yield condition
