"""The worker, which runs until it is asked to stop.

It runs queued imports, checks feeds and settles what they have taken, sends webhooks, and handles mails, expired locks and
old sessions. Each of these has a thread, so that none delays the others. Feeds whose location is another machine, and the
endpoints of webhooks, have threads of their own while they are used, because one such machine may be slow.
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

from musterbook.accounts import (
    anchor_delivery,
    limits,
    lockout,
    outbox,
    reset_requests,
    sessions,
    unauthenticated_events,
)
from musterbook.config import alerts, log_file, process
from musterbook.directory.imports import (
    draft_ends,
    expiry,
    heartbeats,
    notices,
    pending_uploads,
    plan_ends,
    plan_files,
    totals,
)
from musterbook.directory.imports.heartbeats import Heartbeat
from musterbook.directory.imports.worker import Turns, run_next_import
from musterbook.directory.installation import work_folders
from musterbook.directory.models import WebhookEndpoint
from musterbook.directory.storage import database_errors, frames, import_files, isolation
from musterbook.feeds import fetching, lateness, rounds, taking
from musterbook.webhooks import claims, sending, upkeep

_LOG = logging.getLogger(__name__)
_PAUSE, _PAUSE_AFTER_ERROR = 2.0, 3.0
"""Seconds between rounds that found no email, and after one that failed."""
_LOOK_EVERY = 0.2
"""Seconds between checks for an import. They are frequent, because a user may be waiting for it in front of a page."""
_LONG = 0.5
"""Seconds after which an import is so long that small files are imported next to it."""
_CONNECTED_FOR = 5.0
"""Seconds after which a thread connects to the database again. To connect takes longer than a round that finds nothing."""
_TIDY_EVERY = timedelta(minutes=1)
_FEEDS_EVERY, _DUE_EVERY = 1.0, 60.0
"""Seconds between checks for feeds that are due, and for files that are late."""
_REMOTE_AT_ONCE = 4
"""The most feeds on other machines that a worker checks at the same time."""
_ENDPOINTS_AT_ONCE, _WEBHOOKS_EVERY = 8, 1.0
"""The most endpoints of webhooks that a worker sends to at the same time, and the seconds between checks for one."""


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def make_worker_name() -> str:
    """Return a name that no other worker has, and that shows an operator where it runs."""
    return f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"


def work(stop: threading.Event) -> None:
    """Work until `stop` is set.

    The current mail is sent first. The current import is requeued for another worker, or for the next one.
    """
    worker = make_worker_name()
    feed_loop, webhook_loop = _FeedLoop(worker, stop), _WebhookLoop(worker, stop)
    others = [
        threading.Thread(target=_run_rounds, args=(stop, _MailLoop(worker, stop).round), name="posting"),
        threading.Thread(target=_run_rounds, args=(stop, feed_loop.round), name="feeds"),
        threading.Thread(target=_run_rounds, args=(stop, feed_loop.settle), name="settling"),
        threading.Thread(target=_run_rounds, args=(stop, webhook_loop.round), name="webhooks"),
    ]
    for thread in others:
        thread.start()
    import_loop = _ImportLoop(worker, stop)
    small_loop = _SmallImportLoop(f"{worker}-small", stop, import_loop)
    if frames.on_postgres():
        others.append(
            threading.Thread(target=_run_rounds, args=(stop, small_loop.round, small_loop.end), name="small imports")
        )
        others[-1].start()
    try:
        _run_rounds(stop, import_loop.round)
    finally:
        import_loop.end()
        for thread in others:
            thread.join()
        feed_loop.end()
        webhook_loop.end()


def _run_rounds(stop: threading.Event, job: Callable[[], float], end: Callable[[], None] = lambda: None) -> None:
    """Run round after round. Each returns the seconds until the next. `end`: is called after the last one.

    A database error is logged, and the round is retried.
    """
    try:
        with isolation.open_to_all():
            pause, opened = 0.0, time.monotonic()
            while not stop.is_set():
                if time.monotonic() - opened >= _CONNECTED_FOR or (pause >= 1 and not connection.is_usable()):
                    connection.close()
                    opened = time.monotonic()
                pause = _run_round(job)
                stop.wait(pause)
            end()
    finally:
        # If one of the threads ends with an error of our own, so do the others, and the worker is restarted.
        stop.set()
        connection.close()


def _run_round(job: Callable[[], float]) -> float:
    try:
        return job()
    except Error as error:
        _log_database_error(error)
        close_old_connections()
        return _PAUSE_AFTER_ERROR


def _log_database_error(error: Error) -> None:
    """Log the error. A database that is away for a minute would otherwise fill the log with traces."""
    if database_errors.is_lost(error):
        _LOG.warning(
            "The worker cannot reach the database. It tries again: %s", database_errors.describe_briefly(error)
        )
    else:
        _LOG.warning("The worker could not use the database. It tries again", exc_info=error)


class _ImportLoop:
    """The thread that runs queued imports, one after the other, and sends heartbeats while it looks for one."""

    def __init__(self, worker: str, stop: threading.Event) -> None:
        self._worker, self._stop = worker, stop
        self._seen, self._turns = time.monotonic() - heartbeats.INTERVAL, Turns()
        self._since: float | None = None

    def round(self) -> float:
        if time.monotonic() - self._seen >= heartbeats.INTERVAL:
            process.release_memory()
            heartbeats.send_heartbeat(Heartbeat(self._worker))
            self._seen = time.monotonic()  # after an error, a heartbeat comes before an import is claimed
        self._since = time.monotonic()
        try:
            return 0 if run_next_import(self._worker, now, self._stop.is_set, self._turns) else _LOOK_EVERY
        finally:
            self._since = None

    def is_long_busy(self) -> bool:
        """Return whether an import has been running for so long that small ones must not wait for its end."""
        since = self._since
        return since is not None and time.monotonic() - since > _LONG

    def end(self) -> None:
        with suppress(Error, OSError):
            heartbeats.delete_heartbeat(self._worker)


class _SmallImportLoop:
    """The thread that runs imports of small files while the other one runs a long import.

    So a small agency never waits for a million rows of another, even with one worker. It exists only on PostgreSQL, since
    SQLite has one writer anyway. It has a name and heartbeats of its own, while it has something to do.
    """

    def __init__(self, worker: str, stop: threading.Event, imports: _ImportLoop) -> None:
        self._worker, self._stop, self._imports = worker, stop, imports
        self._turns, self._seen = Turns(small=True), 0.0

    def round(self) -> float:
        if not self._imports.is_long_busy():
            self.end()
            return _LOOK_EVERY
        if not self._seen or time.monotonic() - self._seen >= heartbeats.INTERVAL:
            heartbeats.send_heartbeat(Heartbeat(self._worker))
            self._seen = time.monotonic()
        return 0 if run_next_import(self._worker, now, self._stop.is_set, self._turns) else _LOOK_EVERY

    def end(self) -> None:
        """Delete the heartbeat, if one was sent. Other workers then know that this thread runs no import."""
        if self._seen:
            self._seen = 0.0
            with suppress(Error, OSError):
                heartbeats.delete_heartbeat(self._worker)
            connection.close()


class _MailLoop:
    """The thread that sends due emails, and tidies every minute."""

    def __init__(self, worker: str, stop: threading.Event) -> None:
        self._worker, self._stop, self._tidied = worker, stop, now() - _TIDY_EVERY

    def round(self) -> float:
        if abs(now() - self._tidied) >= _TIDY_EVERY:  # the clock may be set back
            self._tidied = now()
            tidy()
        reset_requests.answer_requests()
        return 0 if outbox.send_due(self._worker, now, self._stop.is_set) else _PAUSE


class _FeedLoop:
    """The thread that checks feeds, and settles the imports of feeds that have ended."""

    def __init__(self, worker: str, stop: threading.Event) -> None:
        self._worker, self._stop = worker, stop
        self._due = time.monotonic() - _DUE_EVERY
        self._threads: list[threading.Thread] = []

    def round(self) -> float:
        if time.monotonic() - self._due >= _DUE_EVERY:
            self._due = time.monotonic()
            lateness.correct_times(now())
            lateness.notify_late(now())
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if not rounds.has_due(now()):
            return _FEEDS_EVERY
        if len(self._threads) < _REMOTE_AT_ONCE and rounds.has_remote(now()):
            self._threads.append(threading.Thread(target=self._check_remote, name="feed"))
            self._threads[-1].start()
        return 0 if rounds.check_folders(self._worker, now, self._stop.is_set) else _FEEDS_EVERY

    def settle(self) -> float:
        """Settle what has ended. A large file takes a while, which delays no check."""
        if rounds.has_unsettled() and rounds.settle_next(self._worker, now, self._stop.is_set):
            return 0
        return _FEEDS_EVERY

    def _check_remote(self) -> None:
        try:
            with isolation.open_to_all():
                while not self._stop.is_set() and rounds.check_remote(self._worker, now, self._stop.is_set):
                    pass
        except Error as error:
            _log_database_error(error)
        finally:
            connection.close()

    def end(self) -> None:
        for thread in self._threads:
            thread.join()


class _WebhookLoop:
    """The thread that looks for endpoints with messages to send, and starts a thread for each."""

    def __init__(self, worker: str, stop: threading.Event) -> None:
        self._worker, self._stop = worker, stop
        self._threads: list[threading.Thread] = []

    def round(self) -> float:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= _ENDPOINTS_AT_ONCE:
            return _LOOK_EVERY
        endpoint = claims.claim_next(self._worker, now())
        if endpoint is None:
            return _WEBHOOKS_EVERY
        self._threads.append(threading.Thread(target=self._serve, args=(endpoint,), name="webhook"))
        self._threads[-1].start()
        return 0

    def _serve(self, endpoint: WebhookEndpoint) -> None:
        try:
            sending.serve(endpoint, now, self._stop.is_set)
        except Error as error:
            _log_database_error(error)
        finally:
            connection.close()

    def end(self) -> None:
        for thread in self._threads:
            thread.join()


def run_once() -> tuple[int, int]:
    """Do all work that is due now. Return the number of imports run and of emails processed."""
    tidy()
    worker, imports, mails = make_worker_name(), 0, 0
    lateness.correct_times(now())
    lateness.notify_late(now())
    while rounds.settle_next(worker, now) or rounds.check_next_feed(worker, now):
        pass
    while run_next_import(worker, now):
        imports += 1
    while rounds.settle_next(worker, now):
        pass
    reset_requests.answer_requests()
    while done := outbox.send_due(worker, now):
        mails += done
    while endpoint := claims.claim_next(worker, now()):
        sending.serve(endpoint, now)
    return imports, mails


def tidy() -> None:
    """Do the work that is due by the clock: alerts, expired locks, and the deletion of expired data.

    A task that fails is logged, and does not stop the others. A lost connection does, because they would fail as well.
    """
    for task in _DUE_TASKS:
        try:
            task(now())
        except Exception as error:
            if isinstance(error, Error) and database_errors.is_lost(error):
                raise
            _LOG.warning("The worker could not do %s.%s", task.__module__, task.__qualname__, exc_info=True)


_DUE_TASKS: tuple[Callable[[datetime], object], ...] = (
    alerts.send_due,
    log_file.tidy,
    work_folders.forget_left,
    pending_uploads.forget_old,
    import_files.delete_expired,
    fetching.forget_old,
    taking.forget_old,
    plan_files.forget_old,
    outbox.forget_old,
    sessions.forget_old,
    lockout.unlock_due,
    anchor_delivery.anchor,
    expiry.submit_due,
    plan_ends.expire_due,
    draft_ends.delete_expired,
    unauthenticated_events.record_repetitions,
    limits.forget_old,
    notices.forget_old,
    totals.add_finished,
    upkeep.give_up_old,
    upkeep.forget_old,
)


def stop_on_signals() -> threading.Event:
    """Return an event that is set when this process is asked to end."""
    stop, ask = process.make_stop_event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ask())
    return stop
