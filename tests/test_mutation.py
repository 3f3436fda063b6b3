"""The run of faults: which faults are made, in which order they are tried, and which tests try them."""

import gc
from collections import Counter
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from scripts import faults, mutation, setup, warm_tests
from scripts.fault_reach import Names, Reach
from scripts.faults import Fault
from scripts.mutation import Outcome
from scripts.setup import ROOT

FETCHED = pytest.mark.skipif(
    not faults.FETCHED.exists(), reason="python -m scripts.mutation has not fetched cosmic-ray"
)

MODULE = '''"""A module."""

from dataclasses import dataclass

_LARGE = 5_000


@dataclass(frozen=True)
class Limit:
    """A limit."""

    most: int | None = 3

    def allows(self, number: int) -> bool:
        """Return whether a number is within it."""
        _LOG.info("%d", number + 1)
        return not self.most or (
            number <= self.most and
            number != 0
        )
'''


def _fault(line: int, statement: tuple[int, int] | None = None, file: str = "a.py") -> Fault:
    return Fault(file, "AddNot", 0, line, statement or (line, line))


def _reach(*, at_import: tuple[int, ...] = ()) -> Reach:
    lines = {"1": [1, 2], "2": [3], "7": [1]} | {str(line): [0] for line in at_import}
    reach = Reach()
    reach.add({"tests": ["", "slow", "quick", "other"], "seconds": [0.0, 9.0, 0.1, 1.0], "lines": {"a.py": lines}})
    reach.add({"tests": ["", "law"], "seconds": [0.0, 5.0], "lines": {"a.py": {"1": [1]}, "b.py": {"3": [1]}}})
    return reach


@FETCHED
def test_faults_are_made_where_they_matter() -> None:
    found = {faults.describe(fault, MODULE) for fault in faults.find("limit.py", MODULE)}
    assert found == {
        "limit.py:12  most: int | None = 3 → most: int | None = 4",
        "limit.py:12  most: int | None = 3 → most: int | None = 2",
        "limit.py:17  return not self.most or ( → return  self.most or (",
        "limit.py:17  return not self.most or ( → return not self.most and (",
        "limit.py:18  number <= self.most and → number < self.most and",
        "limit.py:18  number <= self.most and → number <= self.most or",
        "limit.py:19  number != 0 → number == 0",
        "limit.py:19  number != 0 → number != 1",
        "limit.py:19  number != 0 → number != -1",
    }
    assert {fault.statement for fault in faults.find("limit.py", MODULE)} == {(12, 12), (17, 20)}


@FETCHED
def test_the_marks_of_a_list_of_parameters_are_no_operators() -> None:
    source = "def size(a, /, *, b):\n    return a * b\n"
    assert [faults.describe(fault, source) for fault in faults.find("a.py", source)] == [
        "a.py:2  return a * b → return a // b"
    ]


@FETCHED
def test_an_exception_is_replaced_unless_its_name_has_a_dot_which_cosmic_ray_cannot_replace() -> None:
    source = "import queue\ntry:\n    pass\nexcept queue.Empty:\n    pass\nexcept ValueError:\n    pass\n"
    assert [fault.line for fault in faults.find("a.py", source) if fault.operator == "ExceptionReplacer"] == [6]


def test_the_first_faults_are_a_sample_with_the_share_of_each_module_and_the_same_for_a_seed() -> None:
    by_module = {
        "large.py": [_fault(line, file="large.py") for line in range(90)],
        "small.py": [_fault(1, file="small.py")] * 10,
    }
    ordered = mutation.order(by_module, 1)
    assert Counter(fault.file for fault in ordered[:50]) == {"large.py": 45, "small.py": 5}
    assert len(ordered) == 100 and len(set(ordered)) == 91
    assert mutation.order(by_module, 1) == ordered != mutation.order(by_module, 2)


def test_a_fault_is_tried_by_the_tests_that_reach_its_statement_the_fastest_first() -> None:
    reach, names = _reach(), Names(ROOT)

    def choose(fault: Fault) -> list[str]:
        numbers, at_import = reach.choose(fault, names)
        assert not at_import
        return [reach.tests[number] for number in numbers]

    assert choose(_fault(1)) == ["quick", "law", "slow"]
    assert choose(_fault(1, (1, 2))) == ["quick", "other", "law", "slow"]
    assert choose(_fault(5)) == []


