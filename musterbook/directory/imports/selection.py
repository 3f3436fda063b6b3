"""Selections of users for a bulk action: all that match a search, or the ones checked in a list.

A selection is kept as it was made.
"""

from collections.abc import Iterable
from datetime import datetime

import polars as pl
from django.db import connection

from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.storage import frames, import_files
from musterbook.directory.users import filters
from musterbook.directory.users.filters import USERS, Wanted

_ANY = 1 << 62


class UsersGone(import_files.FileGone):
    """It is kept no longer which users were chosen."""


def matching(agency: models.Agency, wanted: Wanted, at: datetime) -> list[int]:
    """Return the ids of all users that match the filters, without a limit. Raise UnknownStatus."""
    conditions = list(filters.conditions(wanted, at))
    words = search_index.words(wanted.text)
    among = ["u.agency_id = %s", *(f"({condition.sql})" for condition in conditions)]
    given: list[str | int | list[int]] = [agency.pk, *(value for one in conditions for value in one.parameters)]
    if words:
        condition, parameter = frames.among("u.id", search_index.found(agency, words, _ANY) or [])
        among.append(condition)
        given.append(parameter)
    return _ids(f"SELECT u.id FROM {USERS} u WHERE {' AND '.join(among)} ORDER BY u.id", given)


def of_agency(agency: models.Agency, ids: Iterable[int]) -> list[int]:
    """Return the ids that belong to users of the agency."""
    condition, parameter = frames.among("u.id", sorted(set(ids)))
    return _ids(
        f"SELECT u.id FROM {USERS} u WHERE u.agency_id = %s AND {condition} ORDER BY u.id", [agency.pk, parameter]
    )


def _ids(sql: str, given: list[str | int | list[int]]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return [row[0] for row in cursor.fetchall()]


def users(agency: models.Agency, ids: list[int], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """Return these users of the agency, ordered by name, in the columns of the schema."""
    condition, parameter = frames.among("id", ids)
    sql = f"SELECT {', '.join(schema)} FROM {USERS} WHERE agency_id = %s AND {condition} ORDER BY name_key, id"
    return frames.read(sql, [agency.pk, parameter], schema)


def keep(number: str, ids: list[int]) -> None:
    """Keep the ids for the import of that number, for as long as files are kept. Raise OSError."""
    import_files.keep(_name(number), "\n".join(map(str, ids)).encode())


def kept(number: str) -> list[int]:
    """Return the ids that were kept for the import. Raise UsersGone."""
    try:
        return [int(line) for line in import_files.content(_name(number)).split()]
    except import_files.FileGone:
        raise UsersGone(number) from None


def let_go(number: str) -> None:
    """Delete the ids of an import that was not created."""
    import_files.let_go(_name(number))


def _name(number: str) -> str:
    return f"{number}.users"
