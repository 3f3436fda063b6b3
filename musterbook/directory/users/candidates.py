"""The candidate set of a list: the users who pass its conditions and words, if they are few.

They are found by the narrowest index, and looked up once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from django.db import connection

from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.storage import frames
from musterbook.directory.users import filters
from musterbook.directory.users.filters import USERS, Condition

_MANY, _READ_FIRST = 50_000, 5_000
"""The most candidates that are looked up, and the most whose texts are read before all users are searched."""
TEXTS = {"id": pl.Int64, **dict.fromkeys(search_index.SEARCHED, pl.String)}
"""The columns that are read of users to check whether they have the words."""


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """A candidate set that includes all matching users: their ids, and the conditions that are still to be checked."""

    ids: list[int]
    unchecked: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class CandidateLookup:
    """A lookup of users who meet conditions and have words; it keeps its results, for a page and its count."""

    agency: models.Agency
    words: tuple[str, ...]
    _ids_by_condition: dict[Condition, tuple[int, list[int] | None]] = field(default_factory=dict)
    _ids_by_limit: dict[int, list[int] | None] = field(default_factory=dict)
    _many_by_conditions: dict[tuple[Condition, ...], CandidateSet | None] = field(default_factory=dict)

    def find_few(self, conditions: tuple[Condition, ...], most: int, word_limit: int) -> CandidateSet | None:
        """Return all users who have the words and may meet the conditions.

        Return None if each condition lets more than `most` through, and more than `word_limit` have the words.
        """
        narrow = {one: ids for one in conditions if (ids := self.ids(one, most)) is not None}
        ids = sorted(set.intersection(*map(set, narrow.values()))) if narrow else None
        unchecked = tuple(one for one in conditions if one not in narrow or not one.exact)
        if not self.words or (ids is not None and len(ids) <= _READ_FIRST):
            return None if ids is None else CandidateSet(self.filter_by_words(ids), unchecked)
        # If a condition lets many through as well, the few users who have both are far apart, and no walk meets them
        # soon.
        with_words = self.find_by_words(max(word_limit, _MANY) if conditions else word_limit)
        if with_words is not None:
            return CandidateSet(with_words, conditions)
        return None if ids is None else CandidateSet(self.filter_by_words(ids), unchecked)

    def ids(self, condition: Condition, most: int) -> list[int] | None:
        """Return the ids of all users who pass the condition, or None if there are more than `most`."""
        limit, ids = self._ids_by_condition.get(condition, (0, None))
        if ids is None and limit < most:
            ids = filters.find_few_ids(self.agency, condition, most)
            self._ids_by_condition[condition] = (most, ids)
        return ids if ids is not None and len(ids) <= most else None

    def find_by_words(self, most: int) -> list[int] | None:
        """Return the ids of all users who have the words, or None if there are more than `most`."""
        wider = next((limit for limit in self._ids_by_limit if limit >= most), None)
        if wider is not None:
            ids = self._ids_by_limit[wider]
            return ids if ids is not None and len(ids) <= most else None
        self._ids_by_limit[most] = search_index.find_ids(self.agency, self.words, most)
        return self._ids_by_limit[most]

    def find_many(self, conditions: tuple[Condition, ...]) -> CandidateSet | None:
        """Return the same as `find_few`, with higher limits, for a walk that is slow to meet the users."""
        if conditions not in self._many_by_conditions:
            joined = frames.on_postgres() and not self.words
            self._many_by_conditions[conditions] = (
                self._join_indexes(conditions) if joined else _check_candidates(self.find_few(conditions, _MANY, _MANY))
            )
        return self._many_by_conditions[conditions]

    def _join_indexes(self, conditions: tuple[Condition, ...]) -> CandidateSet | None:
        """Return all users who meet the conditions, unless they are many.

        PostgreSQL joins indexes faster than it returns their ids.
        """
        tests = " AND ".join(f"({condition.hint}) AND {condition.sql}" for condition in conditions)
        values = [value for c in conditions for value in (*c.hints, *c.parameters)]
        sql = f"SELECT u.id FROM {USERS} u WHERE u.agency_id = %s AND {tests} LIMIT %s"
        ids = [row[0] for row in fetch_rows(sql, [self.agency.pk, *values, _MANY + 1])]
        return None if len(ids) > _MANY else CandidateSet(ids)

    def filter_by_words(self, ids: list[int]) -> list[int]:
        """Return the ids of those users who have the words."""
        if not self.words:
            return ids
        source, parameter = select_users(ids)
        names = ", ".join(f"u.{name}" for name in search_index.SEARCHED)
        users = frames.read_frame(f"SELECT u.id, {names} FROM {source}", [parameter], TEXTS)
        return search_index.filter_users(users, self.words)["id"].to_list()

    def get_found(self, conditions: tuple[Condition, ...]) -> CandidateSet | None:
        """Return what `find_many` has found before, if it has been called."""
        return self._many_by_conditions.get(conditions)


def _check_candidates(candidates: CandidateSet | None) -> CandidateSet | None:
    """Return the users who meet the conditions, so that sorting and counting them checks them only once."""
    if candidates is None or not candidates.unchecked:
        return candidates
    source, parameter = select_users(candidates.ids)
    tests = " AND ".join(one.sql for one in candidates.unchecked)
    values = [value for one in candidates.unchecked for value in one.parameters]
    return CandidateSet([row[0] for row in fetch_rows(f"SELECT u.id FROM {source} AND {tests}", [parameter, *values])])


def count_candidates(candidates: CandidateSet) -> int:
    """Return how many of them meet the conditions."""
    checked = _check_candidates(candidates)
    return len(checked.ids) if checked else 0


def select_users(ids: list[int]) -> tuple[str, Any]:
    """Return the users of the ids as a FROM clause, and its parameter.

    They are found by their ids, regardless of the other conditions.
    """
    condition, parameter = frames.match_any("u.id", ids)
    if frames.on_postgres():
        return f"{USERS} u WHERE {condition}", parameter
    return f"json_each(%s) j CROSS JOIN {USERS} u WHERE u.id = j.value", parameter


def fetch_rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
