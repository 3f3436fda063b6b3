"""Run tests on faults, in a copy of the tree: a process that has the libraries loaded, but nothing of ours, forks for each.

Most faults are tried by a second process, of `scripts.warm_tests`, which is faster. Started by `scripts.mutation`, which
writes one order as JSON to a line of standard input, and reads one answer from a line of standard output. The processes and
what they start end when the standard input ends.
"""

import contextlib
import importlib
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

ROOT = Path.cwd()
TEMPORARY = ROOT / "build" / "temporary"
"""The folder for everything that tests write; it is emptied after each fault."""
FAILED = ROOT / "build" / "failed.txt"
"""The test that failed."""
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
_LIBRARIES = (
    "asyncio", "cryptography.hazmat.primitives.ciphers.aead", "django.core.management", "django.db.backends.sqlite3.base",
    "django.db.models", "django.test", "email_validator", "hypothesis.strategies", "lxml.etree", "multiprocessing",
    "phonenumbers", "polars", "psycopg", "pytest_django.plugin", "reportlab.pdfgen.canvas", "rich.console", "typer",
    "unittest.mock", "xdist.plugin", "xlsxwriter",
)  # fmt: skip
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
_RECORD_SECONDS = 7200.0
_SETTINGS = "tests.settings"
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


class WarmProcess:
    """A fork that `scripts.warm_tests` makes ready for faults."""

    def __init__(self, files: list[str]) -> None:
        ours, its = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            ours.close()
            stream = its.makefile("rw", encoding="utf-8")
            _become(lambda: _serve_warm(files, stream), ROOT / "build" / "warm.txt")
        its.close()
        self._stream = ours.makefile("rw", encoding="utf-8")
        if (answer := self._read()) != "ready":
            raise RuntimeError(answer)

    def ask(self, **order: Any) -> dict[str, str]:
        """Give an order, and return the answer."""
        self._stream.write(json.dumps(order) + "\n")
        self._stream.flush()
        answer: dict[str, str] = self._read()
        return answer

    def _read(self) -> Any:
        line = self._stream.readline()
        if not line:
            raise RuntimeError((ROOT / "build" / "warm.txt").read_text(encoding="utf-8", errors="replace")[-4000:])
        return json.loads(line)


def _serve_warm(files: list[str], stream: IO[str]) -> int:
    return int(importlib.import_module("scripts.warm_tests").serve(files, stream, stream))


_warm: list[WarmProcess] = []
_passes: set[str] = set()
"""The tests that have passed without a fault, after they failed with one."""


