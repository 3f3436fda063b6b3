"""One writer for one agency at a time (D5): a lock that ends with the process that holds it, however that ends."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import connection

from musterbook.directory import frames, models

_CLASS = 0x6D75
"""What sets our advisory locks apart from others in the same database ("mu")."""

_POLL_SECONDS = 0.1


@contextmanager
def import_of(agency: models.Agency, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the agency's turn to import; while another holds it, calls `waiting` again and again."""
    with _held(agency, patient=True, waiting=waiting):
        yield


@contextmanager
def if_free(agency: models.Agency) -> Iterator[bool]:
    """Holds the agency's turn to import if nobody does, and tells whether."""
    with _held(agency, patient=False, waiting=lambda: None) as got:
        yield got


@contextmanager
def _held(agency: models.Agency, *, patient: bool, waiting: Callable[[], None]) -> Iterator[bool]:
    with _postgres(agency) if frames.on_postgres() else _file(agency) as attempt:
        got = attempt()
        while patient and not got:
            waiting()
            time.sleep(_POLL_SECONDS)
            got = attempt()
        yield got


@contextmanager
def _postgres(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    """A session's advisory lock: PostgreSQL takes it back when the connection ends."""
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
            with suppress(connection.Database.Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_CLASS, agency.pk])


@contextmanager
def _file(agency: models.Agency) -> Iterator[Callable[[], bool]]:
    """A locked file beside the embedded database: the operating system takes it back when the process ends."""
    folder = settings.MUSTER_HOME / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / str(agency.pk)).open("w") as file:

        def attempt() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield attempt


def row(agency: models.Agency) -> None:
    """Within a transaction: no other writes the agency's users until its end (SQLite has one writer anyway)."""
    models.Agency.objects.select_for_update().get(pk=agency.pk)
