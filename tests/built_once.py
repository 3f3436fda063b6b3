"""Directories that many tests begin with: the product builds each once per process; later tests get its rows and files again.

An import of three users takes a fifth of a second, its rows a hundredth.
"""

import copy
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from django.conf import UserSettingsHolder, settings
from django.db import connection, transaction

from musterbook.config import secret_keys
from musterbook.directory import models

_P = ParamSpec("_P")
_T = TypeVar("_T")
_State: TypeAlias = tuple[object, ...]
_EMPTY = "empty"
_TABLES = {
    "sqlite": (
        """SELECT m.name, '"' || m.name || '"', max('"' || c.name || '"') FILTER (WHERE c.pk = 1),"""
        """ group_concat('"' || c.name || '"', ', ') FROM sqlite_master m, pragma_table_info(m.name) c"""
        " WHERE m.type = 'table' GROUP BY m.name HAVING max(c.pk) > 0"
    ),
    "postgresql": (
        "SELECT c.relname, format('%I', c.relname), max(format('%I', a.attname)) FILTER (WHERE a.attnum = i.indkey[0]),"
        " string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)"
        " FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname"
    ),
}
"""The tables with a primary key: their names, also as SQL writes them, their keys and their columns."""
_CHANGES = (
    "SELECT pg_current_xact_id()::text, sum(n_tup_ins + n_tup_upd + n_tup_del)::text FROM pg_stat_xact_user_tables"
)


class _Table(NamedTuple):
    """A table, its primary key and its columns, as SQL writes them."""

    name: str
    key: str
    columns: str


_Rows: TypeAlias = dict[_Table, dict[str, str]]
"""The rows of tables by their keys, both as SQL writes them."""


@dataclass(frozen=True)
class _Snapshot:
    """What a builder returned, and all that it wrote."""

    returned: Any
    changes: list[str]
    files: dict[Path, bytes]


@dataclass
class _Known:
    """The database as the last builder left it: the keys of all builders, in order, and what shows that nothing has changed."""

    key: str = _EMPTY
    state: _State | None = None


_known = _Known()


def built_once(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep what the function builds, and put it back when it is called again where the database is the same.

    That is a database without agencies, and one that nothing has changed since another such function. Elsewhere the function is
    called as it is. It must not depend on the time or on what a test patches.
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
    """Return what changes with every change of a row, by this connection or another; and the events, which a rollback removes.

    PostgreSQL counts the changes of a transaction, so outside of one the state is not known.
    """
    raw = connection.connection
    if connection.vendor == "sqlite":
        return raw, raw.total_changes, _read_row("PRAGMA data_version"), models.Event.objects.count()
    if not connection.in_atomic_block:
        return None
    return raw, _read_row(_CHANGES), models.Event.objects.count()


def _read_row(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


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
    before = _read_rows()
    returned = build()
    changes = _compare(before, _read_rows())
    files = {path: (_folder() / path).read_bytes() for path in _list_files() - others}
    return _Snapshot(copy.deepcopy(returned), changes, files)


def _restore(snapshot: _Snapshot) -> None:
    with transaction.atomic(), connection.cursor():
        for sql in snapshot.changes if connection.vendor == "sqlite" else ["; ".join(snapshot.changes)]:
            connection.connection.execute(sql)
    for name, content in snapshot.files.items():
        path = _folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _folder() -> Path:
    """Return the folder of the files that were imported."""
    return Path(settings.MUSTER_HOME) / "files"


def _list_files() -> set[Path]:
    return {path.relative_to(_folder()) for path in _folder().rglob("*") if path.is_file()}


def _read_rows() -> _Rows:
    """Return all rows of all tables."""
    quote = "quote({})" if connection.vendor == "sqlite" else "quote_nullable({}::text)"
    with connection.cursor() as cursor:
        # Look at the columns each time: a migration back and forth in a test may change their order.
        cursor.execute(_TABLES[connection.vendor])
        tables = {table: _Table(name, key, columns) for table, name, key, columns in cursor.fetchall()}
        rows: _Rows = {table: {} for table in tables.values()}
        literals = {
            table: " || ',' || ".join(map(quote.format, of.columns.split(", "))) for table, of in tables.items()
        }
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', {quote.format(of.key)}, {literals[table]} FROM {of.name}"
                for table, of in tables.items()
            )
        )
        for table, key, row in cursor.fetchall():
            rows[tables[table]][key] = row
    return rows


def _compare(before: _Rows, after: _Rows) -> list[str]:
    """Return the statements that make the rows what they are now."""
    changes = []
    for table, rows in after.items():
        were = before[table]
        gone = [key for key, row in were.items() if rows.get(key) != row]
        new = [f"({row})" for key, row in rows.items() if were.get(key) != row]
        if gone:
            changes.append(f"DELETE FROM {table.name} WHERE {table.key} IN ({', '.join(gone)})")
        if new:
            changes.append(f"INSERT INTO {table.name} ({table.columns}) VALUES {', '.join(new)}")
    return changes
