"""Run tests on faults, in a copy of the tree: a process that has the libraries loaded, but nothing of ours, forks for each.

Started by `scripts.mutation`, which writes one order as JSON to a line of standard input, and reads one answer from a line
of standard output. The process and what it starts end when its standard input ends.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest

ROOT = Path.cwd()
TEMPORARY = ROOT / "build" / "temporary"
"""The folder for everything that tests write; it is emptied after each fault."""
DATABASE = ROOT / "build" / "test.sqlite3"
"""A migrated database, so that not every process makes one."""
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
_RECORD_SECONDS = 7200.0
_SETTINGS = "tests.settings"


def main() -> int:
    """Answer orders until there are no more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for library in _LIBRARIES:
        importlib.import_module(library)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = record(**order["record"]) if "record" in order else try_fault(**order)
        print(json.dumps(answer), flush=True)
    return 0


def try_fault(file: str, source: str, tests: list[list[str]], seconds: list[float]) -> dict[str, str]:
    """Run groups of tests on a changed file, until one fails or takes too long."""
    with _changed(ROOT / file, source):
        for group, limit in zip(tests, seconds, strict=True):
            status, output = _fork(partial(_run, group), limit)
            if status != 0:
                return {"result": TIMED_OUT if status is None else KILLED, "output": output}
    return {"result": SURVIVED, "output": ""}


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


def _fork(run: Callable[[], int], limit: float) -> tuple[int | None, str]:
    """Run something in a child, and end it with all that it started. Return its status, None if it took too long."""
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    output = ROOT / "build" / "output.txt"
    child = os.fork()
    if child == 0:
        _become(run, output)
    try:
        status = _wait(child, limit)
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


def _wait(child: int, limit: float) -> int | None:
    parent, until = os.getppid(), time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if os.getppid() != parent:
            sys.exit("The command was killed.")
        time.sleep(0.02)
    return None


def _run(tests: list[str]) -> int:
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*_prepare(files), "-x", *files], plugins=[Chosen(tests)]))


def _prepare(paths: list[str]) -> list[str]:
    """Make ready for the tests of some files or folders. Return the options for them."""
    sys.dont_write_bytecode = True
    if all(path.startswith(_CORE) for path in paths):
        importlib.import_module("tests.examples").load_profile()
        return [*_OPTIONS, *_OF_CORE]
    os.environ["DJANGO_SETTINGS_MODULE"] = _SETTINGS
    settings = importlib.import_module(_SETTINGS)
    shutil.copy(DATABASE, settings.DATABASES["default"]["TEST"]["NAME"])
    return [*_OPTIONS, "--reuse-db"]


class Chosen:
    """Runs only the chosen tests, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place), key=lambda item: self.place[item.nodeid]
        )


@dataclass
class Recorder:
    """Records which test reaches which line, in its process and in those that it starts."""

    measured: coverage.Coverage
    left_out: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    elsewhere: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    seen: set[Path] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the tests that take long."""
        items[:] = [item for item in items if not item.nodeid.startswith(self.left_out)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let lines count for this test."""
        start = time.monotonic()
        self.measured.switch_context(item.nodeid)
        result = yield
        self.seconds[item.nodeid] = time.monotonic() - start
        self._read_processes(item.nodeid)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a test that fails without any fault."""
        if report.failed:
            self.failed.add(report.nodeid)

    def _read_processes(self, test: str) -> None:
        for path in set(ROOT.glob(".coverage.*")) - self.seen:
            self.seen.add(path)
            data = coverage.CoverageData(str(path))
            data.read()
            for file in data.measured_files():
                for line in data.lines(file) or ():
                    self.elsewhere[_relative(file)][line].add(test)

    def answer(self) -> dict[str, Any]:
        """Return all tests, their seconds, and the numbers of the tests of each line; number 0 is the import of the module."""
        lines: dict[str, dict[int, set[str]]] = self.elsewhere
        data = self.measured.get_data()
        for file in data.measured_files():
            for line, tests in data.contexts_by_lineno(file).items():
                lines[_relative(file)][line].update(tests)
        number = {test: at for at, test in enumerate(["", *self.seconds]) if test not in self.failed}
        numbered = {
            file: {line: sorted(number[test] for test in tests if test in number) for line, tests in by.items()}
            for file, by in lines.items()
        }
        return {"tests": ["", *self.seconds], "seconds": [0.0, *self.seconds.values()], "lines": numbered}


def _relative(file: str) -> str:
    return str(Path(file).relative_to(ROOT)) if Path(file).is_absolute() else file


def record(folder: str, into: str, left_out: list[str]) -> dict[str, str]:
    """Run the tests of a folder, and write what they reach into a file. Return their output if some fail."""
    status, output = _fork(partial(_record, folder, Path(into), tuple(left_out)), _RECORD_SECONDS)
    return {"failures": "" if status == 0 else output or "no output"}


def _record(folder: str, into: Path, left_out: tuple[str, ...]) -> int:
    measured = coverage.Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    measured.start()
    options = _prepare([folder])
    recorder = Recorder(measured, left_out)
    status = int(pytest.main([*options, folder], plugins=[recorder]))
    measured.stop()
    into.write_text(json.dumps(recorder.answer()), encoding="utf-8")
    return status


def make_database() -> int:
    """Make the database that the tests of all faults start with."""
    os.environ["DJANGO_SETTINGS_MODULE"] = _SETTINGS
    import django

    django.setup()
    from django.db import connection

    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    shutil.copy(connection.settings_dict["NAME"], DATABASE)
    return 0


if __name__ == "__main__":
    sys.exit(make_database() if sys.argv[1:] == ["database"] else main())
