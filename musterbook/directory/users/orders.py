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
from musterbook.directory.users.filters import USERS, Condition, Wanted

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


class UnknownPlace(Exception):
    """The text is no place in this list: it belongs to another list, or to none."""


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
class Place:
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

    def number(self, place: Place) -> int:
        """Return the number of the section that the place is in, counted from 0. Raise UnknownPlace."""
        for number, section in enumerate(self.sections):
            if section.mark == place.mark:
                return number
        raise UnknownPlace


def order(agency: models.Agency, sort: str, at: datetime, wanted: Wanted, place: Place | None) -> Order:
    """Return the order of this name, limited to the sections that may have matching users.

    The section of the place is always in it. Raise UnknownSort.
    """
    if sort == "name":
        return Order((Section(None, None),))
    if sort in _UNIQUE:
        return Order((Section(None, None, _UNIQUE[sort], ""),))
    if sort == "last_sign_in" and wanted.status in (states.INVITED, states.EXPIRED):
        # A user who has not registered has not signed in. So all are in one section by name, with no lookup among the
        # others.
        return Order((Section("never", None),))
    if sort == "last_sign_in":
        never = Section("never", filters.never())
        ever = Section("ever", filters.ever(), "last_sign_in_at", "user_signed_in")
        ranged = wanted.signed_in_from or wanted.signed_in_before
        return Order((never,) if wanted.never_signed_in else (ever,) if ranged else (never, ever))
    if sort == "status":
        mark, parameters = states.state("u.", at)
        names = (wanted.status,) if wanted.status else states.STATES
        return Order(tuple(Section(name, filters.status(name, at)) for name in names), mark, tuple(parameters))
    if sort in _VOCABULARIES:
        only = getattr(wanted, sort)
        marks = _marks(agency, sort, place.mark if place else None) if only is None else [only]
        return Order(tuple(Section(mark, filters.equals(sort, mark)) for mark in marks), f"u.{sort}_id")
    raise UnknownSort(sort)


def _marks(agency: models.Agency, sort: str, needed: str | int | None) -> list[int | None]:
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
    place = needed if isinstance(needed, int) else 0
    with connection.cursor() as cursor:
        cursor.execute(sql, [agency.pk, agency.pk, agency.pk, place])
        return [*(row[0] for row in cursor.fetchall()), *([] if sort == "role" else [None])]


def written(place: Place, *about: str | bool) -> str:
    """Return the place as an opaque cursor that can be part of an address; `about`: the list that it belongs to."""
    told = json.dumps([*about, place.mark, place.key, place.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def read(text: str, *about: str | bool) -> Place:
    """Return the place that `written` encoded. Raise UnknownPlace if the text is no place of this list."""
    try:
        told = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise UnknownPlace from None
    if not isinstance(told, list) or told[:-3] != list(about) or not _sound(*told[-3:]):
        raise UnknownPlace
    return Place(*told[-3:])


def _sound(mark: object, key: object, user: object) -> bool:
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
