"""The worker, until it is told to stop: imports that wait; beside them mails, locks whose time is over, and old sessions.

Two threads, so that mails do not hold imports up, nor imports mails.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.db import Error, close_old_connections, connection

from musterbook import alerts, logfile, memory
from musterbook.accounts import anchoring, forgotten, limits, lockout, outbox, sessions, strangers
from musterbook.directory.imports import expiry, heartbeats, pending_uploads, plan_files, queue
from musterbook.directory.imports.heartbeats import Sign
from musterbook.directory.storage import import_files

_LOG = logging.getLogger(__name__)
_PAUSE, _PAUSE_AFTER_ERROR = 2.0, 10.0
"""Seconds between rounds that found no mail, and after one that failed."""
_LOOK_EVERY = 0.2
"""Seconds between looks for an import: somebody sits before a page and waits for it."""
_TIDY_EVERY = timedelta(minutes=1)


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def name() -> str:
    """A name that no other worker has, and that tells a person where it runs."""
    return f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"


def work(stop: threading.Event) -> None:
    """Works until `stop` is set. The mail in hand is sent first; the import in hand waits for another worker, or the next."""
    worker = name()
    posting = threading.Thread(target=_until, args=(stop, _Post(worker).round), name="posting")
    posting.start()
    importing = _Imports(worker, stop)
    try:
        _until(stop, importing.round)
    finally:
        importing.end()
        posting.join()


def _until(stop: threading.Event, work: Callable[[], float]) -> None:
    """Round after round; each gives the seconds until the next. What fails is logged, and tried again."""
    try:
        while not stop.is_set():
            stop.wait(_round(work))
    finally:
        # If one of the two ends by an error of our own, so does the other, and the worker is started again.
        stop.set()
        connection.close()


def _round(work: Callable[[], float]) -> float:
    try:
        return work()
    except Error:
        _LOG.warning("The worker could not use the database; it tries again", exc_info=True)
        close_old_connections()
        return _PAUSE_AFTER_ERROR


class _Imports:
    """Carries out what waits, one import after the other, and lets it be known that it looks."""

    def __init__(self, worker: str, stop: threading.Event) -> None:
        self._worker, self._stop = worker, stop
        self._seen = time.monotonic() - heartbeats.EVERY

    def round(self) -> float:
        if time.monotonic() - self._seen >= heartbeats.EVERY:
            self._seen = time.monotonic()
            close_old_connections()
            memory.give_back()
            heartbeats.give(Sign(self._worker))
        return 0 if queue.carry_out_next(self._worker, now, self._stop.is_set) else _LOOK_EVERY

    def end(self) -> None:
        with suppress(Error, OSError):
            heartbeats.end(self._worker)


class _Post:
    """Sends mails that are due, and every minute tidies."""

    def __init__(self, worker: str) -> None:
        self._worker, self._tidied = worker, now() - _TIDY_EVERY

    def round(self) -> float:
        close_old_connections()
        if now() - self._tidied >= _TIDY_EVERY:
            self._tidied = now()
            tidy()
        forgotten.answer()
        return 0 if outbox.send_due(self._worker, now) else _PAUSE


def once() -> tuple[int, int]:
    """Does all that is due now; gives the number of imports carried out, and of mails looked after."""
    tidy()
    worker, imports, mails = name(), 0, 0
    while queue.carry_out_next(worker, now):
        imports += 1
    forgotten.answer()
    while done := outbox.send_due(worker, now):
        mails += done
    return imports, mails


def tidy() -> None:
    """Does what is due by the clock: alerts, ends of locks, and the deletion of what is past its time.

    One that fails is logged, and keeps no other from being done.
    """
    for act in _BY_THE_CLOCK:
        try:
            act(now())
        except Exception:  # noqa: BLE001  (it is logged whole, and tried again in a minute)
            _LOG.warning("The worker could not do %s.%s", act.__module__, act.__qualname__, exc_info=True)


_BY_THE_CLOCK: tuple[Callable[[datetime], object], ...] = (
    alerts.send_due,
    logfile.tidy,
    pending_uploads.forget_old,
    import_files.forget_old,
    plan_files.forget_old,
    outbox.forget_old,
    sessions.forget_old,
    lockout.unlock_due,
    anchoring.anchor,
    expiry.submit_due,
    strangers.tell_repeated,
    limits.forget_old,
)


def stopped_by_signals() -> threading.Event:
    """What is set when this process is asked to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
