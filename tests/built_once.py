"""Directories that many tests begin with: the product builds each once per process; later tests get its rows and files again.

An import of three users takes a fifth of a second, its rows a hundredth.
"""

import copy
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

from django.conf import UserSettingsHolder, settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from musterbook.config import secret_keys
from musterbook.directory import models

_P = ParamSpec("_P")
_T = TypeVar("_T")
_State: TypeAlias = tuple[object, ...]
_EMPTY = "empty"


@dataclass(frozen=True)
class _Snapshot:
    """What a builder returned, and all that it wrote."""

    returned: Any
    tables: dict[str, Any]
    files: dict[Path, bytes]


@dataclass
class _Known:
    """The database as the last builder left it: the keys of all builders, in order, and what shows that nothing has changed."""

    key: str = _EMPTY
    state: _State | None = None


_known = _Known()


def built_once(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep what the function builds, and put it back when it is called again where the database is the same.

    That is a database without agencies, and on SQLite also one that nothing has changed since another such function. Elsewhere
    the function is called as it is. It must not depend on the time or on what a test patches.
    """
    snapshots: dict[str, _Snapshot] = {}

    @functools.wraps(build)
    def restore_or_build(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        before = _find_key()
        if before is None:
            return build(*args, **kwargs)
        key = repr((before, build.__module__, build.__qualname__, args, kwargs, _describe_settings()))
        if key not in snapshots:
            own_args, own_kwargs = copy.deepcopy((args, kwargs))  # nobody sees what the builder changes of them
            snapshots[key] = _take(lambda: build(*own_args, **own_kwargs))
        else:
            _restore(snapshots[key])
        _known.key, _known.state = key, _read_state()
        returned: _T = copy.deepcopy(snapshots[key].returned)
        return returned

    return restore_or_build


def built_each_minute(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep what the function builds as `built_once` does, but for a minute: it may depend on the time, as sessions do."""

    @built_once
    @functools.wraps(build)
    def build_in(minute: int, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return build(*args, **kwargs)

    @functools.wraps(build)
    def build_now(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return build_in(int(time.time()) // 60, *args, **kwargs)

    return build_now


def _find_key() -> str | None:
    """Return the key of what the database has, None if that is not known."""
    if not models.Agency.objects.exists():
        return _EMPTY
    return _known.key if _known.state is not None and _known.state == _read_state() else None


def _read_state() -> _State | None:
    """Return what changes with every change of a row, by this connection or another; and the events, which a rollback removes."""
    if connection.vendor != "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        (version,) = cursor.fetchone()
    raw = connection.connection
    return raw, raw.total_changes, version, models.Event.objects.count()


def _describe_settings() -> tuple[object, ...]:
    """Return the settings that the test has changed, except for its folder, and the key that seals and signs."""
    changed: dict[str, object] = {}
    holder: object = settings._wrapped  # type: ignore[misc]  # django-stubs leaves it out
    while isinstance(holder, UserSettingsHolder):
        changed = {name: value for name, value in vars(holder).items() if name.isupper()} | changed
        holder = holder.default_settings
    changed.pop("MUSTER_HOME", None)
    return sorted(changed.items()), secret_keys.ring()[0].name


def _take(build: Callable[[], object]) -> _Snapshot:
    others = _list_files()
    with connection.cursor() as cursor:
        before = {table: _read(cursor, table) for table in connection.introspection.table_names(cursor)}
        returned = build()
        tables = {table: change for table, rows in before.items() if (change := _compare(cursor, table, rows))}
    files = {path: (_folder() / path).read_bytes() for path in _list_files() - others}
    return _Snapshot(copy.deepcopy(returned), tables, files)


def _restore(snapshot: _Snapshot) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table, change in snapshot.tables.items():
            _apply(cursor, table, change)
    for name, content in snapshot.files.items():
        path = _folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _folder() -> Path:
    """Return the folder of the files that were imported."""
    return Path(settings.MUSTER_HOME) / "files"


def _list_files() -> set[Path]:
    return {path.relative_to(_folder()) for path in _folder().rglob("*") if path.is_file()}


def _read(cursor: CursorWrapper, table: str) -> Any:
    """Return what `_compare` compares with: on SQLite all rows, on PostgreSQL their number."""
    if connection.vendor == "postgresql":
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return int(cursor.fetchone()[0])
    literals = " || ',' || ".join(f"quote({column})" for column in _list_columns(cursor, table).split(", "))
    cursor.execute(f'SELECT quote("{_find_primary_key(cursor, table)}"), {literals} FROM "{table}"')
    return dict(cursor.fetchall())


def _compare(cursor: CursorWrapper, table: str, before: Any) -> Any:
    """Return what has changed in the table, a false value for nothing."""
    after = _read(cursor, table)
    if after == before:
        return None
    if connection.vendor == "postgresql":
        assert before == 0, f"{table} is not empty where a directory is built"
        columns = _list_columns(cursor, table)
        with cursor.copy(f'COPY "{table}" ({columns}) TO STDOUT') as rows:
            return columns, b"".join(rows)
    gone = [key for key, row in before.items() if after.get(key) != row]
    new = [row for key, row in after.items() if before.get(key) != row]
    columns = _list_columns(cursor, table)
    return _find_primary_key(cursor, table), columns, ", ".join(gone), ", ".join(f"({row})" for row in new)


def _apply(cursor: CursorWrapper, table: str, change: Any) -> None:
    if connection.vendor == "postgresql":
        columns, rows = change
        # By way of a table without policies: PostgreSQL refuses COPY into one that has them.
        cursor.execute(f'CREATE TEMPORARY TABLE restored ON COMMIT DROP AS SELECT {columns} FROM "{table}" LIMIT 0')
        with cursor.copy(f"COPY restored ({columns}) FROM STDIN") as copying:
            copying.write(rows)
        cursor.execute(f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM restored')
        cursor.execute("DROP TABLE restored")
        return
    key, columns, gone, new = change
    if gone:
        connection.connection.execute(f'DELETE FROM "{table}" WHERE "{key}" IN ({gone})')
    if new:
        connection.connection.execute(f'INSERT INTO "{table}" ({columns}) VALUES {new}')


def _list_columns(cursor: CursorWrapper, table: str) -> str:
    """Return the columns in their order now: a migration back and forth in a test may change it.

    On SQLite, the description by Django parses the SQL of the whole table, which takes longer than to read its rows.
    """
    if connection.vendor == "sqlite":
        cursor.execute("SELECT name FROM pragma_table_info(%s) ORDER BY cid", [table])
        return ", ".join(f'"{name}"' for (name,) in cursor.fetchall())
    return ", ".join(f'"{column.name}"' for column in connection.introspection.get_table_description(cursor, table))


def _find_primary_key(cursor: CursorWrapper, table: str) -> str:
    return str(connection.introspection.get_primary_key_column(cursor, table))
