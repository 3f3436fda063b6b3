"""The filters of a list of users: each as a condition in SQL, with a fast way to find the users who pass it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from django.db import connection

from musterbook.directory import models
from musterbook.directory.storage import frames
from musterbook.directory.users import states

Parameters: TypeAlias = tuple[str | int, ...]
EVENTS, USERS = frames.table(models.Event), frames.table(models.User)
_BY_SUPERVISOR = "directory_user_supervisor_id_65824492"
"""The name that Django gives the index of the foreign key."""


class UnknownStatus(Exception):
    """There is no such status."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The criteria for users: a user matches if they pass every filter given.

    `text`: every word of it occurs in the user's name, e-mail address, username, badge or external id; `status`: one of
    states.STATES; `role`, `rank`, `group`, `supervisor`: ids; `signed_in_from`, `signed_in_before`: the last sign-in;
    `never_signed_in`; `touched_by`: the id of an import that has added or changed them.
    """

    text: str = ""
    status: str = ""
    role: int | None = None
    rank: int | None = None
    group: int | None = None
    supervisor: int | None = None
    signed_in_from: datetime | None = None
    signed_in_before: datetime | None = None
    never_signed_in: bool = False
    touched_by: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """A condition whose users an index finds directly.

    `index`: its name, given to SQLite as a hint; `order`: the sort order of the index, which shows PostgreSQL that the
    index leads to the first of many; `ids`: the query of the ids, if the index belongs to another table.
    """

    sql: str
    parameters: Parameters = ()
    index: str = ""
    order: str = ""
    ids: str = ""

    def query(self) -> str:
        """Return the query of the users' ids; its first parameter is the agency's id."""
        if self.ids:
            return self.ids
        hint = "" if frames.on_postgres() else f" INDEXED BY {self.index}"
        return f"SELECT u.id FROM {USERS} u{hint} WHERE u.agency_id = %s AND {self.sql}"

    def first(self, most: int) -> str:
        """Return the query of at most this number of ids.

        Without an order, PostgreSQL would scan all users and expect to meet the ids soon.
        """
        order = f" ORDER BY {self.order}" if self.order and frames.on_postgres() else ""
        return f"{self.query()}{order} LIMIT {most}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the users `u`.

    `ways`: conditions that together match the same users, and, unless the condition is `exact`, some more.
    """

    sql: str
    parameters: Parameters
    ways: tuple[Way, ...]
    exact: bool = True

    @property
    def hint(self) -> str:
        """Return a condition that all matching users meet, and that an index finds easily."""
        return " OR ".join(f"({way.sql})" for way in self.ways)

    @property
    def hints(self) -> Parameters:
        """Return the parameters of `hint`."""
        return tuple(value for way in self.ways for value in way.parameters)


def conditions(wanted: Wanted, at: datetime) -> Iterator[Condition]:
    """Yield all conditions except the text's, as of that time. Raise UnknownStatus.

    Conditions that usually match few users come first.
    """
    if wanted.supervisor is not None:
        yield _plain(Way("u.supervisor_id = %s", (wanted.supervisor,), _BY_SUPERVISOR))
    if wanted.signed_in_from or wanted.signed_in_before:
        yield _signed_in(wanted.signed_in_from, wanted.signed_in_before)
    yield from _equal(wanted, "group", "rank")
    if wanted.never_signed_in:
        yield never()
    if wanted.status:
        yield status(wanted.status, at)
    yield from _equal(wanted, "role")
    if wanted.touched_by is not None:
        yield _touched(wanted.touched_by)


def _equal(wanted: Wanted, *columns: str) -> Iterator[Condition]:
    for column in columns:
        if (value := getattr(wanted, column)) is not None:
            yield equals(column, value)


def _plain(way: Way) -> Condition:
    return Condition(way.sql, way.parameters, (way,))


def equals(column: str, value: int | None) -> Condition:
    """Return the condition that the role, rank or group has this id, or with None, that there is none."""
    if value is None:
        return _plain(Way(f"u.{column}_id IS NULL", (), f"user_by_{column}"))
    return _plain(Way(f"u.{column}_id = %s", (value,), f"user_by_{column}"))


def status(name: str, at: datetime) -> Condition:
    """Return the condition that the user has this state at that time. Raise UnknownStatus."""
    if name not in states.STATES:
        raise UnknownStatus(name)
    sql, parameters = states.state("u.", at)
    return Condition(f"{sql} = %s", (*parameters, name), _ways_to_status(name, states.bound(at)), name in _EXACT)


_EXACT = ("Active", states.INVITED, states.EXPIRED, "Inactive")


def _ways_to_status(name: str, at: str) -> tuple[Way, ...]:
    free, index, by = "u.active AND u.locked_at IS NULL", "user_unregistered", "u.invitation_expires_at"
    invited = f"{free} AND u.registered_at IS NULL AND {by}"
    ways = {
        "Active": (Way(f"{free} AND u.registered_at IS NOT NULL AND u.reset_at IS NULL", (), "user_registered"),),
        states.INVITED: (Way(f"{invited} IS NULL", (), index, by), Way(f"{invited} >= %s", (at,), index, by)),
        states.EXPIRED: (Way(f"{invited} < %s", (at,), index, by),),
        "Locked": (Way("u.locked_at IS NOT NULL", (), "user_locked"),),
        "Password reset": (Way("u.reset_at IS NOT NULL", (), "user_reset"),),
        "Inactive": (Way("NOT u.active", (), "user_inactive"),),
    }
    return ways[name]


def never() -> Condition:
    """Return the condition that the user has never signed in."""
    return _plain(Way("u.last_sign_in_at IS NULL", (), "user_never_signed_in"))


def ever() -> Condition:
    """Return the condition that the user has signed in."""
    return _signed_in(None, None)


def _signed_in(since: datetime | None, before: datetime | None) -> Condition:
    limits = {">=": since, "<": before}
    given = {f"u.last_sign_in_at {sign} %s": states.bound(limit) for sign, limit in limits.items() if limit}
    sql = " AND ".join(["u.last_sign_in_at IS NOT NULL", *given])
    return _plain(Way(sql, tuple(given.values()), "user_signed_in", order="u.last_sign_in_at"))


def _touched(number: int) -> Condition:
    """Return the condition that the import has recorded an event of the user.

    The plus sign keeps a planner from reading all events of the import.
    """
    sql = f"(SELECT 1 FROM {EVENTS} e WHERE e.subject_id = u.id AND +e.of_id = %s LIMIT 1) IS NOT NULL"
    ids = f"SELECT e.subject_id AS id FROM {EVENTS} e WHERE +e.agency_id = %s AND e.of_id = %s AND e.subject_id IS NOT NULL"
    return Condition(sql, (number,), (Way(sql, (number,), ids=ids),))


def few(agency: models.Agency, condition: Condition, most: int) -> list[int] | None:
    """Return the ids of all users who pass the condition, and perhaps of some more, or None for more than `most`."""
    ways = [f"SELECT * FROM ({way.first(most + 1)}) w{n}" for n, way in enumerate(condition.ways)]
    given = [value for way in condition.ways for value in (agency.pk, *way.parameters)]
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(ways)} LIMIT {most + 1}", given)
        ids = [row[0] for row in cursor.fetchall()]
    return None if len(ids) > most else ids
