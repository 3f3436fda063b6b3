"""Heartbeats of workers, and the progress of their imports (D7).

They are rows on PostgreSQL. On SQLite they are files, because the import that they describe may hold the only write
lock. A worker sends a heartbeat at least every few seconds, both while it runs an import and while it looks for one.
During an import, a separate thread sends the heartbeats, so the import itself only sets its progress.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now

from musterbook.config.home import prepare_folder
from musterbook.directory import models
from musterbook.directory.storage import frames

INTERVAL = 5.0
"""Seconds between heartbeats."""
TIMEOUT = 15.0
"""A worker counts as gone after this many seconds without a heartbeat."""
_REPORT_EVERY = 0.25
"""Seconds between checks of an import's progress. A shorter import is not reported at all."""
_DELETE_AFTER = timedelta(days=1)


STANDALONE = ""
"""The worker name for a process that runs one import itself and looks for no other.

The heartbeat has the import's number as its worker name instead.
"""


class Progress(Protocol):
    """A callback for each stage of an import, with the rows done and the total (0: not known)."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Receive the stage."""


def ignore_progress(stage: str, done: int = 0, total: int = 0) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's heartbeat: its name, its current import ("" for none), and the progress of that import."""

    worker: str
    number: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0


def send_heartbeat(heartbeat: Heartbeat) -> None:
    """Send a heartbeat. It replaces the worker's last one."""
    if frames.on_postgres():
        fields = {name: value for name, value in asdict(heartbeat).items() if name != "worker"} | {"seen_at": Now()}
        models.Worker.objects.update_or_create(name=heartbeat.worker, defaults=fields)
    else:
        path = _folder() / heartbeat.worker
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(asdict(heartbeat)), encoding="utf-8")
        draft.replace(path)


def has_live_worker() -> bool:
    """Return whether any worker is alive that can claim an import."""
    return any(heartbeat.worker != heartbeat.number for heartbeat in list_heartbeats())


def list_heartbeats() -> list[Heartbeat]:
    """Return the last heartbeat of each live worker, and of each process that runs an import by itself."""
    return _read_rows() if frames.on_postgres() else _read_files()


def _read_rows() -> list[Heartbeat]:
    alive = models.Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=TIMEOUT))
    return [Heartbeat(*row) for row in alive.values_list("name", "number", "stage", "done", "total")]


def _read_files() -> list[Heartbeat]:
    heartbeats = []
    for path in _folder().glob("[!.]*"):
        # The worker may end, and delete its heartbeat, while we look.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < TIMEOUT:
                heartbeats.append(Heartbeat(**json.loads(path.read_text(encoding="utf-8"))))
    return heartbeats


def _folder() -> Path:
    return prepare_folder(prepare_folder(settings.MUSTER_HOME) / "workers")


def delete_heartbeat(worker: str) -> None:
    """Delete the heartbeat of a worker that has ended.

    Heartbeats of workers that could not delete theirs are deleted after a day.
    """
    if frames.on_postgres():
        models.Worker.objects.filter(name=worker).delete()
        models.Worker.objects.filter(seen_at__lt=Now() - _DELETE_AFTER).delete()
        return
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            if path.name == worker or time.time() - path.stat().st_mtime > _DELETE_AFTER.total_seconds():
                path.unlink()


@contextmanager
def report_progress(worker: str, number: str) -> Iterator[Progress]:
    """Send heartbeats while the worker, or ALONE, runs that import. Yield the callback for its progress."""
    reporter = _Reporter(worker or number, number)
    reporter.thread.start()
    try:
        yield reporter
    finally:
        reporter.ended.set()
        reporter.thread.join(TIMEOUT)


class _Reporter:
    """The current stage of an import, and the thread that reports it."""

    def __init__(self, worker: str, number: str) -> None:
        self._heartbeat = Heartbeat(worker, number)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Set the current stage."""
        self._heartbeat = Heartbeat(self._heartbeat.worker, self._heartbeat.number, stage, done, total)

    def _run(self) -> None:
        last, at = None, 0.0
        while not self.ended.wait(_REPORT_EVERY):
            heartbeat = self._heartbeat
            if heartbeat != last or time.monotonic() - at > INTERVAL:
                # Without heartbeats, other workers consider this one gone, and end its session.
                try:
                    send_heartbeat(heartbeat)
                    last, at = heartbeat, time.monotonic()
                except Error:
                    connection.close()  # the next one gets a new connection
                except OSError:
                    pass
        if last and last.worker == last.number:
            with suppress(Error, OSError):
                delete_heartbeat(last.worker)
        connection.close()
