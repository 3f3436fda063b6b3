"""Queries of the users that a provider sees: conditions that may be nested, page by page, in any supported order.

A condition is exact, or a wider one that SQL can check quickly, after which each user is checked by itself. What
providers ask for in practice is exact and has an index. The rest is bounded: an answer looks at MOST_EXAMINED users.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.db.models import Exists, F, Manager, OuterRef, Q, QuerySet, TextField, Value, lookups
from django.db.models.functions import Cast, Collate, Length, Right, StrIndex

from musterbook.core.values.keys import make_key
from musterbook.directory import models
from musterbook.directory.storage import frames
from musterbook.directory.users import provisioning
from musterbook.directory.users.provisioning import MADE, MADE_LENGTH, Provisioned

MOST_EXAMINED = 5_000
"""The most users that one answer checks one by one."""
_AT_ONCE = 500


class TooManyUsers(Exception):
    """The condition leaves more users to check one by one than MOST_EXAMINED."""


class InvalidPosition(Exception):
    """The position belongs to another order."""


class Operator(StrEnum):
    """How a value is compared."""

    EQ, NE, CO, SW, EW, GT, GE, LT, LE = "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on users. All that meet it meet `test`, and if it is `exact`, no others do.

    `rest`: the negation, if it is quicker to count those.
    """

    test: Q
    exact: bool = True
    rest: Q | None = None

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(self.test & other.test, self.exact and other.exact)

    def __or__(self, other: "Condition") -> "Condition":
        if not self.test or not other.test:
            return Condition(Q(), self.exact and other.exact)
        return Condition(self.test | other.test, self.exact and other.exact)

    def __invert__(self) -> "Condition":
        if not self.exact:
            return UNKNOWN
        return Condition(~self.test if self.test else _NOBODY)


_NOBODY = Q(pk__in=[])
EVERYBODY, NOBODY = Condition(Q()), Condition(_NOBODY)
UNKNOWN = Condition(Q(), exact=False)
"""The condition that SQL says nothing about."""


def match_key(column: str, operator: Operator, value: str) -> Condition:
    """Return the condition on a column that is compared by its key: `username`, `email` or `badge_number` (rule M4)."""
    try:
        key = make_key(value)
    except UnicodeEncodeError:
        # Half of a character has no key, so no text compares with it.
        return EVERYBODY if operator is Operator.NE else NOBODY
    return _match_text(column, f"{column}_key", operator, key)


def match_external_id(operator: Operator, value: str) -> Condition:
    """Return the condition on the external ID, which is compared exactly."""
    return _match_text("external_id", "external_id", operator, value)


def _match_text(column: str, stored: str, operator: Operator, value: str) -> Condition:
    if operator is Operator.NE:
        return ~_match_text(column, stored, Operator.EQ, value)
    if any(one == "\x00" or 0xD800 <= ord(one) < 0xE000 for one in value):
        # No database stores these, or compares with them.
        return UNKNOWN if operator in _ORDERED else NOBODY
    found = Condition(_compare(stored, operator, value))
    return found & ~_match_made(column) if column.upper() in MADE else found


def _compare(stored: str, operator: Operator, value: str) -> Q:
    if operator is Operator.EQ:
        return Q(**{stored: value})
    if not value and operator in (Operator.CO, Operator.SW, Operator.EW):
        return Q()
    column: Any = F(stored)
    if operator is Operator.CO:
        return Q(lookups.GreaterThan(StrIndex(column, Value(value)), 0))
    if operator is Operator.SW:
        return _bound(stored, value) & Q(lookups.Exact(StrIndex(column, Value(value)), 1))
    if operator is Operator.EW:
        return Q(lookups.Exact(Right(column, len(value)), value))
    return Q(_ORDERED[operator](Collate(column, "C") if frames.on_postgres() else column, value))


def _bound(stored: str, value: str) -> Q:
    """Return between which texts those are that begin with the value, so that an index of SQLite finds them.

    PostgreSQL may order texts in another way.
    """
    last = ord(value[-1])
    if frames.on_postgres() or last >= 0xD800 - 1:
        return Q()
    return Q(**{f"{stored}__gte": value, f"{stored}__lt": value[:-1] + chr(last + 1)})


