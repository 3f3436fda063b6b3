"""The run of faults: which faults are made, in which order they are tried, and which tests try them."""

from collections import Counter

import pytest

from scripts import faults, mutation
from scripts.faults import Fault
from scripts.mutation import Outcome, Reach
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
    reach = _reach()
    assert [reach.tests[number] for number in reach.choose(_fault(1), ())] == ["quick", "law", "slow"]
    assert [reach.tests[number] for number in reach.choose(_fault(1, (1, 2)), ())] == ["quick", "other", "law", "slow"]
    assert reach.choose(_fault(5), ()) == []


def test_a_fault_that_runs_at_import_is_tried_by_all_tests_that_reach_its_module_or_one_that_imports_it() -> None:
    reach = _reach(at_import=(7,))
    assert {reach.tests[number] for number in reach.choose(_fault(7), ())} == {"quick", "other", "law", "slow"}
    only_imported = Fault("c.py", "AddNot", 0, 1, (1, 1))
    reach.lines["c.py"] = {1: {0}}
    assert {reach.tests[number] for number in reach.choose(only_imported, ["b.py"])} == {"law"}


def test_tests_are_run_in_two_groups_with_a_limit_for_each() -> None:
    reach = _reach()
    groups, limits = reach.group([2, 3, 5, 1])
    assert groups == [["quick", "other", "law"], ["slow"]]
    assert limits == [pytest.approx(60 + 6 * 6.1), 60 + 6 * 9.0]
    assert reach.group([]) == ([], [])


def test_the_modules_that_import_a_module_are_found() -> None:
    found = mutation.importers(ROOT)
    assert "musterbook/core/planning/supervisors.py" in found["musterbook/core/planning/cycles.py"]


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
