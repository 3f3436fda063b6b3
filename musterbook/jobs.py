"""The worker: mails that wait, locks whose time is over, old sessions; round after round until it is told to stop."""

import logging
import os
import secrets
import signal
import socket
import threading
from datetime import UTC, datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.db import Error, close_old_connections

from musterbook.accounts import lockout, outbox
from musterbook.directory import waiting_files

_LOG = logging.getLogger(__name__)
_PAUSE, _PAUSE_AFTER_ERROR = 2.0, 10.0
"""Seconds between rounds that found nothing to do, and after one that failed."""
_TIDY_EVERY = timedelta(minutes=1)


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def name() -> str:
    """A name that no other worker has, and that tells a person where it runs."""
    return f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"


def work(stop: threading.Event) -> None:
    """Works until `stop` is set; ends the mail in hand first. What fails is logged, and tried again."""
    worker, tidied = name(), now() - _TIDY_EVERY
    while not stop.is_set():
        try:
            close_old_connections()
            if now() - tidied >= _TIDY_EVERY:
                tidied = now()
                tidy()
            done = outbox.send_due(worker, now)
        except Error:
            _LOG.warning("The worker could not use the database; it tries again", exc_info=True)
            stop.wait(_PAUSE_AFTER_ERROR)
        else:
            if not done:
                stop.wait(_PAUSE)


def once() -> int:
    """Does all that is due now; gives the number of mails looked after."""
    tidy()
    worker, mails = name(), 0
    while done := outbox.send_due(worker, now):
        mails += done
    return mails


def tidy() -> None:
    """Ends locks whose time is over, and forgets sessions that have ended and files that nobody came back for."""
    waiting_files.forget_old(now())
    lockout.unlock_due(now())
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def stopped_by_signals() -> threading.Event:
    """What is set when this process is asked to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