def test_a_fault_that_runs_at_import_is_tried_by_the_tests_of_all_that_depends_on_what_it_defines(
    tmp_path: Path,
) -> None:
    package, tests = tmp_path / "musterbook", tmp_path / "tests"
    package.mkdir()
    tests.mkdir()
    (package / "a.py").write_text("SIZE = 3\nROOM = SIZE * 2\n\n\ndef other():\n    return 1\n")
    (package / "b.py").write_text("from musterbook import a\n\n\ndef count():\n    return a.ROOM\n")
    (tests / "test_a.py").write_text("from musterbook.a import SIZE\n")
    reach = Reach()
    reach.add({
        "tests": ["", "tests/test_b.py::quick", "tests/test_b.py::other", "tests/test_a.py::slow"],
        "seconds": [0.0, 0.1, 0.2, 3.0],
        "lines": {"musterbook/a.py": {"1": [0], "2": [0], "6": [2]}, "musterbook/b.py": {"5": [1]}},
    })  # fmt: skip
    numbers, at_import = reach.choose(_fault(1, file="musterbook/a.py"), Names(tmp_path))
    assert at_import
    assert [reach.tests[number] for number in numbers] == ["tests/test_b.py::quick", "tests/test_a.py::slow"]


def test_tests_of_a_fault_that_runs_at_import_are_run_in_two_groups() -> None:
    reach = _reach()
    assert reach.group([2, 3, 5, 1]) == [3, 1]
    assert reach.group([]) == [0, 0]


BEFORE = """LARGE = 5


def keep(function):
    return lambda number: function(number)


@keep
def add(number):
    def inner():
        return number + 1

    return inner()


class Limit:
    most = 3

    def allows(self, number):
        return number <= self.most
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [("number + 1", "number - 1"), ("number <= self", "number < self"), ("function(number)", "function(number) + 1")],
)
def test_a_function_that_a_fault_changes_gets_its_new_code_wherever_it_is_kept(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "limit.py"
    names: dict[str, Any] = {}
    exec(compile(BEFORE, str(path), "exec"), names)
    results = names["add"](1), names["Limit"]().allows(3)
    changes = list(warm_tests.find_changes(BEFORE, BEFORE.replace(old, new), str(path), _functions(tmp_path)))
    for function, code in changes:
        function.__code__ = code
    assert changes and (names["add"](1), names["Limit"]().allows(3)) != results


def test_a_function_is_found_that_was_frozen_when_the_tests_were_loaded(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(BEFORE, str(tmp_path / "limit.py"), "exec"), names)
    gc.freeze()
    assert names["keep"] in [each for alike in _functions(tmp_path).values() for each in alike]


@pytest.mark.parametrize(("old", "new"), [("LARGE = 5", "LARGE = 6"), ("most = 3", "most = 4"), ("@keep\n", "")])
def test_a_fault_that_changes_what_runs_at_import_is_in_no_function(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(warm_tests.NotInFunctions):
        list(warm_tests.find_changes(BEFORE, BEFORE.replace(old, new), str(tmp_path / "limit.py"), {}))


def _functions(folder: Path) -> dict[CodeType, list[FunctionType]]:
    return warm_tests.list_functions(folder)


def test_the_folder_of_the_tests_is_as_before_after_each_fault(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    for each in (kept, folder):
        (each / "home").mkdir(parents=True)
        (each / "home" / "rows").write_text("none")
    (folder / "home" / "rows").write_text("three")
    (folder / "home" / "rows-wal").write_text("open")
    (folder / "left" / "over").mkdir(parents=True)
    (folder / "link").symlink_to("left")
    warm_tests.restore(kept, folder)
    assert (folder / "home" / "rows").read_text() == "none"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == ["home", "home/rows"]


def test_what_a_file_of_tests_reaches_is_recorded_again_only_if_it_or_what_all_share_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    for name in ("musterbook/a.py", "tests/world.py", "tests/test_a.py", "tests/test_b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    files = mutation._list_tests(["tests"])
    assert files == ["tests/test_a.py", "tests/test_b.py"]
    before = mutation._fingerprints(files)
    (tmp_path / "tests" / "test_b.py").write_text("2\n")
    after = mutation._fingerprints(files)
    assert (
        before["tests/test_a.py"] == after["tests/test_a.py"] and before["tests/test_b.py"] != after["tests/test_b.py"]
    )
    (tmp_path / "tests" / "world.py").write_text("2\n")
    assert not set(mutation._fingerprints(files).values()) & set(after.values())


def test_the_report_counts_by_package_and_lists_what_nothing_noticed() -> None:
    fault = _fault(1, file="musterbook/core/domain/table.py")
    results = [*["killed"] * 8, "timed out", "survived"]
    text = mutation.report([Outcome(fault, result, f"{result} one") for result in results], 7)
    assert "Seed 7" in text
    assert "| musterbook/core | 10 | 8 | 1 | 1 | 90.0% | 59.6% to 98.2% |" in text
    assert text.splitlines()[-2:] == ["survived: survived one", "timed out: timed out one"]
    assert mutation.interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["musterbook.core.planning.cycles", "musterbook/core/planning/cycles.py"])
def test_a_module_is_named_by_its_path_or_its_name(name: str) -> None:
    assert mutation._files(name) == ["musterbook/core/planning/cycles.py"]
    with pytest.raises(SystemExit, match="There is no module"):
        mutation._files("musterbook.core.nothing")
