"""Forks that run tests, in a copy of the tree: what they need first, their time, and how they end with all that they started."""

import contextlib
import importlib
import mmap
import os
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path.cwd()
TEMPORARY = ROOT / "build" / "temporary"
"""The folder for everything that tests write; it is emptied after each fault."""
FAILED = ROOT / "build" / "failed.txt"
"""The test that failed."""
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
_OPTIONS = (
    "-q", "--assert=plain", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
_OF_CORE = (
    "--noconftest", "-p", "no:django", "-o", "addopts=--import-mode=importlib", "-W", "ignore::pytest.PytestConfigWarning",
)  # fmt: skip
"""The tests of core need neither Django nor our fixtures, and start in a fraction of the time without them."""
_CORE = "tests/core"
_UNCHANGED = "unchanged"
"""The name of the migrated installation that all tests copy. It is made without a fault, because a migration takes seconds."""
SETTINGS = "tests.settings"
_FIRST_SECONDS = 120.0
"""How long a run of pytest may take until its first test."""


class Deadline:
    """A time that a process and its forks share."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def set(self, seconds: float) -> None:
        """Set it to so many seconds from now."""
        self._shared[:] = struct.pack("d", time.monotonic() + seconds)

    def is_over(self) -> bool:
        """Return whether the time is over."""
        return bool(time.monotonic() > struct.unpack("d", self._shared[:])[0])


_deadline = Deadline()


def run_in_fork(run: Callable[[Deadline], int], seconds: float = _FIRST_SECONDS) -> dict[str, str]:
    """Run tests in a child, and end it with all that it started. The test that failed, or took too long, is named.

    `seconds`: how long the child may take, until it sets the deadline itself.
    """
    FAILED.unlink(missing_ok=True)
    _deadline.set(seconds)
    status, output = _fork(lambda: run(_deadline), _deadline)
    test = {"test": FAILED.read_text(encoding="utf-8")} if FAILED.exists() else {}
    return {"result": TIMED_OUT if status is None else KILLED if status else SURVIVED, "output": output, **test}


def _fork(run: Callable[[], int], deadline: Deadline) -> tuple[int | None, str]:
    """Run something in a child, and end it with all that it started. Return its status, None if it took too long."""
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    output = ROOT / "build" / "output.txt"
    child = os.fork()
    if child == 0:
        become(run, output)
    try:
        status = _wait(child, deadline)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        shutil.rmtree(TEMPORARY, ignore_errors=True)
    return status, output.read_text(encoding="utf-8", errors="replace")[-4000:]


def become(run: Callable[[], int], output: Path) -> NoReturn:
    """Run something as the first process of a group, with its output in a file, and end."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status = 99
    try:
        status = run()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(child: int, deadline: Deadline) -> int | None:
    parent = os.getppid()
    while not deadline.is_over():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if os.getppid() != parent:
            sys.exit("The command was killed.")
        time.sleep(0.01)
    return None


def prepare(paths: list[str]) -> list[str]:
    """Make ready for the tests of some files or folders. Return the options for them."""
    sys.dont_write_bytecode = True
    if all(path.startswith(_CORE) for path in paths):
        importlib.import_module("tests.examples").load_profile()
        return [*_OPTIONS, *_OF_CORE]
    os.environ["DJANGOSETTINGS_MODULE"] = SETTINGS
    importlib.import_module(SETTINGS)
    share_database()
    return [*_OPTIONS]


def share_database() -> Any:
    """Let all tests copy one migrated installation, whatever the fault is. Return the module that copies it."""
    databases = importlib.import_module("tests.databases")
    vars(databases)["_compute_version"] = lambda: _UNCHANGED
    return databases
