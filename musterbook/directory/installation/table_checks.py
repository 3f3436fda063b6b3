"""Checks of the tables themselves: whether what the migrations made is still there, and whether rows refer to rows."""

import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.backends.utils import CursorWrapper

from musterbook.directory.models import Bytewise, Event
from musterbook.directory.storage import frames

_ADDED = {"mfa_authenticator": ("passkey_once",)}
"""The indexes that our migrations add to tables of the library, so that no model has them."""
_TRAIL = ("directory_event", "directory_traillink", "directory_trailend", "directory_passage")


def find_missing() -> list[str]:
    """Return the tables, columns, indexes and constraints of this version that the database lacks, by name."""
    found: list[str] = []
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in _list_models():
            table = model._meta.db_table
            if table not in tables:
                found.append(table)
                continue
            columns, constraints = _describe_table(cursor, table)
            found += [f"{table}.{name}" for name in _list_columns(model) if name not in columns]
            found += [f"{table}: {name}" for name in _find_lost(model, constraints)]
            found += [f"{table}: {name}" for name in _ADDED.get(table, ()) if name not in constraints]
    return found


def _describe_table(cursor: CursorWrapper, table: str) -> tuple[set[str], dict[str, Any]]:
    """Return the columns of the table, and by name what Django says of its indexes and constraints.

    On SQLite Django parses the SQL of the whole table, which takes longer than all other checks of the doctor.
    """
    if frames.on_postgres():
        described = connection.introspection.get_table_description(cursor, table)
        return {column.name for column in described}, connection.introspection.get_constraints(cursor, table)
    cursor.execute("SELECT name FROM pragma_table_info(%s)", [table])
    columns = {name for (name,) in cursor.fetchall()}
    cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s", [table])
    named = re.findall(r'CONSTRAINT "([^"]+)"', cursor.fetchone()[0])
    found: dict[str, dict[str, Any]] = {
        name: {"columns": [], "primary_key": False, "unique": False, "index": False} for name in named
    }
    cursor.execute(
        'SELECT l.name, l."unique", i.name FROM pragma_index_list(%s) l, pragma_index_info(l.name) i ORDER BY l.name, i.seqno',
        [table],
    )
    for name, unique, column in cursor.fetchall():
        index = found.setdefault(name, {"columns": [], "primary_key": False, "unique": bool(unique), "index": True})
        index["columns"].append(column)
    return columns, found


def _list_models() -> list[Any]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


def _list_columns(model: Any) -> list[str]:
    return [field.column for field in model._meta.concrete_fields]


def _find_lost(model: Any, constraints: dict[str, Any]) -> Iterator[str]:
    """Yield the indexes and constraints that are not among those of the database."""
    named = [*model._meta.indexes, *model._meta.constraints]
    yield from (one.name for one in named if one.name not in constraints)
    unique = [one["columns"] for one in constraints.values() if one["unique"] or one["primary_key"]]
    indexed = [one["columns"] for one in constraints.values() if one["index"] or one["unique"]]
    for field in model._meta.concrete_fields:
        if field.primary_key:
            continue
        if field.unique and [field.column] not in unique:
            yield f"UNIQUE ({field.column})"
        elif field.db_index and not any(columns and columns[0] == field.column for columns in indexed):
            yield f"INDEX ({field.column})"


def find_repeated() -> list[str]:
    """Return the constraints that rows break, because the constraint was missing for a while: with the number of values."""
    found = []
    for model in _list_models():
        for fields in _list_unique(model):
            rows = model._default_manager.order_by().values(*fields).annotate(found=models.Count("pk"))
            number = rows.filter(found__gt=1, **{f"{fields[-1]}__isnull": False}).count()
            found += [f"{model._meta.db_table} ({', '.join(fields)}): {number:,}"] if number else []
    return found


def _list_unique(model: Any) -> Iterator[list[str]]:
    """Yield the fields of each constraint that has no condition."""
    yield from ([field.name] for field in model._meta.concrete_fields if field.unique and not field.primary_key)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields and constraint.condition is None:
            yield list(constraint.fields)


def find_orphans() -> list[str]:
    """Return the columns with rows that refer to a row that is not there, with their number.

    Events refer to users without a constraint, because nothing may change an event. No user is ever deleted.
    """
    found = []
    with connection.cursor() as cursor:
        quote = connection.ops.quote_name
        for model in _list_models():
            for field in model._meta.concrete_fields:
                if not _refers(model, field):
                    continue
                target = field.target_field
                cursor.execute(
                    f"SELECT count(*) FROM {quote(model._meta.db_table)} f"
                    f" LEFT JOIN {quote(target.model._meta.db_table)} t ON t.{quote(target.column)} = f.{quote(field.column)}"
                    f" WHERE f.{quote(field.column)} IS NOT NULL AND t.{quote(target.column)} IS NULL"
                )
                number = cursor.fetchone()[0]
                found += [f"{model._meta.db_table}.{field.column}: {number:,}"] if number else []
    return found


def _refers(model: Any, field: Any) -> bool:
    return bool(field.remote_field) and (field.db_constraint or (model is Event and field.name == "subject"))


def find_other_collations() -> list[str]:
    """Return the columns that PostgreSQL does not sort by the numbers of characters, though this version relies on it."""
    if not frames.on_postgres():
        return []
    bytewise = [
        (model._meta.db_table, field.column)
        for model in _list_models()
        for field in model._meta.concrete_fields
        if isinstance(field, Bytewise)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND collation_name IS DISTINCT FROM 'C'"
        )
        other = set(cursor.fetchall())
    return [f"{table}.{column}" for table, column in bytewise if (table, column) in other]


def find_forbidden() -> list[str]:
    """Return the tables that the role of this process may not read or add rows to, on PostgreSQL."""
    if not frames.on_postgres():
        return []
    names = [model._meta.db_table for model in _list_models()]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY(%s)"
            " AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
            " AND (relname = ANY(%s) OR has_table_privilege(oid, 'UPDATE'))) ORDER BY relname",
            [names, list(_TRAIL)],
        )
        return [name for (name,) in cursor.fetchall()]
