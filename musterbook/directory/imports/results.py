"""The results file and the errors file of an import that was made before, from its file and its plan as they are kept (A2)."""

from typing import IO

from musterbook.core.reporting.results_file import Which
from musterbook.directory import models
from musterbook.directory.imports import file_import, plan_files, sandbox
from musterbook.directory.imports.file_import import Options
from musterbook.directory.storage import import_files, locks

PATIENCE = 20.0
"""Seconds that one waits for another such file to be made."""


class Busy(Exception):
    """Another such file is being made: one at a time, since each takes memory."""


def file(record: models.Import, which: Which) -> IO[bytes]:
    """The rows of the file with what became of each, or those with problems alone; to be read in parts, and closed.

    They are made in a process of their own, never whole in this one. Raises FileGone, PlanGone, Busy, and what
    `reading.results` raises.
    """
    number, options = record.number, Options.of_json(record.options)
    asked = file_import.asked(options, plan_files.file(number).mapped)
    kept, rows = import_files.path(number), plan_files.path(number, "rows")
    with locks.alone_in("results", PATIENCE) as free:
        if not free:
            raise Busy
        return sandbox.results(kept, asked, options.mended, rows, plan_files.path(number, "problems"), which)
