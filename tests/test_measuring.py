"""The measured tests reach all that must be reached, and the list of the others names tests that are there."""

from hypothesis import given
from hypothesis import strategies as st

from scripts import measuring
from scripts.measuring import Measured, choose_tests
from scripts.setup import ROOT
from tests import parts

_STEPS = [(f"musterbook/{package}/file.py", line, line + 1) for package in ("core", "web") for line in range(40)]
_TESTS = st.dictionaries(
    st.sampled_from([f"tests/test_{letter}.py::test" for letter in "abcdefgh"]),
    st.tuples(st.frozensets(st.sampled_from(_STEPS), max_size=30), st.floats(0, 20)),
)


@given(_TESTS, st.frozensets(st.sampled_from(_STEPS), max_size=10))
def test_the_chosen_tests_reach_all_of_core_and_nearly_all_of_the_others(
    tests: dict[str, tuple[frozenset[measuring.Step], float]], without: frozenset[measuring.Step]
) -> None:
    reached = {name: set(steps) for name, (steps, _) in tests.items()}
    chosen = choose_tests(Measured(reached, set(without), {name: seconds for name, (_, seconds) in tests.items()}))
    everything = without.union(*reached.values())
    got = without.union(*(reached[name] for name in chosen))
    assert {step for step in everything - got if step[0].startswith("musterbook/core/")} == set()
    assert len(everything - got) <= measuring._ALL_BUT * len(everything) + 1
    assert {name for name, (_, seconds) in tests.items() if seconds < measuring._QUICK} <= chosen


def test_of_two_tests_that_reach_the_same_the_one_that_takes_longer_is_not_measured() -> None:
    both = {"slow": set(_STEPS), "quicker": set(_STEPS), "another": set(_STEPS[:3])}
    seconds = {"slow": 9.0, "quicker": 3.0, "another": 1.0}
    assert choose_tests(Measured(both, set(), seconds)) <= {"quicker", "another"}


def test_each_name_in_the_list_is_that_of_a_test() -> None:
    names = parts.UNMEASURED.read_text(encoding="utf-8").split()
    assert names == sorted(set(names))
    texts: dict[str, str] = {}
    for name in names:
        file, _, test = name.partition("::")
        if file not in texts:
            texts[file] = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
        assert f"def {test}(" in texts[file] if test else texts[file], (
            f"There is no {name} any more: remove it from {parts.UNMEASURED.name}."
        )
