"""Directories that many tests begin with: the product builds each once per process; later tests get its rows and files again.

An import of three users takes a fifth of a second, its rows a hundredth.
"""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from musterbook.directory import models

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Snapshot:
    """What a builder returned, and all that it wrote."""

    returned: Any
    rows: dict[str, Any] = field(default_factory=dict)
    files: dict[Path, bytes] = field(default_factory=dict)


def built_once(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep what the function builds in a database without agencies, and put it back when it is called again in another one.

    In a database that has an agency the function is called as it is. It must not depend on the time or on what a test patches.
    """
    snapshots: dict[str, _Snapshot] = {}

    @functools.wraps(build)
    def restore_or_build(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if models.Agency.objects.exists():
            return build(*args, **kwargs)
        key = repr((args, kwargs, settings.PASSWORD_HASHERS))
        if key not in snapshots:
            snapshots[key] = _take(lambda: build(*args, **kwargs))
        else:
            _restore(snapshots[key])
        returned: _T = copy.deepcopy(snapshots[key].returned)
        return returned

    return restore_or_build


def _take(build: Callable[[], object]) -> _Snapshot:
    others = _list_files()
    with connection.cursor() as cursor:
        before = {table: _count(cursor, table) for table in connection.introspection.table_names(cursor)}
        returned = build()
        rows = {}
        for table, count in before.items():
            if _count(cursor, table) != count:
                assert count == 0, f"{table} is not empty where a directory is built"
                rows[table] = _dump(cursor, table)
    files = {path: (_folder() / path).read_bytes() for path in _list_files() - others}
    return _Snapshot(copy.deepcopy(returned), rows, files)


def _restore(snapshot: _Snapshot) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table, rows in snapshot.rows.items():
            _load(cursor, table, rows)
    for name, content in snapshot.files.items():
        path = _folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _folder() -> Path:
    """Return the folder of the files that were imported."""
    return Path(settings.MUSTER_HOME) / "files"


def _list_files() -> set[Path]:
    return {path.relative_to(_folder()) for path in _folder().rglob("*") if path.is_file()}


def _count(cursor: CursorWrapper, table: str) -> int:
    cursor.execute(f'SELECT count(*) FROM "{table}"')
    return int(cursor.fetchone()[0])


def _dump(cursor: CursorWrapper, table: str) -> Any:
    if connection.vendor == "postgresql":
        with cursor.copy(f'COPY "{table}" TO STDOUT') as rows:
            return b"".join(rows)
    columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
    literals = " || ',' || ".join(f'quote("{column}")' for column in columns)
    cursor.execute(f'SELECT {literals} FROM "{table}"')
    return ", ".join(f"({row})" for (row,) in cursor.fetchall())


def _load(cursor: CursorWrapper, table: str, rows: Any) -> None:
    if connection.vendor == "postgresql":
        with cursor.copy(f'COPY "{table}" FROM STDIN') as copying:
            copying.write(rows)
    else:
        connection.connection.execute(f'INSERT INTO "{table}" VALUES {rows}')
