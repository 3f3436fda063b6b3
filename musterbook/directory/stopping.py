"""How a running import is asked to stop (D7): by its record, or on SQLite, whose one writer it may be, by a file beside it."""

from pathlib import Path

from django.conf import settings

from musterbook.directory import frames, models


class Stopped(Exception):
    """Somebody asked the import to stop."""


def ask(record: models.Import) -> None:
    """Asks the import to stop; it heeds that until it commits, between its stages and batches."""
    if frames.on_postgres():
        models.Import.objects.filter(pk=record.pk, state="running").update(stop=True)
    else:
        _file(record).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _file(record).touch()


def heed(record: models.Import) -> None:
    """Raises Stopped if the import has been asked to stop."""
    asked = (
        models.Import.objects.filter(pk=record.pk, stop=True).exists()
        if frames.on_postgres()
        else _file(record).exists()
    )
    if asked:
        raise Stopped


def forget(record: models.Import) -> None:
    """The import has ended, stopped or not."""
    if not frames.on_postgres():
        _file(record).unlink(missing_ok=True)


def _file(record: models.Import) -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    return folder / f"stop-{record.number}"
