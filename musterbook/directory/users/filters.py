"""The filters of a list of users: each as a condition in SQL, with a fast way to find the users who pass it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from django.db import connection

from musterbook.directory import models
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import frames
from musterbook.directory.users import states

Parameters: TypeAlias = tuple[str | int, ...]
EVENTS, USERS = frames.table(models.Event), frames.table(models.User)
_BY_SUPERVISOR = "directory_user_supervisor_id_65824492"
"""The name that Django gives the index of the foreign key."""


class UnknownStatus(Exception):
    """There is no such status."""


@dataclass(frozen=True, slots=True)
class UserFilters:
    """The criteria for users: a user matches if they pass every filter given.

    `text`: every word of it occurs in the user's name, email address, username, badge or external ID; `status`: one of
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
class IndexPath:
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

    `paths`: conditions that together match the same users, and, unless the condition is `exact`, some more.
    """

    sql: str
    parameters: Parameters
    paths: tuple[IndexPath, ...]
    exact: bool = True

    @property
    def hint(self) -> str:
        """Return a condition that all matching users meet, and that an index finds easily."""
        return " OR ".join(f"({way.sql})" for way in self.paths)

    @property
    def hints(self) -> Parameters:
        """Return the parameters of `hint`."""
        return tuple(value for way in self.paths for value in way.parameters)


def build_conditions(criteria: UserFilters, at: datetime) -> Iterator[Condition]:
    """Yield all conditions except the text's, as of that time. Raise UnknownStatus.

    Conditions that usually match few users come first.
    """
    if criteria.supervisor is not None:
        yield _make_condition(IndexPath("u.supervisor_id = %s", (criteria.supervisor,), _BY_SUPERVISOR))
    if criteria.signed_in_from or criteria.signed_in_before:
        yield _match_sign_in_time(criteria.signed_in_from, criteria.signed_in_before)
    yield from _match_columns(criteria, "group", "rank")
    if criteria.never_signed_in:
        yield match_no_sign_in()
    if criteria.status:
        yield match_status(criteria.status, at)
    yield from _match_columns(criteria, "role")
    if criteria.touched_by is not None:
        yield _match_import(criteria.touched_by)


def _match_columns(criteria: UserFilters, *columns: str) -> Iterator[Condition]:
    for column in columns:
        if (value := getattr(criteria, column)) is not None:
            yield match_id(column, value)


def _make_condition(path: IndexPath) -> Condition:
    return Condition(path.sql, path.parameters, (path,))


def match_id(column: str, value: int | None) -> Condition:
    """Return the condition that the role, rank or group has this id, or with None, that there is none."""
    if value is None:
        return _make_condition(IndexPath(f"u.{column}_id IS NULL", (), f"user_by_{column}"))
    return _make_condition(IndexPath(f"u.{column}_id = %s", (value,), f"user_by_{column}"))


def match_status(name: str, at: datetime) -> Condition:
    """Return the condition that the user has this state at that time. Raise UnknownStatus."""
    if name not in states.STATES:
        raise UnknownStatus(name)
    sql, parameters = states.build_state_sql("u.", at)
    return Condition(f"{sql} = %s", (*parameters, name), _list_status_paths(name, states.bind_time(at)), name in _EXACT)


_EXACT = ("Active", states.INVITED, states.EXPIRED, "Inactive")


def _list_status_paths(name: str, at: str) -> tuple[IndexPath, ...]:
    free, index, by = "u.active AND u.locked_at IS NULL", "user_unregistered", "u.invitation_expires_at"
    invited = f"{free} AND u.registered_at IS NULL AND {by}"
    paths = {
        "Active": (IndexPath(f"{free} AND u.registered_at IS NOT NULL AND u.reset_at IS NULL", (), "user_registered"),),
        states.INVITED: (
            IndexPath(f"{invited} IS NULL", (), index, by),
            IndexPath(f"{invited} >= %s", (at,), index, by),
        ),
        states.EXPIRED: (IndexPath(f"{invited} < %s", (at,), index, by),),
        "Locked": (IndexPath("u.locked_at IS NOT NULL", (), "user_locked"),),
        "Password reset": (IndexPath("u.reset_at IS NOT NULL", (), "user_reset"),),
        "Inactive": (IndexPath("NOT u.active", (), "user_inactive"),),
    }
    return paths[name]


def match_no_sign_in() -> Condition:
    """Return the condition that the user has never signed in."""
    return _make_condition(IndexPath("u.last_sign_in_at IS NULL", (), "user_never_signed_in"))


def match_sign_in() -> Condition:
    """Return the condition that the user has signed in."""
    return _match_sign_in_time(None, None)


def _match_sign_in_time(since: datetime | None, before: datetime | None) -> Condition:
    limits = {">=": since, "<": before}
    bounds = {f"u.last_sign_in_at {sign} %s": states.bind_time(limit) for sign, limit in limits.items() if limit}
    sql = " AND ".join(["u.last_sign_in_at IS NOT NULL", *bounds])
    return _make_condition(IndexPath(sql, tuple(bounds.values()), "user_signed_in", order="u.last_sign_in_at"))


def _match_import(import_id: int) -> Condition:
    """Return the condition that the import has recorded an event of the user.

    The plus sign keeps a planner from reading all events of the import.
    """
    sql = f"(SELECT 1 FROM {EVENTS} e WHERE e.subject_id = u.id AND +e.of_id = %s LIMIT 1) IS NOT NULL"
    ids = f"SELECT e.subject_id AS id FROM {EVENTS} e WHERE +e.agency_id = %s AND e.of_id = %s AND e.subject_id IS NOT NULL"
    ids += f" AND e.kind <> '{EventKind.USER_REPLACED}'"
    return Condition(sql, (import_id,), (IndexPath(sql, (import_id,), ids=ids),))


def find_few_ids(agency: models.Agency, condition: Condition, most: int) -> list[int] | None:
    """Return the ids of all users who pass the condition, and perhaps of some more, or None for more than `most`."""
    paths = [f"SELECT * FROM ({way.first(most + 1)}) w{n}" for n, way in enumerate(condition.paths)]
    parameters = [value for way in condition.paths for value in (agency.pk, *way.parameters)]
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(paths)} LIMIT {most + 1}", parameters)
        ids = [row[0] for row in cursor.fetchall()]
    return None if len(ids) > most else ids
