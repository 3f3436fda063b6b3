"""Whom the conditions and words of a list let through, if they are few: looked for by the narrowest index, and once."""

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

_MANY, _SOON_TRIED = 50_000, 5_000
"""More are not looked for; so many have their texts read sooner than all are searched."""
TEXTS = {"id": pl.Int64, **dict.fromkeys(search_index.SEARCHED, pl.String)}
"""What is read of users, to see whether they have the words."""


@dataclass(frozen=True, slots=True)
class Found:
    """Users among whom the wanted ones are: their ids, and the conditions by which they are still to be tried."""

    ids: list[int]
    untried: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Finds users who meet conditions and have words; keeps what it has looked up, for a page and its count."""

    agency: models.Agency
    words: tuple[str, ...]
    _met: dict[Condition, tuple[int, list[int] | None]] = field(default_factory=dict)
    _having: dict[int, list[int] | None] = field(default_factory=dict)
    _many: dict[tuple[Condition, ...], Found | None] = field(default_factory=dict)

    def few(self, conditions: tuple[Condition, ...], most: int, found: int) -> Found | None:
        """All who have the words and may meet the conditions; None if there are more than `most` for each condition, and
        more than `found` with the words.
        """
        narrow = {one: ids for one in conditions if (ids := self.ids(one, most)) is not None}
        ids = sorted(set.intersection(*map(set, narrow.values()))) if narrow else None
        untried = tuple(one for one in conditions if one not in narrow or not one.exact)
        if not self.words or (ids is not None and len(ids) <= _SOON_TRIED):
            return None if ids is None else Found(self.tried(ids), untried)
        # Where a condition lets many through as well, the few who have both stand far apart: no walk meets them soon.
        have = self.having(max(found, _MANY) if conditions else found)
        if have is not None:
            return Found(have, conditions)
        return None if ids is None else Found(self.tried(ids), untried)

    def ids(self, condition: Condition, most: int) -> list[int] | None:
        """The ids of all whom the condition lets through; None if they are more than `most`."""
        asked, ids = self._met.get(condition, (0, None))
        if ids is None and asked < most:
            ids = filters.few(self.agency, condition, most)
            self._met[condition] = (most, ids)
        return ids if ids is not None and len(ids) <= most else None

    def having(self, most: int) -> list[int] | None:
        """The ids of all who have the words; None if they are more than `most`."""
        if most not in self._having:
            self._having[most] = search_index.found(self.agency, self.words, most)
        return self._having[most]

    def many(self, conditions: tuple[Condition, ...]) -> Found | None:
        """The same as `few`, for a walk that is slow to meet them."""
        if conditions not in self._many:
            joined = frames.on_postgres() and not self.words
            self._many[conditions] = self._joined(conditions) if joined else _tried(self.few(conditions, _MANY, _MANY))
        return self._many[conditions]

    def _joined(self, conditions: tuple[Condition, ...]) -> Found | None:
        """All who meet the conditions, unless they are many: PostgreSQL joins indexes better than it gives out their ids."""
        tests = " AND ".join(f"({condition.hint}) AND {condition.sql}" for condition in conditions)
        given = [value for c in conditions for value in (*c.hints, *c.parameters)]
        sql = f"SELECT u.id FROM {USERS} u WHERE u.agency_id = %s AND {tests} LIMIT %s"
        ids = [row[0] for row in rows(sql, [self.agency.pk, *given, _MANY + 1])]
        return None if len(ids) > _MANY else Found(ids)

    def tried(self, ids: list[int]) -> list[int]:
        """Those of the ids who have the words."""
        if not self.words:
            return ids
        source, parameter = among(ids)
        listed = ", ".join(f"u.{name}" for name in search_index.SEARCHED)
        users = frames.read(f"SELECT u.id, {listed} FROM {source}", [parameter], TEXTS)
        return search_index.holding(users, self.words)["id"].to_list()

    def known(self, conditions: tuple[Condition, ...]) -> Found | None:
        """What `many` has found before, if it has been asked."""
        return self._many.get(conditions)


def _tried(found: Found | None) -> Found | None:
    """Those who meet the conditions: they are sorted and counted, and tried but once."""
    if found is None or not found.untried:
        return found
    source, parameter = among(found.ids)
    tests = " AND ".join(one.sql for one in found.untried)
    given = [value for one in found.untried for value in one.parameters]
    return Found([row[0] for row in rows(f"SELECT u.id FROM {source} AND {tests}", [parameter, *given])])


def counted(found: Found) -> int:
    """How many of them meet the conditions."""
    tried = _tried(found)
    return len(tried.ids) if tried else 0


def among(ids: list[int]) -> tuple[str, Any]:
    """The users of the ids, as what follows FROM, and its parameter; found by their ids, whatever else is asked."""
    condition, parameter = frames.among("u.id", ids)
    if frames.on_postgres():
        return f"{USERS} u WHERE {condition}", parameter
    return f"json_each(%s) j CROSS JOIN {USERS} u WHERE u.id = j.value", parameter


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
