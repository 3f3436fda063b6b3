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

from musterbook.config.home import prepare
from musterbook.directory import models
from musterbook.directory.storage import frames

EVERY = 5.0
"""Seconds between heartbeats."""
LASTS = 15.0
"""A worker counts as gone after this many seconds without a heartbeat."""
_TOLD_EVERY = 0.25
"""Seconds between checks of an import's progress. A shorter import is not reported at all."""
_FORGOTTEN = timedelta(days=1)


ALONE = ""
"""The worker name for a process that runs one import itself and looks for no other.

The heartbeat has the import's number as its worker name instead.
"""


class Progress(Protocol):
    """A callback for each stage of an import, with the rows done and the total (0: not known)."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Receive the stage."""


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A worker's heartbeat: its name, its current import ("" for none), and the progress of that import."""

    worker: str
    number: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0


def give(sign: Sign) -> None:
    """Send a heartbeat. It replaces the worker's last one."""
    if frames.on_postgres():
        told = {name: value for name, value in asdict(sign).items() if name != "worker"} | {"seen_at": Now()}
        models.Worker.objects.update_or_create(name=sign.worker, defaults=told)
    else:
        path = _folder() / sign.worker
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(asdict(sign)), encoding="utf-8")
        draft.replace(path)


def anybody() -> bool:
    """Return whether any worker is alive that can claim an import."""
    return any(sign.worker != sign.number for sign in seen())


def seen() -> list[Sign]:
    """Return the last heartbeat of each live worker, and of each process that runs an import by itself."""
    return _of_rows() if frames.on_postgres() else _of_files()


def _of_rows() -> list[Sign]:
    alive = models.Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=LASTS))
    return [Sign(*row) for row in alive.values_list("name", "number", "stage", "done", "total")]


def _of_files() -> list[Sign]:
    found = []
    for path in _folder().glob("[!.]*"):
        # The worker may end, and delete its heartbeat, while we look.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < LASTS:
                found.append(Sign(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def _folder() -> Path:
    return prepare(prepare(settings.MUSTER_HOME) / "workers")


def end(worker: str) -> None:
    """Delete the heartbeat of a worker that has ended.

    Heartbeats of workers that could not delete theirs are deleted after a day.
    """
    if frames.on_postgres():
        models.Worker.objects.filter(name=worker).delete()
        models.Worker.objects.filter(seen_at__lt=Now() - _FORGOTTEN).delete()
        return
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            if path.name == worker or time.time() - path.stat().st_mtime > _FORGOTTEN.total_seconds():
                path.unlink()


@contextmanager
def told(worker: str, number: str) -> Iterator[Progress]:
    """Send heartbeats while the worker, or ALONE, runs that import. Yield the callback for its progress."""
    telling = _Telling(worker or number, number)
    telling.thread.start()
    try:
        yield telling
    finally:
        telling.ended.set()
        telling.thread.join(LASTS)


class _Telling:
    """The current stage of an import, and the thread that reports it."""

    def __init__(self, worker: str, number: str) -> None:
        self._sign = Sign(worker, number)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._tell, name="telling", daemon=True)

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Set the current stage."""
        self._sign = Sign(self._sign.worker, self._sign.number, stage, done, total)

    def _tell(self) -> None:
        given, at = None, 0.0
        while not self.ended.wait(_TOLD_EVERY):
            sign = self._sign
            if sign != given or time.monotonic() - at > EVERY:
                # Without heartbeats, other workers consider this one gone, and end its session.
                with suppress(Error, OSError):
                    give(sign)
                    given, at = sign, time.monotonic()
        if given and given.worker == given.number:
            with suppress(Error, OSError):
                end(given.worker)
        connection.close()
