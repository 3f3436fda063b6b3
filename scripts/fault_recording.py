"""Record which test reaches which line, for the choice of the tests that try a fault."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import coverage
import pytest

from scripts import fault_forks


@dataclass(eq=False)
class Recorder:
    """Records which test reaches which line, in its process and in those that it starts."""

    measured: coverage.Coverage
    seconds: dict[str, float] = field(default_factory=dict)
    elsewhere: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    seen: set[Path] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

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
        for path in set(fault_forks.ROOT.glob(".coverage.*")) - self.seen:
            self.seen.add(path)
            data = coverage.CoverageData(str(path))
            data.read()
            for file in data.measured_files():
                for line in data.lines(file) or ():
                    self.elsewhere[_relative(file)][line].add(test)

    def list_files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return, for each file of tests, its tests, their seconds, and the numbers of the tests of each line.

        Number 0 of each is the import of the module.
        """
        lines: dict[str, dict[int, set[str]]] = self.elsewhere
        data = self.measured.get_data()
        for file in data.measured_files():
            for line, tests in data.contexts_by_lineno(file).items():
                lines[_relative(file)][line].update(tests)
        for name, group in groupby(sorted(set(self.seconds) - self.failed), key=lambda test: test.partition("::")[0]):
            number = {test: at for at, test in enumerate(["", *group])}
            numbered = {
                file: {
                    line: found
                    for line, reached in by.items()
                    if (found := [number[test] for test in reached & set(number)])
                }
                for file, by in lines.items()
            }
            yield (
                name,
                {"tests": list(number), "seconds": [self.seconds.get(test, 0.0) for test in number], "lines": numbered},
            )


def _relative(file: str) -> str:
    return str(Path(file).relative_to(fault_forks.ROOT)) if Path(file).is_absolute() else file


def record(files: dict[str, str]) -> int:
    """Run some files of tests, and write what the tests of each reach into the file named for it. Return the status."""
    measured = coverage.Coverage(
        data_file=str(fault_forks.ROOT / ".coverage"), config_file=str(fault_forks.ROOT / "pyproject.toml")
    )
    measured.start()
    options = fault_forks.prepare([*files])
    recorder = Recorder(measured)
    status = int(pytest.main([*options, *files], plugins=[recorder]))
    measured.stop()
    for name, recorded in recorder.list_files():
        Path(files[name]).write_text(json.dumps(recorded), encoding="utf-8")
    return status
