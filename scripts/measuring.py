"""Find the tests that `./test` need not measure: what they reach, others reach in less time. Write `tests/unmeasured.txt`.

`python -m scripts.measuring` runs all tests that can be measured on SQLite, each with its name as the context of what it reaches.
Run it when measured tests take long again, or when a line is no longer covered because the list names the test that reaches it.
A new test is measured until it is in the list.
"""

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import coverage
import pytest

from scripts import entry, program, setup
from scripts.testing import OUT, SIDE_BY_SIDE, WHOLE, keep_files_in_memory
from tests import parts

Step: TypeAlias = tuple[str, int, int]
"""A file, and the lines from which and to which it went on there."""
_WHOLLY = ("musterbook/core/", "musterbook/directory/")
_ALL_BUT = 0.03
"""The share of the steps of other packages that need no test: those that take longest to reach."""
_QUICK = 0.1
"""The seconds of a test that is measured in any case."""
_DATA, _REPORT = OUT / "contexts", OUT / "contexts.xml"


@dataclass(frozen=True)
class Measured:
    """What each test reaches, what is reached without a test, and the seconds of each test. A test is a file and a function."""

    reached: Mapping[str, set[Step]]
    without: set[Step]
    seconds: Mapping[str, float]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Give what the test reaches its name, in this process and in those that it starts."""
    measuring = coverage.Coverage.current()
    if measuring is not None:
        name = item.nodeid.partition("[")[0]
        measuring.switch_context(name)
        if encoded := os.environ.get(parts.FOR_PROCESSES):
            configuration = json.loads(base64.b64decode(encoded)) | {"context": name}
            os.environ[parts.FOR_PROCESSES] = base64.b64encode(json.dumps(configuration).encode()).decode()
    return (yield)


def main(arguments: list[str]) -> int:
    """Measure all tests, or those of the paths, and write the list. Return 0."""
    measured = _run(arguments)
    needed = choose_tests(measured)
    spared = sorted(test for test, seconds in measured.seconds.items() if test not in needed and seconds >= _QUICK)
    parts.UNMEASURED.write_text("".join(f"{test}\n" for test in spared), encoding="utf-8")
    print(f"{len(spared)} tests need not be measured: {sum(map(measured.seconds.__getitem__, spared)):.0f} of ", end="")
    print(f"{sum(measured.seconds.values()):.0f} s")
    return 0


def _run(paths: list[str]) -> Measured:
    for old in (*setup.ROOT.glob(".coverage*"), _DATA):
        old.unlink(missing_ok=True)
    parts.UNMEASURED.write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "coverage"]
    run = ["run", "-m", "pytest", "-p", "scripts.measuring", *SIDE_BY_SIDE, f"--part={WHOLE}", f"--junit-xml={_REPORT}"]
    with keep_files_in_memory():
        subprocess.run([*command, *run, *paths], cwd=setup.ROOT, check=False)
    subprocess.run([*command, "combine", "--quiet", f"--data-file={_DATA}"], cwd=setup.ROOT, check=True)
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in ET.parse(_REPORT).iter("testcase"):  # noqa: S314  (pytest wrote it)
        file = f"{case.get('classname', '').replace('.', '/')}.py"
        seconds[f"{file}::{case.get('name', '').partition('[')[0]}"] += float(case.get("time", "0"))
    return read(_DATA, seconds)


def read(data: Path, seconds: Mapping[str, float]) -> Measured:
    """Return what the tests reached, from a data file of coverage with a context for each test."""
    reached: dict[str, set[Step]] = defaultdict(set)
    with sqlite3.connect(data) as connection:
        rows = connection.execute(
            "SELECT context, path, fromno, tono FROM arc JOIN context ON context.id = context_id JOIN file ON file.id = file_id"
        )
        for test, *step in rows:
            reached[test].add(tuple(step))
    return Measured(reached, reached.pop("", set()), seconds)


def choose_tests(measured: Measured) -> set[str]:
    """Return the tests that reach all that must be reached, chosen by what each adds for its time, and the quick ones."""
    quick = {test for test in measured.reached if measured.seconds.get(test, 0) < _QUICK}
    got = measured.without.union(*(measured.reached[test] for test in quick))
    slow = {test: steps - got for test, steps in measured.reached.items() if test not in quick}
    whole = _choose(
        slow, measured.seconds, [step for step in set().union(*slow.values()) if step[0].startswith(_WHOLLY)]
    )
    got |= set().union(*(measured.reached[test] for test in whole))
    others = {step for step in measured.without.union(*measured.reached.values()) if not step[0].startswith(_WHOLLY)}
    rest = _choose(slow, measured.seconds, others - got, may_miss=round(len(others) * _ALL_BUT))
    return quick | whole | rest


def _choose(
    reached: Mapping[str, set[Step]], seconds: Mapping[str, float], wanted: Iterable[Step], may_miss: int = 0
) -> set[str]:
    """Return tests that reach the wanted steps, but for so many: again and again the one that reaches most for its time."""
    left = set(wanted)
    adds = {test: steps & left for test, steps in reached.items()}
    chosen: set[str] = set()
    while len(left) > may_miss and any(adds.values()):
        best = max(adds, key=lambda test: len(adds[test]) / seconds.get(test, _QUICK))
        new = adds.pop(best)
        chosen.add(best)
        left -= new
        adds = {test: steps - new for test, steps in adds.items()}
    return chosen


if __name__ == "__main__":
    with program.run(__doc__):
        entry.enter(dev=True)
        sys.exit(main(sys.argv[1:]))
