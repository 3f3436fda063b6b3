"""One writer for one agency at a time (D5).

The turn to import is a lock that ends with the process that holds it, however that ends: a session's advisory lock on
PostgreSQL (so a pooler between must pool by session), a locked file beside the embedded database.
"""

import fcntl
import time
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
"""What sets our advisory locks apart from others in the same database ("mu")."""

_POLL_SECONDS = 0.1
_BUSY_MILLISECONDS = 200


@contextmanager
def import_of(agency: models.Agency, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the agency's turn to import; while another holds it, calls `waiting` again and again."""
    with _turn(agency) as attempt:
        while not attempt():
            waiting()
            time.sleep(_POLL_SECONDS)
        yield


@contextmanager
def if_free(agency: models.Agency) -> Iterator[bool]:
    """Holds the agency's turn to import if nobody does, and tells whether."""
    with _turn(agency) as attempt:
        yield attempt()


@contextmanager
def _turn(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    """Gives what tries to take the turn; lets go of it at the end."""
    with _advisory(agency) if frames.on_postgres() else _file(agency) as attempt:
        yield attempt


@contextmanager
def _advisory(agency: models.Agency) -> Iterator[Callable[[], bool]]:
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
            # A connection that is lost has given its lock back already.
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_CLASS, agency.pk])


@contextmanager
def _file(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    with (_folder() / str(agency.pk)).open("w") as file:
        yield partial(_taken, file)


@contextmanager
def alone_in(name: str, seconds: float) -> Iterator[bool]:
    """Is the only one on this machine that does something of that name; tells whether, after waiting for so long at most."""
    until = time.monotonic() + seconds
    with (_folder() / name).open("w") as file:
        while not (free := _taken(file)) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        yield free


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folder() -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def writing(waiting: Callable[[], None]) -> Iterator[None]:
    """One transaction, within no other. SQLite has one writer: while that is another, calls `waiting` again and again."""
    with ExitStack() as stack:
        with _impatient():
            while not _begun(stack):
                waiting()
        yield


def _begun(stack: ExitStack) -> bool:
    try:
        stack.enter_context(transaction.atomic(durable=True))
    except OperationalError as error:
        if database_errors.is_busy(error):
            return False
        raise
    return True


@contextmanager
def _impatient() -> Iterator[None]:
    """Has SQLite wait for a moment at a time, so that whoever waits is told, and can be stopped."""
    if frames.on_postgres():
        yield
        return
    with briefly(_BUSY_MILLISECONDS):
        yield


@contextmanager
def briefly(milliseconds: int) -> Iterator[None]:
    """Has each wait for another writer fail after so long, with an OperationalError, outside a transaction."""
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


def row(agency: models.Agency) -> None:
    """Within a transaction: no other writes the agency's users until its end (SQLite has one writer anyway).

    Rows that merely refer to the agency can be written meanwhile.
    """
    models.Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)


def version() -> int | None:
    """On SQLite, a number that changes when another connection has written anything; on PostgreSQL None, for there is none."""
    if frames.on_postgres():
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchone()[0])


def end_holder(agency: models.Agency) -> None:
    """On PostgreSQL, ends the session that holds the agency's turn, and with it what it has not committed.

    For a worker that has not been heard of for long: its machine may be gone, and its session does not know. On SQLite
    whoever holds the turn is a process of this machine, and if it is dead the turn is free.
    """
    if not frames.on_postgres():
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = %s AND objid = %s AND objsubid = 2 AND pid <> pg_backend_pid()",
            [_CLASS, agency.pk],
        )
