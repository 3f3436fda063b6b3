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
from musterbook.directory.users.filters import USERS, UserFilters

_NO_LIMIT = 1 << 62


class UsersGone(import_files.FileGone):
    """It is kept no longer which users were chosen."""


def find_matching(agency: models.Agency, criteria: UserFilters, at: datetime) -> list[int]:
    """Return the ids of all users that match the filters, without a limit. Raise UnknownStatus."""
    conditions = list(filters.build_conditions(criteria, at))
    words = search_index.split_words(criteria.text)
    clauses = ["u.agency_id = %s", *(f"({condition.sql})" for condition in conditions)]
    arguments: list[str | int | list[int]] = [agency.pk, *(value for one in conditions for value in one.parameters)]
    if words:
        condition, parameter = frames.match_any("u.id", search_index.find_ids(agency, words, _NO_LIMIT) or [])
        clauses.append(condition)
        arguments.append(parameter)
    return _fetch_ids(f"SELECT u.id FROM {USERS} u WHERE {' AND '.join(clauses)} ORDER BY u.id", arguments)


def filter_ids(agency: models.Agency, ids: Iterable[int]) -> list[int]:
    """Return the ids that belong to users of the agency."""
    condition, parameter = frames.match_any("u.id", sorted(set(ids)))
    return _fetch_ids(
        f"SELECT u.id FROM {USERS} u WHERE u.agency_id = %s AND {condition} ORDER BY u.id", [agency.pk, parameter]
    )


def _fetch_ids(sql: str, arguments: list[str | int | list[int]]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return [row[0] for row in cursor.fetchall()]


def read_users(agency: models.Agency, ids: list[int], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """Return these users of the agency, ordered by name, in the columns of the schema."""
    condition, parameter = frames.match_any("id", ids)
    sql = f"SELECT {', '.join(schema)} FROM {USERS} WHERE agency_id = %s AND {condition} ORDER BY name_key, id"
    return frames.read_frame(sql, [agency.pk, parameter], schema)


def keep_ids(number: str, ids: list[int]) -> None:
    """Keep the ids for the import of that number, for as long as files are kept. Raise OSError."""
    import_files.store_file(_name(number), "\n".join(map(str, ids)).encode())


def read_ids(number: str) -> list[int]:
    """Return the ids that were kept for the import. Raise UsersGone."""
    try:
        return [int(line) for line in import_files.read_content(_name(number)).split()]
    except import_files.FileGone:
        raise UsersGone(number) from None


def delete_ids(number: str) -> None:
    """Delete the ids of an import that was not created."""
    import_files.delete_file(_name(number))


def _name(number: str) -> str:
    return f"{number}.users"
