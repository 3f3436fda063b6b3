"""The virus scan of each file before it is read, by the program in MUSTER_SCAN_COMMAND.

Without such a program, files are not scanned. The program has the file on its standard input. Exit status 0: the file
is clean. 1: something was found. Any other status, or no exit in time: the file could not be scanned, and is refused as
well.
"""

import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings

from musterbook.config import environment
from musterbook.config.home import prepare_folder
from musterbook.core.domain.problems import Problem

SECONDS, SECONDS_PER_MB = 60, 1
"""The time limit of the program in seconds, and the additional seconds for each megabyte."""
_LOOK_EVERY = 0.05
_FOUND = 1
_MB = 1024 * 1024


class _NotScanned(Exception):
    """The program did not report whether the file is clean. The message has the reason."""


def scan_file(content: bytes, check_stop: Callable[[], None]) -> Problem | None:
    """Return the problem of a file that is not clean or could not be scanned, or None.

    An error that `check_stop` raises in the meantime ends the scan.
    """
    command = shlex.split(settings.MUSTER_SCAN_COMMAND)
    if not command:
        return None
    try:
        finding = _run_scanner(command, content, check_stop)
    except (OSError, _NotScanned) as error:
        return Problem.of("not-scanned", cause=str(error))
    return None if finding is None else Problem.of("infected-file", finding=finding)


def _run_scanner(command: list[str], content: bytes, check_stop: Callable[[], None]) -> str | None:
    """Return what the program reports as found, or None if the file is clean. Raise _NotScanned, OSError."""
    folder = prepare_folder(prepare_folder(settings.MUSTER_HOME) / "reading")
    with tempfile.TemporaryFile(dir=folder) as file, tempfile.TemporaryFile(dir=folder) as output:
        file.write(content)
        file.seek(0)
        scanner = subprocess.Popen(
            command, stdin=file, stdout=output, stderr=output, env=_make_environment(), start_new_session=True
        )
        try:
            status = _wait_for_exit(
                scanner, time.monotonic() + SECONDS + SECONDS_PER_MB * len(content) / _MB, check_stop
            )
        finally:
            # This also kills all processes that it started. They may have ended already.
            with suppress(OSError):
                os.killpg(scanner.pid, signal.SIGKILL)
            scanner.wait()
        output.seek(0)
        line = output.read(4096).decode("utf-8", "replace").strip().partition("\n")[0][:200]
    if status not in (0, _FOUND):
        raise _NotScanned(f"the scanner ended with status {status}. {line}".strip())
    return (line or "the scanner gives no name") if status == _FOUND else None


def _make_environment() -> dict[str, str]:
    """Return the environment of the program, without Musterbook's own settings, because they include secrets."""
    ours = {variable.name for variable in environment.VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _wait_for_exit(scanner: "subprocess.Popen[bytes]", until: float, check_stop: Callable[[], None]) -> int:
    while True:
        try:
            return scanner.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            check_stop()
        if time.monotonic() > until:
            raise _NotScanned("the scanner did not end in time")
