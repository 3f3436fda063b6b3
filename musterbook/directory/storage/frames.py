"""Whole frames into and out of the database: COPY on PostgreSQL, batches on SQLite. Never a row at a time."""

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

import polars as pl
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from musterbook.directory.storage.background import prefetch

_WRITE_AT_ONCE = 10_000
_READ_AT_ONCE = 2_000
"""Rows that become columns at once, while the processor's cache still holds them: twice as fast as with many more."""
_FEW_INSERTED = 100
"""The most rows that are written by one INSERT where PostgreSQL refuses COPY: a temporary table for them would take longer."""
_LONG = 200
"""The fewest values in a column for which it saves time to check whether all are the same."""
_PART_BYTES = 8 << 20
_FEW_UPDATED = 8
"""The most rows that PostgreSQL updates faster one by one than by a temporary table."""

T = TypeVar("T", str, int)
Schema: TypeAlias = Mapping[str, pl.DataType | type[pl.DataType]]
Parameters: TypeAlias = Sequence[str | int | float | bool | bytes | list[str] | list[int] | None]


def on_postgres() -> bool:
    """Return whether the directory is on PostgreSQL (else it is on SQLite)."""
    return connection.vendor == "postgresql"


def read_frame(sql: str, parameters: Parameters, schema: Schema) -> pl.DataFrame:
    """Return the rows of a query (placeholders `%s`) as a frame of the schema.

    The query must select its columns in the order of the schema.
    """
    return _read_postgres(sql, parameters, schema) if on_postgres() else _read_sqlite(sql, parameters, schema)


def _read_postgres(sql: str, parameters: Parameters, schema: Schema) -> pl.DataFrame:
    texts: Schema = {name: pl.String if kind == pl.Boolean else kind for name, kind in schema.items()}

    def parsed(content: bytes) -> pl.DataFrame:
        # Values have no line breaks (rule C1), so PostgreSQL's CSV is as plain as CSV can be; t and f are its booleans.
        frame = pl.read_csv(content, has_header=False, schema=texts)
        return frame.with_columns(pl.col(name) == "t" for name, kind in schema.items() if kind == pl.Boolean)

    with ThreadPoolExecutor(1) as executor, connection.cursor() as cursor:
        # Django does not see what a copy does, and would leave its errors as the driver raises them.
        with connection.wrap_database_errors, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)", parameters) as copy:
            # The executor starts its thread with the first part that it gets.
            parts = [
                executor.submit(parsed, part) if len(part) > _PART_BYTES else parsed(part)
                for part in _join_blocks(copy)
            ]
        return _concat_parts([part.result() if isinstance(part, Future) else part for part in parts], schema)


