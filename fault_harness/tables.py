"""The tables of an installation, read past the product: plain SQL, on SQLite and PostgreSQL."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

DatabaseError = (psycopg.Error, sqlite3.Error)
_ALL_AGENCIES = "-c muster.agency=*"
"""The setting with which the row-level security of PostgreSQL shows the rows of all agencies."""
Rows = list[tuple[Any, ...]]


class Tables:
    """The tables of one database: the URL of a PostgreSQL, or the file of a SQLite."""

    def __init__(self, url: str = "", path: Path | None = None) -> None:
        self._url, self._path = url, path

    def select(self, sql: str) -> Rows:
        """Return the rows of a query."""
        with self._connect() as connection:
            return [tuple(row) for row in connection.execute(sql).fetchall()]

    def execute(self, sql: str) -> None:
        """Change the tables: for tests, which damage them."""
        with self._connect() as connection:
            connection.execute(sql)
            connection.commit()

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        if self._url:
            with psycopg.connect(self._url, connect_timeout=10, options=_ALL_AGENCIES) as server:
                yield server
        else:
            with closing(sqlite3.connect(f"file:{self._path}", uri=True, timeout=30)) as connection:
                yield connection

    def count(self, table: str, condition: str) -> int:
        """Return the number of rows of a table that meet a condition."""
        return int(self.select(f"SELECT COUNT(*) FROM directory_{table} WHERE {condition}")[0][0])


def read_json(value: Any) -> Any:
    """Return the value of a JSON column: SQLite gives its text."""
    return json.loads(value) if isinstance(value, str) else value
