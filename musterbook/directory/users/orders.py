"""The orders of a list of users, each as consecutive sections, and the place of a user in an order."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from musterbook.directory import models
from musterbook.directory.storage import frames
from musterbook.directory.users import filters, states
from musterbook.directory.users.filters import USERS, Condition, UserFilters

_UNIQUE = {
    "username": "username_key",
    "email": "email_key",
    "badge_number": "badge_number_key",
    "external_id": "external_id",
}
_VOCABULARIES = {
    "role": (models.Role, "v.name_key, v.id"),
    "rank": (models.Rank, "v.position, v.id"),
    "group": (models.Group, "v.name, v.id"),
}
SORTS = ("name", *_UNIQUE, "status", *_VOCABULARIES, "last_sign_in")


_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?(\+00)?")


class UnknownSort(Exception):
    """A list cannot be sorted by this."""


class UnknownCursor(Exception):
    """The text is not a cursor of this list: it belongs to another list, or to none."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an order, such as the users of one role, by name. `mark`: the value that identifies the section.

    Within it, users are sorted by `column`, then by id if that is not unique. `index`: one that has them in that order,
    or "" for the index of a unique column, which SQLite does not let a query name.
    """

    mark: str | int | None
    condition: Condition | None
    column: str = "name_key"
    index: str = "user_by_name"

    @property
    def keys(self) -> list[str]:
        """Return the sort keys of users, as SQL."""
        return [f"u.{self.column}"] if self.column in _UNIQUE.values() else [f"u.{self.column}", "u.id"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a user in an order: the section, the sort key, and the user's id."""

    mark: str | int | None
    key: str
    id: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order of users. `mark`: the SQL for a user's section, with its parameters; "" if it is not needed."""

    sections: tuple[Section, ...]
    mark: str = ""
    parameters: tuple[str, ...] = ()

    def number(self, cursor: Cursor) -> int:
        """Return the number of the section that the place is in, counted from 0. Raise UnknownCursor."""
        for number, section in enumerate(self.sections):
            if section.mark == cursor.mark:
                return number
        raise UnknownCursor


def build_order(agency: models.Agency, sort: str, at: datetime, criteria: UserFilters, cursor: Cursor | None) -> Order:
    """Return the order of this name, limited to the sections that may have matching users.

    The section of the place is always in it. Raise UnknownSort.
    """
    if sort == "name":
        return Order((Section(None, None),))
    if sort in _UNIQUE:
        return Order((Section(None, None, _UNIQUE[sort], ""),))
    if sort == "last_sign_in" and criteria.status in (states.INVITED, states.EXPIRED):
        # A user who has not registered has not signed in. So all are in one section by name, with no lookup among the
        # others.
        return Order((Section("never", None),))
    if sort == "last_sign_in":
        never = Section("never", filters.match_no_sign_in())
        ever = Section("ever", filters.match_sign_in(), "last_sign_in_at", "user_signed_in")
        ranged = criteria.signed_in_from or criteria.signed_in_before
        return Order((never,) if criteria.never_signed_in else (ever,) if ranged else (never, ever))
    if sort == "status":
        mark, parameters = states.build_state_sql("u.", at)
        names = (criteria.status,) if criteria.status else states.STATES
        return Order(tuple(Section(name, filters.match_status(name, at)) for name in names), mark, tuple(parameters))
    if sort in _VOCABULARIES:
        entry_id = getattr(criteria, sort)
        marks = _list_marks(agency, sort, cursor.mark if cursor else None) if entry_id is None else [entry_id]
        return Order(tuple(Section(mark, filters.match_id(sort, mark)) for mark in marks), f"u.{sort}_id")
    raise UnknownSort(sort)


def _list_marks(agency: models.Agency, sort: str, needed: str | int | None) -> list[int | None]:
    """Return the ids of the roles, ranks or groups that users have, in their order; users with none come last."""
    model, by = _VOCABULARIES[sort]
    users = f"SELECT u.{sort}_id FROM {USERS} u WHERE u.agency_id = %s"
    next_one = f"ORDER BY u.{sort}_id LIMIT 1"
    # Step from each one to the next by the index, because there are few of them and many users.
    sql = (
        f"WITH RECURSIVE used(id) AS (SELECT * FROM ({users} AND u.{sort}_id IS NOT NULL {next_one}) f UNION ALL"
        f" SELECT ({users} AND u.{sort}_id > used.id {next_one}) FROM used WHERE used.id IS NOT NULL)"
        f" SELECT v.id FROM {frames.table(model)} v"
        f" WHERE v.agency_id = %s AND (v.id IN (SELECT id FROM used) OR v.id = %s) ORDER BY {by}"
    )
    needed_id = needed if isinstance(needed, int) else 0
    with connection.cursor() as cursor:
        cursor.execute(sql, [agency.pk, agency.pk, agency.pk, needed_id])
        return [*(row[0] for row in cursor.fetchall()), *([] if sort == "role" else [None])]


def encode_cursor(cursor: Cursor, *about: str | bool) -> str:
    """Return the place as an opaque cursor that can be part of an address; `about`: the list that it belongs to."""
    text = json.dumps([*about, cursor.mark, cursor.key, cursor.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str, *about: str | bool) -> Cursor:
    """Return the cursor that `encode_cursor` encoded. Raise UnknownCursor if the text is not a cursor of this list."""
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise UnknownCursor from None
    if not isinstance(values, list) or values[:-3] != list(about) or not _is_safe(*values[-3:]):
        raise UnknownCursor
    return Cursor(*values[-3:])


def _is_safe(mark: object, key: object, user: object) -> bool:
    """Return whether such a place is safe to use in a database query."""
    numbers = [user, *([] if mark is None or isinstance(mark, str) else [mark])]
    if not all(type(number) is int and 0 <= number < 1 << 63 for number in numbers):
        return False
    if not isinstance(key, str) or "\0" in key or (mark == "ever" and not _TIME.fullmatch(key)):
        return False
    try:
        key.encode()
        return mark != "ever" or bool(datetime.fromisoformat(key))
    except ValueError:
        return False