def _join_blocks(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """Join blocks into parts, each large enough to parse on its own."""
    part = bytearray()
    for block in blocks:
        part += block
        if len(part) > _PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _concat_parts(parts: Sequence[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    return pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=schema)


def _read_sqlite(sql: str, parameters: Parameters, schema: Schema) -> pl.DataFrame:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return _concat_parts(
            [_build_frame(rows, schema) for rows in iter(lambda: cursor.fetchmany(_READ_AT_ONCE), [])], schema
        )


def _build_frame(rows: Sequence[tuple[Any, ...]], schema: Schema) -> pl.DataFrame:
    columns = zip(schema.items(), zip(*rows, strict=True), strict=True)
    return pl.DataFrame([
        pl.Series(name, values, dtype=pl.Int64).cast(pl.Boolean) if kind == pl.Boolean else pl.Series(name, values, dtype=kind)
        for (name, kind), values in columns
    ])  # fmt: skip


def match_any(column: str, values: list[T]) -> tuple[str, str | list[T]]:
    """Return a condition `column is one of values` and its one parameter. It takes any number of values."""
    if on_postgres():
        return f"{column} = ANY(%s)", values
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(values)


def stamp(at: datetime) -> str:
    """Return a time as both databases accept it, and as the trail seals it: UTC, always with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def table(model: type[Model]) -> str:
    """Return the name of the model's table."""
    return model._meta.db_table


def new_ids(model: type[Model], number: int) -> pl.Series:
    """Return this number of ids for rows of the model that are about to be written."""
    if not number:
        return pl.Series("id", [], dtype=pl.Int64)
    with connection.cursor() as cursor:
        if on_postgres():
            # Find the sequence once: it would be looked up again for each id.
            query = (
                "WITH sequence AS MATERIALIZED (SELECT pg_get_serial_sequence(%s, 'id')::regclass AS name)"
                " SELECT nextval(name) FROM sequence, generate_series(1, %s)"
            )
            parameters: list[str | int] = [table(model), number]
            if number > _FEW_INSERTED:
                return read_frame(query, parameters, {"id": pl.Int64})["id"]
            cursor.execute(query, parameters)
            return pl.Series("id", [row[0] for row in cursor.fetchall()], dtype=pl.Int64)
        # The writer holds SQLite's one write lock, so no other connection takes these ids.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table(model)])
        last = (cursor.fetchone() or (0,))[0]
    return pl.Series("id", range(last + 1, last + number + 1), dtype=pl.Int64)


def insert(model: type[Model], rows: pl.DataFrame, nullable: Collection[str] = ()) -> None:
    """Insert the rows into the model's table. The frame's columns are the table's.

    `nullable`: the columns of text in which null stays null. They never hold "".
    """
    _insert(table(model), rows, nullable)


def _insert(name: str, rows: pl.DataFrame, nullable: Collection[str] = ()) -> None:
    if rows.is_empty():
        return
    columns = ", ".join(f'"{column}"' for column in rows.columns)
    with connection.cursor() as cursor:
        if not on_postgres():
            marks = ", ".join(["%s"] * rows.width)
            cursor.executemany(f'INSERT INTO "{name}" ({columns}) VALUES ({marks})', _iter_tuples(rows))
        elif not _is_limited(cursor, name):
            _copy(cursor, name, columns, rows, nullable)
        elif rows.height <= _FEW_INSERTED:
            marks = f"({', '.join(['%s'] * rows.width)})"
            values = [value for row in _iter_tuples(rows) for value in row]
            cursor.execute(f'INSERT INTO "{name}" ({columns}) VALUES {", ".join([marks] * rows.height)}', values)
        else:
            # PostgreSQL refuses COPY into a table with a policy. INSERT checks it for each row.
            cursor.execute(f'CREATE TEMPORARY TABLE added ON COMMIT DROP AS SELECT {columns} FROM "{name}" LIMIT 0')
            _copy(cursor, "added", columns, rows, nullable)
            cursor.execute(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM added')
            cursor.execute("DROP TABLE added")


def _is_limited(cursor: CursorWrapper, name: str) -> bool:
    """Return whether row-level security limits us in the table: not in a temporary one, and never a superuser."""
    cursor.execute("SELECT row_security_active(%s)", [name])
    return bool(cursor.fetchone()[0])


def _copy(cursor: CursorWrapper, name: str, columns: str, rows: pl.DataFrame, nullable: Collection[str]) -> None:
    texts = ", ".join(f'"{c}"' for c, kind in rows.schema.items() if kind == pl.String and c not in nullable)
    options = f"FORMAT csv, FORCE_NOT_NULL ({texts})" if texts else "FORMAT csv"
    query = f'COPY "{name}" ({columns}) FROM STDIN ({options})'
    with connection.wrap_database_errors, cursor.copy(query) as copy:
        made = (part.write_csv(include_header=False) for part in rows.iter_slices(_WRITE_AT_ONCE))
        for text in made if rows.height <= _WRITE_AT_ONCE else prefetch(made):
            copy.write(text)


def _iter_tuples(rows: pl.DataFrame) -> Any:  # an iterator is enough, although Django's type stubs disagree
    for part in rows.iter_slices(_WRITE_AT_ONCE):
        yield from zip(*(_list_values(column) for column in part.get_columns()), strict=True)


def _list_values(column: pl.Series) -> Iterable[Any]:
    """Return the values of a non-empty column as Python objects.

    If all values of a long column are the same, the object is made once.
    """
    if len(column) < _LONG:
        return column.to_list()
    first = column.first()
    return itertools.repeat(first, len(column)) if column.eq_missing(first).all() else column.to_list()


@contextmanager
def page_cache(megabytes: int) -> Iterator[None]:
    """Make room on SQLite for the pages of the indexes during large writes. Do nothing on PostgreSQL."""
    if on_postgres():
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size")
        before = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA cache_size = -{megabytes * 1024}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA cache_size = {before}")


def update(model: type[Model], rows: pl.DataFrame) -> None:
    """Update the model's rows that have the ids in `id` with the other columns of the frame."""
    if rows.is_empty():
        return
    columns = [column for column in rows.columns if column != "id"]
    with connection.cursor() as cursor:
        if on_postgres() and rows.height > _FEW_UPDATED:
            names = ", ".join(f'"{column}"' for column in rows.columns)
            cursor.execute(
                f'CREATE TEMPORARY TABLE changed ON COMMIT DROP AS SELECT {names} FROM "{table(model)}" LIMIT 0'
            )
            _insert("changed", rows)
            cursor.execute("ANALYZE changed")
            assigned = ", ".join(f'"{column}" = changed."{column}"' for column in columns)
            cursor.execute(
                f'UPDATE "{table(model)}" AS stored SET {assigned} FROM changed WHERE stored.id = changed.id'
            )
            cursor.execute("DROP TABLE changed")
        else:
            assigned = ", ".join(f'"{column}" = %s' for column in columns)
            cursor.executemany(
                f'UPDATE "{table(model)}" SET {assigned} WHERE id = %s', _iter_tuples(rows.select(*columns, "id"))
            )
