"""The bare limits: the same bytes are read, the same rows are written into the same tables, and the same columns are selected."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

import polars as pl
import psycopg

from benchmarks.tables import EVENTS, IMPORTS, LISTED, USERS, Source, make_select

_BLOCK = 1 << 20
_ROWS = 200_000
_CACHE_KB = 512 * 1024


class Manner(Enum):
    """The way in which users are written: added, updated, or updated with unique values that pass from one user to another."""

    ADDED = "added"
    UPDATED = "updated"
    HANDED_ON = "handed on"


def time_reading(path: Path) -> dict[str, float]:
    """Return the seconds to read a file's bytes, and to read all its cells as text with Polars."""
    since = time.perf_counter()
    content = path.read_bytes()
    at = time.perf_counter()
    pl.read_csv(content, infer_schema=False)
    return {"read.bytes": at - since, "read": time.perf_counter() - since}


def time_selecting(source: Source) -> dict[str, float]:
    """Return the seconds to fetch the columns of all users that an import compares into memory."""
    sql = f"SELECT {LISTED} FROM {USERS}"
    since = time.perf_counter()
    if source.url:
        with psycopg.connect(source.url, options=_ALL) as connection:
            list(_read_blocks(connection, sql))
    else:
        with closing(sqlite3.connect(source.path)) as connection:
            connection.execute(sql).fetchall()
    return {"select": time.perf_counter() - since}


def time_writing(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    """Return the seconds to write the rows of the last import in `done` into `fresh`, a copy of `done` before that import.

    The rows are in memory beforehand (on SQLite block by block, because five million rows do not fit).
    """
    return (_write_postgres if done.url else _write_sqlite)(done, fresh, manner)


_ALL = "-c muster.agency=*"
"""What lets a connection of its own reach the rows of every agency."""
_VACATED = ", ".join(f"{name}_key = '\x01' || u.id" for name in ("email", "badge_number", "username"))
"""Unique values that no user has."""


@dataclass(frozen=True, slots=True)
class _WrittenRows:
    """The rows that an import wrote, as queries."""

    users: str
    events: str
    imports: str


def _select_written(manner: Manner) -> _WrittenRows:
    last = f"(SELECT max(id) FROM {IMPORTS})"
    mine = "" if manner is Manner.ADDED else f"WHERE id IN (SELECT subject_id FROM {EVENTS} WHERE of_id = {last})"
    return _WrittenRows(
        make_select(USERS, f"{mine} ORDER BY id"),
        make_select(EVENTS, f"WHERE of_id = {last} ORDER BY id"),
        make_select(IMPORTS, f"WHERE id = {last}"),
    )


def _write_postgres(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    what = _select_written(manner)
    with psycopg.connect(done.url, options=_ALL) as connection:
        users, events, imports = (
            list(_read_blocks(connection, sql)) for sql in (what.users, what.events, what.imports)
        )
    with psycopg.connect(fresh.url, options=_ALL) as connection:
        since = time.perf_counter()
        _write_blocks(connection, IMPORTS, imports)
        if manner is Manner.ADDED:
            _write_blocks(connection, USERS, users)
        else:
            _update_postgres(connection, users, manner)
        at = time.perf_counter()
        _write_blocks(connection, EVENTS, events)
        after = time.perf_counter()
        connection.commit()
        end = time.perf_counter()
    return {"write.users": at - since, "write.events": after - at, "write.commit": end - after, "write": end - since}


def _update_postgres(connection: psycopg.Connection, users: list[bytes], manner: Manner) -> None:
    connection.execute(f"CREATE TEMPORARY TABLE t ON COMMIT DROP AS SELECT * FROM {USERS} LIMIT 0")
    _write_blocks(connection, "t", users)
    named = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    names = [str(row[0]) for row in connection.execute(named, [USERS])]
    if manner is Manner.HANDED_ON:
        connection.execute(f"UPDATE {USERS} AS u SET {_VACATED} FROM t WHERE u.id = t.id")
    assigned = ", ".join(f'"{name}" = t."{name}"' for name in names if name != "id")
    connection.execute(f"UPDATE {USERS} AS u SET {assigned} FROM t WHERE u.id = t.id")


def _read_blocks(connection: psycopg.Connection, sql: str) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)") as copy:
        rows = bytearray()
        for row in copy:
            rows += row
            if len(rows) > _BLOCK:
                yield bytes(rows)
                rows.clear()
        yield bytes(rows)


def _write_blocks(connection: psycopg.Connection, table: str, blocks: list[bytes]) -> None:
    """Write the rows, as the product must: PostgreSQL refuses COPY into a table with policies."""
    if table == "t":
        _copy_blocks(connection, table, blocks)
        return
    connection.execute(f"CREATE TEMPORARY TABLE added ON COMMIT DROP AS SELECT * FROM {table} LIMIT 0")
    _copy_blocks(connection, "added", blocks)
    connection.execute(f"INSERT INTO {table} SELECT * FROM added")
    connection.execute("DROP TABLE added")


def _copy_blocks(connection: psycopg.Connection, table: str, blocks: list[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for block in blocks:
            copy.write(block)


def _write_sqlite(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    what = _select_written(manner)
    with closing(sqlite3.connect(done.path)) as stored, closing(_open_sqlite(fresh.path)) as connection:
        names = [row[1] for row in stored.execute(f"PRAGMA table_info({USERS})")]
        write = partial(_time_statement, stored, connection)
        users = write(what.imports, _make_insert(stored, IMPORTS))
        if manner is Manner.HANDED_ON:
            users += write(f"SELECT id FROM ({what.users})", f"UPDATE {USERS} AS u SET {_VACATED} WHERE id = ?")
        assigned = ", ".join(f'"{name}" = ?{number}' for number, name in enumerate(names, 1))
        users += write(
            what.users,
            _make_insert(stored, USERS) if manner is Manner.ADDED else f"UPDATE {USERS} SET {assigned} WHERE id = ?1",
        )
        events = write(what.events, _make_insert(stored, EVENTS))
        since = time.perf_counter()
        connection.commit()
        commit = time.perf_counter() - since
    return {"write.users": users, "write.events": events, "write.commit": commit, "write": users + events + commit}


def _time_statement(stored: sqlite3.Connection, connection: sqlite3.Connection, sql: str, statement: str) -> float:
    """Return the seconds to execute the statement for every row of the query. Rows are fetched beforehand, block by block."""
    seconds = 0.0
    rows = stored.execute(sql)
    while block := rows.fetchmany(_ROWS):
        since = time.perf_counter()
        connection.executemany(statement, block)
        seconds += time.perf_counter() - since
    return seconds


def _open_sqlite(path: Path) -> sqlite3.Connection:
    """Return a connection with the product's settings (journal, foreign keys), and the fastest page cache."""
    connection = sqlite3.connect(path)
    connection.executescript(
        f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{_CACHE_KB}"
    )
    return connection


def _make_insert(connection: sqlite3.Connection, table: str) -> str:
    width = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
    return f"INSERT INTO {table} VALUES ({', '.join('?' * width)})"
