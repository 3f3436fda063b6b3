"""The import lock: one writer for each agency at a time (D5).

The import lock is released when the process that holds it exits, for any reason. On PostgreSQL it is a session-level
advisory lock (so a connection pooler must pool by session). On SQLite it is a locked file next to the database.
"""

import fcntl
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import Error, OperationalError, connection, transaction

from musterbook.directory import models
from musterbook.directory.storage import database_errors, frames

_CLASS = 0x6D75
"""The class that separates our advisory locks from others in the same database ("mu")."""


class AgencyPaused(Exception):
    """The agency is paused: nothing of it may be changed until it is resumed. The message is its slug."""


_POLL_SECONDS = 0.1
_BUSY_MILLISECONDS = 200
_BETWEEN_SECONDS = 0.02
"""The time between two attempts to begin a transaction, in which the connection is not in use."""


@contextmanager
def hold_import_lock(agency: models.Agency, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the agency's import lock. While another process holds it, call `on_wait` repeatedly."""
    with _open_lock(agency) as attempt:
        while not attempt():
            on_wait()
            time.sleep(_POLL_SECONDS)
        yield


@contextmanager
def try_import_lock(agency: models.Agency) -> Iterator[bool]:
    """Hold the agency's import lock if it is free, and yield whether it was."""
    with _open_lock(agency) as attempt:
        yield attempt()


@contextmanager
def _open_lock(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    """Yield a function that tries to take the lock; release the lock at the end."""
    with _advisory_lock(agency) if frames.on_postgres() else _file_lock(agency) as attempt:
        yield attempt


@contextmanager
def _advisory_lock(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    locked = False

    def attempt() -> bool:
        nonlocal locked
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_CLASS, agency.pk])
            locked = bool(cursor.fetchone()[0])
        return locked

    try:
        yield attempt
    finally:
        if locked:
            # A lost connection has released its lock already.
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_CLASS, agency.pk])


@contextmanager
def _file_lock(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    with (_prepare_folder() / str(agency.pk)).open("w") as file:
        yield partial(_try_flock, file)


@contextmanager
def hold_named_lock(name: str, seconds: float) -> Iterator[bool]:
    """Hold the lock of this name on this machine; yield whether it was free.

    Wait for it for at most this number of seconds.
    """
    until = time.monotonic() + seconds
    with (_prepare_folder() / name).open("w") as file:
        while not (free := _try_flock(file)) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        yield free


def _try_flock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepare_folder() -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def write_transaction(on_wait: Callable[[], None]) -> Iterator[None]:
    """Run one transaction, which is never nested. While SQLite has another writer, call `on_wait` repeatedly."""
    with ExitStack() as stack:
        with _shorten_busy_wait():
            while not _try_begin(stack):
                on_wait()
                time.sleep(_BETWEEN_SECONDS)
        yield


def _try_begin(stack: ExitStack) -> bool:
    try:
        stack.enter_context(transaction.atomic(durable=True))
    except OperationalError as error:
        if database_errors.is_busy(error):
            _drop_cursors(error)
            return False
        raise
    return True


def _drop_cursors(error: BaseException) -> None:
    """Let go of the cursors that the frames of the error hold, here and now.

    Otherwise the garbage collection of any thread closes them, and waits for this connection meanwhile. If that thread is
    the writer, and this one waits for the writer again and again, neither goes on.
    """
    for one in (error, error.__cause__):
        traceback.clear_frames(one.__traceback__ if one else None)


@contextmanager
def _shorten_busy_wait() -> Iterator[None]:
    """Make SQLite wait only briefly at a time, so that the caller learns of the wait and can stop."""
    if frames.on_postgres():
        yield
        return
    with limit_wait(_BUSY_MILLISECONDS):
        yield


@contextmanager
def limit_wait(milliseconds: int) -> Iterator[None]:
    """Let each wait for another writer fail with an OperationalError after this time, outside a transaction."""
    with connection.cursor() as cursor:
        show, set_to = ("SHOW", "SET") if frames.on_postgres() else ("PRAGMA", "PRAGMA")
        name = "lock_timeout" if frames.on_postgres() else "busy_timeout"
        cursor.execute(f"{show} {name}")
        usual = cursor.fetchone()[0]
        cursor.execute(f"{set_to} {name} = {milliseconds}")
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute(f"{set_to} {name} = '{usual}'")


def lock_row(agency: models.Agency, *, paused: bool = False) -> None:
    """Lock the agency's row, so that no other transaction writes its users until this one ends.

    Call it within a transaction. SQLite has one writer anyway. Rows that only refer to the agency can be written
    meanwhile. Raise AgencyPaused if the agency is paused, unless the caller may change a `paused` one.
    """
    stored = models.Agency.objects.select_for_update(no_key=True).only("slug", "paused_at").get(pk=agency.pk)
    if stored.paused_at and not paused:
        raise AgencyPaused(stored.slug)


def refuse_paused(agency: models.Agency) -> None:
    """Raise AgencyPaused if the agency is paused now."""
    if models.Agency.objects.filter(pk=agency.pk, paused_at__isnull=False).exists():
        raise AgencyPaused(agency.slug)


def read_version() -> int | None:
    """Return a number that changes when another connection has written to SQLite.

    Return None on PostgreSQL, which has no such number.
    """
    if frames.on_postgres():
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchone()[0])


def is_read_only() -> bool:
    """Return whether the PostgreSQL server takes no changes, as a standby does. On SQLite, return False."""
    if not frames.on_postgres():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return str(cursor.fetchone()[0]) == "on"


def end_holder(agency: models.Agency, silent_seconds: float) -> bool:
    """End the PostgreSQL session that holds the agency's import lock, if it has done nothing for that many seconds.

    Its uncommitted work is discarded. It is for a worker that has sent no heartbeat for long: its machine may be gone
    without its session noticing. A session that has just done something belongs to another worker, which has taken the
    lock and not yet claimed the import. Return whether a session was ended. On SQLite the holder is a process of this
    machine; if that is dead, the lock is free.
    """
    if not frames.on_postgres():
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = %s AND objid = %s AND objsubid = 2 AND pid <> pg_backend_pid()"
            " AND state_change < clock_timestamp() - make_interval(secs => %s)",
            [_CLASS, agency.pk, silent_seconds],
        )
        return cursor.fetchone() is not None
