"""The cancellation of a running import (D7).

The request is a flag in the import's record. On SQLite the import itself may hold the only write lock, so the request
is a file next to the database.
"""

from pathlib import Path

from django.conf import settings

from musterbook.directory import models
from musterbook.directory.storage import frames


class Stopped(Exception):
    """A user asked the import to stop. `by`: the external id of that user, or "" for the system."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Interrupted(Exception):
    """The import must not continue in this worker. It is requeued for another one."""


class Lost(Exception):
    """The connection of an import is lost, and so are all its changes. The import must be claimed again."""


def ask(record: models.Import, by: str = "") -> None:
    """Ask the import to stop.

    The import checks for the request between its stages and batches, until it commits.
    """
    if frames.on_postgres():
        models.Import.objects.filter(pk=record.pk, finished_at=None).update(stop=True, stopped_by=by)
    else:
        _file(record).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _file(record).write_text(by, encoding="utf-8")


def heed(record: models.Import) -> None:
    """Raise Stopped if the import has been asked to stop."""
    by = _asked_by_row(record) if frames.on_postgres() else _asked_by_file(record)
    if by is not None:
        raise Stopped(by)


def is_asked(record: models.Import) -> bool:
    """Return whether the import has been asked to stop."""
    return (_asked_by_row(record) if frames.on_postgres() else _asked_by_file(record)) is not None


def _asked_by_row(record: models.Import) -> str | None:
    return models.Import.objects.filter(pk=record.pk, stop=True).values_list("stopped_by", flat=True).first()


def _asked_by_file(record: models.Import) -> str | None:
    try:
        return _file(record).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def forget(record: models.Import) -> None:
    """Delete the request to stop, after the import has ended for any reason."""
    if not frames.on_postgres():
        _file(record).unlink(missing_ok=True)


def _file(record: models.Import) -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    return folder / f"stop-{record.number}"
