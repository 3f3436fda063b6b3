"""The cancellation of a running import (D7).

The request is a flag in the import's record. On SQLite the import itself may hold the only write lock, so the request
is a file next to the database.
"""

from pathlib import Path

from django.conf import settings

from musterbook.config.home import prepare_folder
from musterbook.directory import models
from musterbook.directory.storage import frames


class ImportCancelled(Exception):
    """A user asked the import to stop. `by`: the external ID of that user, or "" for the system."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Interrupted(Exception):
    """The import must not continue in this worker. It is requeued for another one."""


class ConnectionLost(Exception):
    """The connection of an import is lost, and so are all its changes. The import must be claimed again."""


def request_cancel(record: models.Import, by: str = "") -> None:
    """Ask the import to stop.

    The import checks for the request between its stages and batches, until it commits.
    """
    if frames.on_postgres():
        models.Import.objects.filter(pk=record.pk, finished_at=None).update(stop=True, stopped_by=by)
    else:
        prepare_folder(_request_file(record).parent)
        _request_file(record).write_text(by, encoding="utf-8")


def raise_if_cancelled(record: models.Import) -> None:
    """Raise ImportCancelled if the import has been asked to stop."""
    by = _read_row(record) if frames.on_postgres() else _read_file(record)
    if by is not None:
        raise ImportCancelled(by)


def is_requested(record: models.Import) -> bool:
    """Return whether the import has been asked to stop."""
    return (_read_row(record) if frames.on_postgres() else _read_file(record)) is not None


def _read_row(record: models.Import) -> str | None:
    return models.Import.objects.filter(pk=record.pk, stop=True).values_list("stopped_by", flat=True).first()


def _read_file(record: models.Import) -> str | None:
    try:
        return _request_file(record).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def get_shown_state(record: models.Import) -> str:
    """Return the state of the import as pages show it: its state, or “canceled” if a user ended it."""
    return "canceled" if record.state == "failed" and record.stop else record.state


def delete_request(record: models.Import) -> None:
    """Delete the request to stop, after the import has ended for any reason."""
    if not frames.on_postgres():
        _request_file(record).unlink(missing_ok=True)


def _request_file(record: models.Import) -> Path:
    folder: Path = settings.MUSTER_HOME / "locks"
    return folder / f"stop-{record.number}"
