"""Settings under which a page, the worker and `muster doctor` raise an error that nobody expects."""

import shutil
from typing import NoReturn

from musterbook.config import process
from musterbook.config.settings import *  # noqa: F403  (all of them, as they are)


def fail(*_: object) -> NoReturn:
    """Raises an error whose message tries to forge a line of the log."""
    raise ZeroDivisionError("on purpose\n2026-01-01T00:00:00.000000Z ERROR forged 1 - a line of its own\x1b[2J")


shutil.disk_usage = fail  # type: ignore[assignment]  # `muster doctor` asks it
process.release_memory = fail  # the worker asks it
ROOT_URLCONF = "tests.attacks.broken_pages"
