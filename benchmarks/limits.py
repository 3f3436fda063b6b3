"""The bare limits: the same bytes read, the same rows written into the same tables, the same columns selected; no more."""

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

from benchmarks.tables import EVENTS, IMPORTS, LISTED, USERS, Source, select

_BLOCK = 1 << 20
_ROWS = 200_000
_CACHE_KB = 512 * 1024


class Manner(Enum):
    """How users are written: anew, over what is there, or over what is there with unique values that pass from one to another."""

    ADDED = "added"
    UPDATED = "updated"
    HANDED_ON = "handed on"


def read(path: Path) -> dict[str, float]:
    """Seconds to read a file's bytes, and its cells as text by Polars, all columns."""
    since = time.perf_counter()
    content = path.read_bytes()
    at = time.perf_counter()
    pl.read_csv(content, infer_schema=False)
    return {"read.bytes": at - since, "read": time.perf_counter() - since}


def compared(source: Source) -> dict[str, float]:
    """Seconds to fetch the columns of all users that an import compares, into memory, as the driver gives them."""
    sql = f"SELECT {LISTED} FROM {USERS}"
    since = time.perf_counter()
    if source.url:
        with psycopg.connect(source.url) as connection:
            list(_copied(connection, sql))
    else:
        with closing(sqlite3.connect(source.path)) as connection:
            connection.execute(sql).fetchall()
    return {"select": time.perf_counter() - since}


def write(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    """Seconds to write what the last import into `done` wrote, bare, into `fresh`, which is as `done` was before.

    The rows are in memory, as the driver takes them, beforehand (on SQLite block by block, for five million do not fit).
    """
    return (_write_postgres if done.url else _write_sqlite)(done, fresh, manner)


_VACATED = ", ".join(f"{name}_key = '\x01' || u.id" for name in ("email", "badge_number", "username"))
"""Unique values that are in nobody's way."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What an import wrote: the queries that find it again."""

    users: str
    events: str
    imports: str


def _written(manner: Manner) -> _Written:
    last = f"(SELECT max(id) FROM {IMPORTS})"
    mine = "" if manner is Manner.ADDED else f"WHERE id IN (SELECT subject_id FROM {EVENTS} WHERE of_id = {last})"
    return _Written(
        select(USERS, f"{mine} ORDER BY id"),
        select(EVENTS, f"WHERE of_id = {last} ORDER BY id"),
        select(IMPORTS, f"WHERE id = {last}"),
    )


def _write_postgres(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    what = _written(manner)
    with psycopg.connect(done.url) as connection:
        users, events, imports = (list(_copied(connection, sql)) for sql in (what.users, what.events, what.imports))
    with psycopg.connect(fresh.url) as connection:
        since = time.perf_counter()
        _copy(connection, IMPORTS, imports)
        if manner is Manner.ADDED:
            _copy(connection, USERS, users)
        else:
            _update_postgres(connection, users, manner)
        at = time.perf_counter()
        _copy(connection, EVENTS, events)
        after = time.perf_counter()
        connection.commit()
        end = time.perf_counter()
    return {"write.users": at - since, "write.events": after - at, "write.commit": end - after, "write": end - since}


def _update_postgres(connection: psycopg.Connection, users: list[bytes], manner: Manner) -> None:
    connection.execute(f"CREATE TEMPORARY TABLE t ON COMMIT DROP AS SELECT * FROM {USERS} LIMIT 0")
    _copy(connection, "t", users)
    named = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    names = [str(row[0]) for row in connection.execute(named, [USERS])]
    if manner is Manner.HANDED_ON:
        connection.execute(f"UPDATE {USERS} AS u SET {_VACATED} FROM t WHERE u.id = t.id")
    assigned = ", ".join(f'"{name}" = t."{name}"' for name in names if name != "id")
    connection.execute(f"UPDATE {USERS} AS u SET {assigned} FROM t WHERE u.id = t.id")


def _copied(connection: psycopg.Connection, sql: str) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)") as copy:
        rows = bytearray()
        for row in copy:
            rows += row
            if len(rows) > _BLOCK:
                yield bytes(rows)
                rows.clear()
        yield bytes(rows)


def _copy(connection: psycopg.Connection, table: str, blocks: list[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for block in blocks:
            copy.write(block)


def _write_sqlite(done: Source, fresh: Source, manner: Manner) -> dict[str, float]:
    what = _written(manner)
    with closing(sqlite3.connect(done.path)) as stored, closing(_opened(fresh.path)) as connection:
        names = [row[1] for row in stored.execute(f"PRAGMA table_info({USERS})")]
        write = partial(_many, stored, connection)
        users = write(what.imports, _insert(stored, IMPORTS))
        if manner is Manner.HANDED_ON:
            users += write(f"SELECT id FROM ({what.users})", f"UPDATE {USERS} AS u SET {_VACATED} WHERE id = ?")
        assigned = ", ".join(f'"{name}" = ?{number}' for number, name in enumerate(names, 1))
        users += write(
            what.users,
            _insert(stored, USERS) if manner is Manner.ADDED else f"UPDATE {USERS} SET {assigned} WHERE id = ?1",
        )
        events = write(what.events, _insert(stored, EVENTS))
        since = time.perf_counter()
        connection.commit()
        commit = time.perf_counter() - since
    return {"write.users": users, "write.events": events, "write.commit": commit, "write": users + events + commit}


def _many(stored: sqlite3.Connection, connection: sqlite3.Connection, sql: str, statement: str) -> float:
    """Seconds to execute the statement for every row of the query, which is fetched beforehand, block by block."""
    seconds = 0.0
    rows = stored.execute(sql)
    while block := rows.fetchmany(_ROWS):
        since = time.perf_counter()
        connection.executemany(statement, block)
        seconds += time.perf_counter() - since
    return seconds


def _opened(path: Path) -> sqlite3.Connection:
    """A connection as the product has it (journal, foreign keys), with a page cache that makes it quickest."""
    connection = sqlite3.connect(path)
    connection.executescript(
        f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{_CACHE_KB}"
    )
    return connection


def _insert(connection: sqlite3.Connection, table: str) -> str:
    width = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
    return f"INSERT INTO {table} VALUES ({', '.join('?' * width)})"
