"""How a running import is asked to stop (D7): by its record, or on SQLite, whose one writer it may be, by a file beside it."""

from pathlib import Path

from django.conf import settings

from musterbook.directory import models
from musterbook.directory.storage import frames


class Stopped(Exception):
    """Somebody asked the import to stop: who, by their external id; "" for the system."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Interrupted(Exception):
    """The import is not to go on here and now, and waits again for a worker."""


class Lost(Exception):
    """The connection under an import is lost, and with it all that it did: it is to be taken up again."""


def ask(record: models.Import, by: str = "") -> None:
    """Asks the import to stop; it heeds that until it commits, between its stages and batches."""
    if frames.on_postgres():
        models.Import.objects.filter(pk=record.pk, finished_at=None).update(stop=True, stopped_by=by)
    else:
        _file(record).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _file(record).write_text(by, encoding="utf-8")


def heed(record: models.Import) -> None:
    """Raises Stopped if the import has been asked to stop."""
    by = _asked_by_row(record) if frames.on_postgres() else _asked_by_file(record)
    if by is not None:
        raise Stopped(by)


def is_asked(record: models.Import) -> bool:
    """Whether the import has been asked to stop."""
    return (_asked_by_row(record) if frames.on_postgres() else _asked_by_file(record)) is not None


def _asked_by_row(record: models.Import) -> str | None:
    return models.Import.objects.filter(pk=record.pk, stop=True).values_list("stopped_by", flat=True).first()


def _asked_by_file(record: models.Import) -> str | None:
    path = _file(record)
    return path.read_text(encoding="utf-8") if path.exists() else None


def forget(record: models.Import) -> None:
    """The import has ended, stopped or not."""
    if not frames.on_postgres():
        _file(record).unlink(missing_ok=True)


def _file(record: models.Import) -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    return folder / f"stop-{record.number}"
