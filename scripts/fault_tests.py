"""Run tests on faults, in a copy of the tree: a process that has the libraries loaded, but nothing of ours, forks for each.

Most faults are tried by a second process, of `scripts.warm_tests`, which is faster. Started by `scripts.mutation`, which
writes one order as JSON to a line of standard input, and reads one answer from a line of standard output. The processes and
what they start end when the standard input ends.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest

from scripts import program
from scripts.fault_forks import (
    FAILED,
    KILLED,
    ROOT,
    SETTINGS,
    SURVIVED,
    TEMPORARY,
    TIMED_OUT,
    Deadline,
    become,
    prepare,
    run_in_fork,
    share_database,
)

_LIBRARIES = (
    "asyncio", "cryptography.hazmat.primitives.ciphers.aead", "django.core.management", "django.db.backends.sqlite3.base",
    "django.db.models", "django.test", "email_validator", "hypothesis.strategies", "lxml.etree", "multiprocessing",
    "phonenumbers", "polars", "psycopg", "pytest_django.plugin", "reportlab.pdfgen.canvas", "rich.console", "typer",
    "unittest.mock", "xdist.plugin", "xlsxwriter",
)  # fmt: skip
_RECORD_SECONDS = 7200.0


class WarmProcess:
    """A fork that `scripts.warm_tests` makes ready for faults."""

    def __init__(self, files: list[str]) -> None:
        ours, its = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            ours.close()
            stream = its.makefile("rw", encoding="utf-8")
            become(lambda: _serve_warm(files, stream), ROOT / "build" / "warm.txt")
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


def _run(tests: list[str], seconds: list[float], deadline: Deadline) -> int:
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*prepare(files), "-x", *files], plugins=[Chosen(tests, seconds, deadline)]))


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
    answer = run_in_fork(
        lambda _: int(importlib.import_module("scripts.fault_recording").record(files)), _RECORD_SECONDS
    )
    return {"failures": "" if answer["result"] == SURVIVED else answer["output"] or "no output"}


def make_database() -> int:
    """Make the installation that the tests of all faults copy."""
    os.environ["DJANGOSETTINGS_MODULE"] = SETTINGS
    with share_database().template(TEMPORARY / "migrated", ""):
        pass
    shutil.rmtree(TEMPORARY)
    return 0


if __name__ == "__main__":
    with program.run(__doc__):
        sys.exit(make_database() if sys.argv[1:] == ["database"] else main())
