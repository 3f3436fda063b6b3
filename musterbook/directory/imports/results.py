"""The results file and the errors file of an earlier import, made from its stored file and plan (A2)."""

from typing import IO

from musterbook.core.reporting.results_file import Which
from musterbook.directory import models
from musterbook.directory.imports import file_import, plan_files, sandbox
from musterbook.directory.imports.file_import import Options
from musterbook.directory.storage import import_files, locks

PATIENCE = 20.0
"""Seconds that a request waits for another such file to be finished."""


class Busy(Exception):
    """Another such file is being made. Only one is made at a time, because each takes memory."""


def file(record: models.Import, which: Which) -> IO[bytes]:
    """Return the file's rows with the outcome of each, or only the rows with problems.

    The caller reads the result in parts, and closes it. It is made in a process of its own, and is never whole in
    the memory of this one. Raise FileGone, PlanGone, Busy, and the errors of `sandbox.results`.
    """
    number, options = record.number, Options.of_json(record.options)
    asked = file_import.asked(options, plan_files.file(number).mapped)
    kept, rows = import_files.path(number), plan_files.path(number, "rows")
    with locks.alone_in("results", PATIENCE) as free:
        if not free:
            raise Busy
        return sandbox.results(kept, asked, options.mended, rows, plan_files.path(number, "problems"), which)