_ORDERED = {
    Operator.GT: lookups.GreaterThan,
    Operator.GE: lookups.GreaterThanOrEqual,
    Operator.LT: lookups.LessThan,
    Operator.LE: lookups.LessThanOrEqual,
}


def _match_made(column: str) -> Condition:
    """Return the condition that the external ID or badge stands for none."""
    prefix = MADE[column.upper()]
    begins = lookups.Exact(StrIndex(F(column), Value(prefix)), 1)
    return Condition(Q(begins) & Q(lookups.Exact(Length(column), len(prefix) + MADE_LENGTH)))


def match_present(column: str) -> Condition:
    """Return the condition that the user has a value in this column, which is a text or a reference."""
    if column.upper() in MADE:
        return ~_match_made(column)
    if column in ("rank", "group", "supervisor"):
        return Condition(Q(**{f"{column}__isnull": False}))
    return Condition(~Q(**{column: ""}))


def match_active(active: bool) -> Condition:
    """Return the condition that the user is Active, or is not."""
    return Condition(Q(active=True), rest=Q(active=False)) if active else Condition(Q(active=False))


def match_created(operator: Operator, at: datetime) -> Condition:
    """Return the condition on the time when the user was added."""
    if operator is Operator.NE:
        return ~match_created(Operator.EQ, at)
    return Condition(_compare_created(lookups.Exact if operator is Operator.EQ else _ORDERED[operator], at))


def _compare_created(lookup: Callable[[Any, Any], Any], at: datetime) -> Q:
    """Return a comparison of times. On SQLite they are texts, which the writer stores in another form than Django does."""
    if frames.on_postgres():
        return Q(lookup(F("created_at"), at))
    return Q(lookup(Cast("created_at", TextField()), frames.stamp(at)))


def match_number(column: str, text: str) -> Condition:
    """Return the condition that this number (`pk`, `supervisor`, `group`) is the one that the text says."""
    plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS and str(int(text)) == text
    return Condition(Q(**{column: int(text)})) if plain else NOBODY


_DIGITS = 18


def match_named(agency: models.Agency, column: str, accepts: Callable[[str | None], bool]) -> Condition:
    """Return the condition that the name of the role or rank, or the external ID of the group, is accepted.

    `accepts` also takes None, for a user who has none.
    """
    entries, name = _NAMED[column]
    named = entries.filter(agency=agency).values_list("pk", name)
    test = Q(**{f"{column}__in": [key for key, text in named if accepts(text)]})
    return Condition(test | Q(**{f"{column}__isnull": True}) if accepts(None) else test)


_NAMED: dict[str, tuple[Manager[Any], str]] = {
    "role": (models.Role.objects, "name"),
    "rank": (models.Rank.objects, "name"),
    "group": (models.Group.objects, "external_id"),
}

SORTS = {
    "external_id": "external_id", "id": "pk", "username": "username_key", "email": "email_key", "name": "name_key",
    "created": "created_at",
}  # fmt: skip
"""Name of an order → the column that is sorted. The first is the fastest, and the default."""


@dataclass(frozen=True, slots=True)
class Place:
    """A user in an order: the value of the sorted column, as text, and the number of the user."""

    value: str
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which users of those who match: the order, and either those from an index on, or those after a place.

    `count`: the most users. `start`: the number of users before the first. `after`: None for the first page, or to count
    from `start`. `by_place`: whether the reader turns pages by places, so that nobody needs to be counted.
    """

    count: int
    sort: str = "external_id"
    descending: bool = False
    start: int = 0
    after: Place | None = None
    by_place: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of users. `total`: the number of all, or None if they were not counted. `after`: where the next page begins."""

    users: list[Provisioned]
    total: int | None = None
    after: Place | None = None


