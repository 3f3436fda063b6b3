"""A page of the list with exact numbers: how many users match, and how many of them are in each state.

The states of all users are counted from narrow indexes, and kept until the audit trail has a new link. Users who match
a search are counted one by one if they are few, or if the agency is small.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any

from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.storage import frames
from musterbook.directory.users import filters, states, user_list
from musterbook.directory.users.candidates import CandidateLookup, fetch_rows, select_users
from musterbook.directory.users.filters import USERS, Condition, IndexPath, UserFilters
from musterbook.directory.users.user_list import Position, UserPage

_SMALL = 100_000
"""In an agency of at most this many users, every search is counted exactly."""
_MOST, _MOST_WITH_WORDS = 10_000, 1_000
"""The most users that a search of a larger agency is counted up to, and the most if it has words and filters.

With both, the texts of each user are read, so that limit is lower.
"""
_KEPT_FOR = 60
"""Seconds after which kept numbers are counted again, because invitations expire without an event."""
_MOST_KEPT = 200
_kept: OrderedDict[tuple[int, str], tuple[int, datetime, dict[str, int]]] = OrderedDict()
"""Agency and what is counted → the last link of the trail, the time, and the numbers."""
_lock = Lock()


@dataclass(frozen=True, slots=True)
class CountedPage:
    """A page of users, with numbers.

    `number`: how many users match; if `is_more`, there are more than that. `by_state`: the numbers of users in each
    state who pass all other filters, or None if counting them would take too long.
    """

    page: UserPage
    number: int
    is_more: bool
    by_state: dict[str, int] | None


def read_page(agency: models.Agency, criteria: UserFilters, position: Position, at: datetime) -> CountedPage:
    """Return the page at this position, with numbers. Raise UnknownSort, UnknownStatus and UnknownCursor."""
    lookup = CandidateLookup(agency, search_index.split_words(criteria.text))
    page = user_list.read_position(lookup, criteria, position, at)
    by_state = _count_states(agency, criteria, at, lookup)
    if by_state is not None:
        return CountedPage(
            page, by_state[criteria.status] if criteria.status else sum(by_state.values()), False, by_state
        )
    number = _count_one_condition(agency, criteria, at)
    if number is not None:
        return CountedPage(page, number, False, None)
    most = _MOST_WITH_WORDS if lookup.words and any(filters.build_conditions(criteria, at)) else _MOST
    number = user_list.count_found(lookup, criteria, at, most)
    return CountedPage(page, min(number, most), number > most, None)


def count_by_state(agency: models.Agency, at: datetime) -> dict[str, int]:
    """Return how many users of the agency are in each of states.STATES at that time, in that order."""
    return _keep(agency, "states", at, lambda: _count_all(agency, at))


def _count_states(
    agency: models.Agency, criteria: UserFilters, at: datetime, lookup: CandidateLookup
) -> dict[str, int] | None:
    """Return how many users in each state pass the filters other than that of the state, or None if it takes too long."""
    everyone, others = count_by_state(agency, at), replace(criteria, status="")
    if others == UserFilters():
        return everyone
    total = sum(everyone.values())
    conditions = tuple(filters.build_conditions(others, at))
    if total <= _SMALL and not lookup.words:
        return _group(f"{USERS} u WHERE u.agency_id = %s", agency.pk, conditions, at)
    most = total if total <= _SMALL else _MOST
    few = lookup.find_few(conditions, most, most)
    if few is None:
        return None
    source, parameter = select_users(few.ids)
    return _group(source, parameter, few.unchecked, at)


def _group(source: str, parameter: Any, conditions: tuple[Condition, ...], at: datetime) -> dict[str, int]:
    state, values = states.build_state_sql("u.", at)
    tests = "".join(f" AND ({condition.sql})" for condition in conditions)
    parameters = [*values, parameter, *(value for one in conditions for value in one.parameters)]
    counted = dict(fetch_rows(f"SELECT {state} AS state, count(*) FROM {source}{tests} GROUP BY 1", parameters))
    return {name: counted.get(name, 0) for name in states.STATES}


def _count_all(agency: models.Agency, at: datetime) -> dict[str, int]:
    """Count the narrow states by their indexes. The others are Active, which is faster than to count those."""
    total = fetch_rows(f"SELECT count(*) FROM {USERS} u WHERE u.agency_id = %s", [agency.pk])[0][0]
    numbers = {name: _count_condition(agency, filters.match_status(name, at)) for name in states.STATES[1:]}
    return {states.STATES[0]: total - sum(numbers.values()), **numbers}


def _count_one_condition(agency: models.Agency, criteria: UserFilters, at: datetime) -> int | None:
    """Return how many users pass the only filter, from its index; None if there are several filters, or words."""
    conditions = list(filters.build_conditions(criteria, at))
    if criteria.text or len(conditions) != 1 or not conditions[0].exact or any(one.ids for one in conditions[0].paths):
        return None
    (condition,) = conditions
    numbers = _keep(agency, repr(criteria), at, lambda: {"": _count_condition(agency, condition)})
    return numbers[""]


def _count_condition(agency: models.Agency, condition: Condition) -> int:
    return sum(_count_path(agency, path, condition) for path in condition.paths)


def _count_path(agency: models.Agency, path: IndexPath, condition: Condition) -> int:
    hint = "" if frames.on_postgres() else f" INDEXED BY {path.index}"
    sql = f"SELECT count(*) FROM {USERS} u{hint} WHERE u.agency_id = %s AND {path.sql}"
    parameters = [agency.pk, *path.parameters]
    if not condition.exact:
        sql, parameters = f"{sql} AND {condition.sql}", [*parameters, *condition.parameters]
    return int(fetch_rows(sql, parameters)[0][0])


def _keep(agency: models.Agency, name: str, at: datetime, count: Any) -> dict[str, int]:
    """Return the numbers as they were counted last, if nothing has changed since and there are many users."""
    link = _read_last_link(agency)
    with _lock:
        kept = _kept.get((agency.pk, name))
    if kept and kept[0] == link and 0 <= (at - kept[1]).total_seconds() < _KEPT_FOR:
        return dict(kept[2])
    numbers: dict[str, int] = count()
    if sum(numbers.values()) > _MOST:
        with _lock:
            _kept[agency.pk, name] = (link, at, numbers)
            _kept.move_to_end((agency.pk, name))
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return dict(numbers)


def _read_last_link(agency: models.Agency) -> int:
    """Return the number of the last link of the agency's trail. Every change of a user adds one."""
    links = models.TrailLink.objects.filter(agency=agency).order_by("-number").values_list("number", flat=True)
    return next(iter(links[:1]), 0)