def main() -> int:
    """Answer orders until there are no more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for library in _LIBRARIES:
        importlib.import_module(library)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
    return 0


def _answer(order: dict[str, Any]) -> dict[str, str]:
    if "record" in order:
        return record(**order["record"])
    if "warm" in order:
        _warm.append(WarmProcess(order["warm"]))
        return {"result": "ready"}
    return try_fault(**order)


def try_fault(
    file: str, source: str, tests: list[str], seconds: list[float], groups: list[int], at_import: bool
) -> dict[str, str]:
    """Run tests on a changed file, until one fails or takes too long that does not without the change.

    `seconds`: how long each test may take. `groups`: how many tests each new run of pytest tries.
    """
    while True:
        answer = _try_once(file, source, tests, seconds, groups, at_import)
        name = answer.get("test", "")
        if name not in tests or name in _passes:
            return answer
        at, before = tests.index(name), (ROOT / file).read_text(encoding="utf-8")
        alone = _warm[0].ask(file=file, before=before, after=before, tests=[name], seconds=[seconds[at]])
        if alone["result"] == SURVIVED:
            _passes.add(name)
            return answer
        print(f"This test fails without any fault, and is left out: {name}", file=sys.stderr, flush=True)
        tests, seconds = tests[:at] + tests[at + 1 :], seconds[:at] + seconds[at + 1 :]
        groups = [number - (sum(groups[: each + 1]) > at >= sum(groups[:each])) for each, number in enumerate(groups)]


def _try_once(
    file: str, source: str, tests: list[str], seconds: list[float], groups: list[int], at_import: bool
) -> dict[str, str]:
    before = (ROOT / file).read_text(encoding="utf-8")
    with _changed(ROOT / file, source):
        if not at_import:
            answer = _warm[0].ask(file=file, before=before, after=source, tests=tests, seconds=seconds)
            if answer["result"] in (KILLED, SURVIVED, TIMED_OUT):
                return answer
        start = 0
        for number in filter(None, groups):
            group, limits = tests[start : start + number], seconds[start : start + number]
            start += number
            answer = run_in_fork(partial(_run, group, limits))
            if answer["result"] != SURVIVED:
                return answer
    return {"result": SURVIVED}


@contextlib.contextmanager
def _changed(path: Path, source: str) -> Iterator[None]:
    """Change a file for a while. Its time tells Python that what is compiled is not of this text."""
    before, times = path.read_bytes(), path.stat()
    path.write_text(source, encoding="utf-8")
    os.utime(path, (times.st_atime, times.st_mtime + 1000))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def run_in_fork(run: Callable[[Deadline], int]) -> dict[str, str]:
    """Run tests in a child, and end it with all that it started. The test that failed, or took too long, is named."""
    FAILED.unlink(missing_ok=True)
    _deadline.set(_FIRST_SECONDS)
    status, output = _fork(lambda: run(_deadline), _deadline)
    test = {"test": FAILED.read_text(encoding="utf-8")} if FAILED.exists() else {}
    return {"result": TIMED_OUT if status is None else KILLED if status else SURVIVED, "output": output, **test}


def _fork(run: Callable[[], int], deadline: Deadline) -> tuple[int | None, str]:
    """Run something in a child, and end it with all that it started. Return its status, None if it took too long."""
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    output = ROOT / "build" / "output.txt"
    child = os.fork()
    if child == 0:
        _become(run, output)
    try:
        status = _wait(child, deadline)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        shutil.rmtree(TEMPORARY, ignore_errors=True)
    return status, output.read_text(encoding="utf-8", errors="replace")[-4000:]


def _become(run: Callable[[], int], output: Path) -> NoReturn:
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


def _run(tests: list[str], seconds: list[float], deadline: Deadline) -> int:
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*prepare(files), "-x", *files], plugins=[Chosen(tests, seconds, deadline)]))


def prepare(paths: list[str]) -> list[str]:
    """Make ready for the tests of some files or folders. Return the options for them."""
    sys.dont_write_bytecode = True
    if all(path.startswith(_CORE) for path in paths):
        importlib.import_module("tests.examples").load_profile()
        return [*_OPTIONS, *_OF_CORE]
    os.environ["DJANGO_SETTINGS_MODULE"] = _SETTINGS
    importlib.import_module(_SETTINGS)
    _share_database()
    return [*_OPTIONS]


def _share_database() -> Any:
    """Let all tests copy one migrated installation, whatever the fault is. Return the module that copies it."""
    databases = importlib.import_module("tests.databases")
    vars(databases)["_compute_version"] = lambda: _UNCHANGED
    return databases


class Chosen:
    """Runs only the chosen tests, in their order, each with its limit."""

    def __init__(self, tests: list[str], seconds: list[float], deadline: Deadline) -> None:
        self.place = {test: place for place, test in enumerate(tests)}
        self.seconds, self.deadline = seconds, deadline

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place), key=lambda item: self.place[item.nodeid]
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Let the time of this test begin."""
        self.deadline.set(self.seconds[self.place[nodeid]])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name the test that failed."""
        if report.failed:
            FAILED.write_text(report.nodeid, encoding="utf-8")


def record(files: dict[str, str]) -> dict[str, str]:
    """Run some files of tests, and write what the tests of each reach into the file named for it. Return what failed."""
    _deadline.set(_RECORD_SECONDS)
    status, output = _fork(lambda: int(importlib.import_module("scripts.fault_recording").record(files)), _deadline)
    return {"failures": "" if status == 0 else output or "no output"}


def make_database() -> int:
    """Make the installation that the tests of all faults copy."""
    os.environ["DJANGO_SETTINGS_MODULE"] = _SETTINGS
    with _share_database().template(TEMPORARY / "migrated", ""):
        pass
    shutil.rmtree(TEMPORARY)
    return 0


if __name__ == "__main__":
    sys.exit(make_database() if sys.argv[1:] == ["database"] else main())