def find(
    agency: models.Agency, condition: Condition, accepts: Callable[[Provisioned], bool], wanted: Wanted, at: datetime
) -> Found:
    """Return the users who meet the condition. `accepts` decides about each if the condition is not exact.

    Raise TooManyUsers if that are too many to count; pages by place have no such limit. Raise InvalidPosition.
    """
    matching = _select(agency).filter(condition.test)
    ordered = matching.order_by(*_list_order(wanted))
    if wanted.by_place:
        return _find_after(agency, condition, accepts, wanted, ordered, at)
    if condition.exact:
        total = _count(agency, condition)
        # To find that there is nobody may take a walk through all users in their order.
        last = min(total, wanted.start + wanted.count)
        numbers = list(ordered.values_list("pk", flat=True)[wanted.start : last]) if wanted.start < last else []
        return Found(provisioning.read_users(agency, numbers, at), total)
    numbers = list(ordered.values_list("pk", flat=True)[: MOST_EXAMINED + 1])
    if len(numbers) > MOST_EXAMINED:
        raise TooManyUsers
    users = [one for one in _read(agency, numbers, at) if accepts(one)]
    return Found(users[wanted.start : wanted.start + wanted.count], len(users))


def _find_after(
    agency: models.Agency,
    condition: Condition,
    accepts: Callable[[Provisioned], bool],
    wanted: Wanted,
    ordered: QuerySet[models.User],
    at: datetime,
) -> Found:
    """Return the users after the place. If too few of them are accepted, the next page begins where the search ended."""
    if wanted.after is not None:
        ordered = ordered.filter(_build_after(wanted, wanted.after))
    most = wanted.count if condition.exact else MOST_EXAMINED
    # One more, to know whether there is a next page.
    numbers = list(ordered.values_list("pk", flat=True)[: most + 1])
    users: list[Provisioned] = []
    seen: Provisioned | None = None
    for one in _read(agency, numbers[:most], at):
        if len(users) == wanted.count:
            return Found(users, after=_find_place(wanted, seen) if seen else None)
        seen = one
        if condition.exact or accepts(one):
            users.append(one)
    more = len(numbers) > most and seen is not None
    return Found(users, after=_find_place(wanted, seen) if more and seen else None)


def _select(agency: models.Agency) -> QuerySet[models.User]:
    """Return the users that the provider sees."""
    deleted = models.ProvisionedUser.objects.filter(user=OuterRef("pk"), deleted_at__isnull=False)
    return models.User.objects.filter(Q(active=True) | ~Exists(deleted), agency=agency)


def _count(agency: models.Agency, condition: Condition) -> int:
    if condition.test and condition.rest is None:
        return _select(agency).filter(condition.test).count()
    everybody = models.User.objects.filter(agency=agency).count()
    if condition.rest is not None:
        return everybody - models.User.objects.filter(condition.rest, agency=agency).count()
    return (
        everybody
        - models.ProvisionedUser.objects.filter(
            deleted_at__isnull=False, user__active=False, user__agency=agency
        ).count()
    )


def _list_order(wanted: Wanted) -> list[str]:
    sign, column = "-" if wanted.descending else "", SORTS[wanted.sort]
    # The external ID and the number need no second column: no two users share one.
    return [f"{sign}{column}"] if wanted.sort in _UNIQUE else [f"{sign}{column}", f"{sign}pk"]


_UNIQUE = ("external_id", "id", "username", "email")


def _build_after(wanted: Wanted, place: Place) -> Q:
    column, comes = SORTS[wanted.sort], "lt" if wanted.descending else "gt"
    if wanted.sort == "id":
        return Q(**{f"pk__{comes}": place.number})
    if wanted.sort in _UNIQUE:
        return Q(**{f"{column}__{comes}": place.value})
    if wanted.sort == "created":
        at = _parse_time(place)
        before = _compare_created(_ORDERED[Operator.LT if wanted.descending else Operator.GT], at)
        same = _compare_created(lookups.Exact, at)
    else:
        before, same = Q(**{f"{column}__{comes}": place.value}), Q(**{column: place.value})
    return before | (same & Q(**{f"pk__{comes}": place.number}))


def _parse_time(place: Place) -> datetime:
    try:
        return datetime.fromisoformat(place.value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidPosition(place.value) from None


def _find_place(wanted: Wanted, last: Provisioned) -> Place:
    value = getattr(last.user, SORTS[wanted.sort])
    return Place(value.isoformat() if isinstance(value, datetime) else str(value), last.user.pk)


def _read(agency: models.Agency, numbers: Sequence[int], at: datetime) -> Iterator[Provisioned]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield from provisioning.read_users(agency, numbers[start : start + _AT_ONCE], at)
