"""A worker within the test's own process: what a page asks for is done when the page waits for it."""

from datetime import UTC, datetime

import pytest

from musterbook.directory import models
from musterbook.directory.imports import queue
from musterbook.directory.imports.worker import run_next_import


def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each import be carried out that a page waits for, as a worker of its own would."""

    def wait(record: models.Import, _: float) -> models.Import:
        while run_next_import("at hand", lambda: datetime.now(UTC)):
            pass
        return models.Import.objects.select_related("agency").get(pk=record.pk)

    monkeypatch.setattr(queue, "wait", wait)
