"""Signs of life of workers, and how far each has come (D7).

They are rows on PostgreSQL; on SQLite, whose one writer may be the very import that they tell of, files. A worker gives one
at least every few seconds, whether it carries an import out or looks for one. While it carries one out, a thread of its own
gives it, so that what works only says how far it is.
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

from musterbook.directory import models
from musterbook.directory.storage import frames
from musterbook.home import prepare

EVERY = 5.0
"""Seconds between signs of life."""
LASTS = 15.0
"""After so many seconds without one, a worker counts as gone."""
_TOLD_EVERY = 0.25
"""Seconds between looks at how far an import has come; one that is shorter is not told of at all."""
_FORGOTTEN = timedelta(days=1)


ALONE = ""
"""The worker of an import that a process carries out which looks for no other: it bears the import's number instead."""


class Progress(Protocol):
    """Told of each stage of an import, with rows done and rows in all (0: not known)."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Hears it."""


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A worker's sign of life: its name, the import that it carries out ("" for none), and how far that is."""

    worker: str
    number: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0


def give(sign: Sign) -> None:
    """Gives a sign of life, in place of the worker's last."""
    if frames.on_postgres():
        told = {name: value for name, value in asdict(sign).items() if name != "worker"} | {"seen_at": Now()}
        models.Worker.objects.update_or_create(name=sign.worker, defaults=told)
    else:
        path = _folder() / sign.worker
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(asdict(sign)), encoding="utf-8")
        draft.replace(path)


def anybody() -> bool:
    """Whether any worker is alive that would take an import up."""
    return any(sign.worker != sign.number for sign in seen())


def seen() -> list[Sign]:
    """The last sign of each worker that is alive, and of each process that carries out an import by itself."""
    return _of_rows() if frames.on_postgres() else _of_files()


def _of_rows() -> list[Sign]:
    alive = models.Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=LASTS))
    return [Sign(*row) for row in alive.values_list("name", "number", "stage", "done", "total")]


def _of_files() -> list[Sign]:
    found = []
    for path in _folder().glob("[!.]*"):
        # It may end, and its sign with it, while we look.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < LASTS:
                found.append(Sign(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def _folder() -> Path:
    return prepare(prepare(settings.MUSTER_HOME) / "workers")


def end(worker: str) -> None:
    """The worker has ended; signs of those that could not say so are forgotten as well, after a day."""
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
    """While the worker, or ALONE, carries out that import: gives what is to be told of its stages, and gives signs of life."""
    telling = _Telling(worker or number, number)
    telling.thread.start()
    try:
        yield telling
    finally:
        telling.ended.set()
        telling.thread.join(LASTS)


class _Telling:
    """The stage that an import has reached, and the thread that tells of it."""

    def __init__(self, worker: str, number: str) -> None:
        self._sign = Sign(worker, number)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._tell, name="telling", daemon=True)

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Hears of a stage."""
        self._sign = Sign(self._sign.worker, self._sign.number, stage, done, total)

    def _tell(self) -> None:
        given, at = None, 0.0
        while not self.ended.wait(_TOLD_EVERY):
            sign = self._sign
            if sign != given or time.monotonic() - at > EVERY:
                # Where it cannot be given, whoever looks will think that we are gone, and end our session.
                with suppress(Error, OSError):
                    give(sign)
                    given, at = sign, time.monotonic()
        if given and given.worker == given.number:
            with suppress(Error, OSError):
                end(given.worker)
        connection.close()
