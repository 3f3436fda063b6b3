"""The reading of a file in a process of its own, `imports/sandbox_process`.

The file's size bounds the memory and time of that process. A workbook is an archive of XML that anyone may have made.
Rules bound its use of resources (`reading/budget`), and the operating system bounds it where a rule is missing. Files
are passed as open files without a name, so nothing is left behind, however the process ends. Where the operating system
has no such limits, the file is still read in a process of its own, except on Windows.
"""

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from signal import Signals
from typing import IO, Any

from django.conf import settings

from musterbook.config.home import prepare_folder
from musterbook.config.process import PARENT
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.reading import corrections, intake
from musterbook.core.reading.corrections import Corrections
from musterbook.core.reading.intake import ReadOptions
from musterbook.core.reporting.results_file import ResultsForm, ResultsKind
from musterbook.directory.imports import sandbox_process

_LOG = logging.getLogger(__name__)
_MB = 1024 * 1024
MEMORY, MEMORY_TIMES = 224 * _MB, 17
"""The additional bytes that the process may use: a constant part, and a multiple of the file's size."""
SECONDS, SECONDS_PER_MB = 9, 9
"""The processor time that it may use: this many seconds, or this many for each megabyte if that is more."""
_TIME_FACTOR = 30
"""It may take this many times as long in real time, because other processes use the processor as well."""
SMALL = _MB
"""The most bytes of a CSV file and of its outcomes that a worker turns into results itself."""
_LOOK_EVERY = 0.05
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE")
_WORKBOOK = (b"PK\x03\x04", b"PK\x05\x06")

StopCheck = Callable[[], None]


class ReadingStopped(Exception):
    """The process was ended by its limits or by the system.

    `what`: the resource that it used too much of, memory or time.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ReadingFailed(Exception):
    """The process failed with an error of its own. The log has more details."""


def never_stop() -> None:
    """Do nothing: no one asks the reading to stop."""


def read_table(
    content: bytes, options: ReadOptions, replacements: Corrections, check_stop: StopCheck = never_stop
) -> Table:
    """Return the table of a file with its corrections.

    A workbook is read in a process of its own, a CSV file in this one. `check_stop` is called repeatedly while that
    process works. An error that it raises ends the process.
    """
    if not content.startswith(_WORKBOOK) or not _can_isolate():
        return corrections.correct_table(intake.read(content, options), replacements)
    if len(content) > options.limits.bytes:
        return intake.read(content, options)
    with ExitStack() as stack:
        answers = [stack.enter_context(_open_temporary()) for _ in (*sandbox_process.FRAMES, "the rest")]
        try:
            _run_task(len(content), _make_task(options, replacements), content, answers, check_stop)
        except ReadingStopped as error:
            return Table.refused([Problem.of("reading-stopped", resource=error.what)])
        return sandbox_process.read_table(answers)


def make_results(  # noqa: PLR0913  (the file, how it was read, the result of its rows, and what is made: each has a name)
    path: Path, options: ReadOptions, replacements: Corrections, rows: Path, problems: Path,
    which: ResultsKind, form: ResultsForm, *, in_worker: bool = False,
) -> IO[bytes]:  # fmt: skip
    """Return the results file or the errors file of the file at `path`. It is deleted when it is closed.

    It is made in a process of its own, unless this one is a worker (`in_worker`) and the file is a small CSV file: to
    start a process takes much longer than to make a few rows. `rows`, `problems`: the kept outcomes and problems of the
    rows (`imports/plan_files`). Raise ReadingStopped, ReadingFailed.
    """
    fields = {"path": str(path), "which": which, "form": form, "rows": str(rows), "problems": str(problems)}
    size = path.stat().st_size + rows.stat().st_size + problems.stat().st_size
    task = _make_task(options, replacements) | fields
    with ExitStack() as stack:
        answer = stack.enter_context(_open_temporary())
        if in_worker and form == "csv" and size <= SMALL and not _is_workbook(path):
            sandbox_process.run_task(io.BytesIO(json.dumps(task).encode()), [answer])
            answer.seek(0)
        else:
            _run_task(size, task, b"", [answer], never_stop)
        stack.pop_all()
    return answer


def _is_workbook(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_WORKBOOK[0])).startswith(_WORKBOOK)


def _can_isolate() -> bool:
    return sys.platform != "win32"


def _make_task(options: ReadOptions, replacements: Corrections) -> dict[str, Any]:
    fields = asdict(options) | {"mapping": dict(options.mapping), "remembered": dict(options.remembered)}
    return {"options": fields, "mended": {row: dict(cells) for row, cells in replacements.items()}}


def _run_task(
    size: int, task: dict[str, Any], content: bytes, answers: Sequence[IO[bytes]], check_stop: StopCheck
) -> None:
    """Run the process, which writes its answers. Raise ReadingStopped, ReadingFailed, and the errors of `check_stop`."""
    with _open_temporary() as source, _open_temporary() as trace:
        source.write(json.dumps(task).encode() + b"\n")
        source.write(content)
        source.seek(0)
        _run_process(size, source, trace, answers, check_stop)
    for answer in answers:
        answer.seek(0)


def _open_temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(dir=prepare_folder(prepare_folder(settings.MUSTER_HOME) / "reading"))


def _run_process(
    size: int, source: IO[bytes], trace: IO[bytes], answers: Sequence[IO[bytes]], check_stop: StopCheck
) -> None:
    seconds = max(SECONDS, SECONDS_PER_MB * size // _MB)
    files = [answer.fileno() for answer in answers]
    limits = [MEMORY + MEMORY_TIMES * size, seconds, *files]
    command = [sys.executable, "-P", "-m", sandbox_process.__name__, *map(str, limits)]
    process = subprocess.Popen(
        command, stdin=source, stdout=subprocess.DEVNULL, stderr=trace, pass_fds=files, env=_make_environment()
    )
    try:
        status = _wait_for_exit(process, time.monotonic() + seconds * _TIME_FACTOR, check_stop)
    finally:
        process.kill()
        process.wait()
    if status:
        trace.seek(0)
        _raise(status, trace.read(1 << 16).decode("utf-8", "replace"))


def _make_environment() -> dict[str, str]:
    """Return the environment of the process: only what it needs to start, and no secret."""
    needed = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    here = os.pathsep.join(path for path in sys.path if path)
    return needed | {"PYTHONPATH": here, "POLARS_MAX_THREADS": "2", PARENT: str(os.getpid())}


def _wait_for_exit(process: "subprocess.Popen[bytes]", until: float, check_stop: StopCheck) -> int:
    """Return the exit status of the process when it ends by itself. Raise ReadingStopped if it takes too long."""
    while True:
        try:
            return process.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            check_stop()
        if time.monotonic() > until:
            raise ReadingStopped("time")


def _raise(status: int, trace: str) -> None:
    _LOG.warning("The process that reads a file exited with status %s. %s", status, trace.strip()[-4000:])
    if status == -Signals.SIGXCPU:
        raise ReadingStopped("time")
    if status == sandbox_process.NO_MEMORY or status < 0:
        raise ReadingStopped("memory")
    raise ReadingFailed(f"The process that reads files ended with status {status}")
