"""The schedule of the fault harness: decided by its seed, with every kind of fault."""

import pytest

from fault_harness.__main__ import main, plan_rounds
from fault_harness.schedule import ONLY_POSTGRES, Kind, make_schedule

EVERY = frozenset(Kind)


def test_a_seed_repeats_its_schedule_and_another_one_does_not() -> None:
    assert make_schedule(7, 60, EVERY) == make_schedule(7, 60, EVERY)
    assert make_schedule(7, 60, EVERY) != make_schedule(8, 60, EVERY)


def test_each_kind_comes_once_before_chance_decides() -> None:
    steps = make_schedule(3, 60, EVERY)
    assert {step.kind for step in steps[: len(Kind)]} == EVERY
    assert len(steps) == 60


def test_what_a_machine_does_not_allow_is_not_in_its_schedule() -> None:
    kinds = EVERY - ONLY_POSTGRES
    assert {step.kind for step in make_schedule(3, 200, kinds)} == kinds


def test_a_long_run_is_rounds_with_seeds_that_follow_each_other() -> None:
    assert plan_rounds(5, 120, "sqlite") == [(5, 50, "sqlite"), (6, 50, "sqlite"), (7, 20, "sqlite")]
    assert plan_rounds(5, 80, "both") == [(5, 40, "postgres"), (6, 40, "sqlite")]
    assert plan_rounds(5, 101, "both") == [(5, 50, "postgres"), (6, 50, "sqlite"), (7, 1, "postgres")]
    assert plan_rounds(5, 1, "both") == [(5, 1, "postgres")]


def test_a_number_of_faults_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--faults", "0"])
    assert ended.value.code == 2
    assert "must be 1 or more" in capsys.readouterr().err
