"""An import is timed from within: by its stages, and by what is watched in them, in whatever thread that runs."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import ModuleType

import pytest

from benchmarks.stages import Stages


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with a function `double` that can be watched."""
    module = ModuleType("watched_by_a_test")
    module.double = lambda number: 2 * number  # type: ignore[attr-defined]  # modules of tests have what they are given
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_stage_that_is_announced_again_goes_on() -> None:
    stages = Stages(profile=True)
    for stage in ("planning", "writing", "writing", "writing", "committing", ""):
        stages(stage)
    assert list(stages.seconds) == list(stages.profiles) == list(stages.peaks) == ["planning", "writing", "committing"]


def test_what_is_watched_is_a_part_of_its_stage(watched: ModuleType) -> None:
    stages = Stages(profile=False)
    stages.watch(watched.__name__, "double", lambda number: f"double-{number}")
    stages("planning")
    assert watched.double(4) == 8
    stages("")
    assert set(stages.seconds) == {"planning", "planning.double-4"}
    assert stages.seconds["planning.double-4"] <= stages.seconds["planning"]
    assert stages.profiles == {}


def test_what_runs_in_another_thread_has_a_profile_of_its_own(watched: ModuleType) -> None:
    stages = Stages(profile=True)
    stages.watch(watched.__name__, "double", lambda _: "double")
    stages("reading")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(watched.double, 1).result() == 2
    assert watched.double(1) == 2
    stages("")
    assert set(stages.profiles) == {"reading", "reading.double"}
    assert "test_stages.py" in stages.profiles["reading.double"]


def test_a_stage_may_end_while_another_thread_still_runs(watched: ModuleType) -> None:
    begun, may_end = Event(), Event()

    def wait() -> None:
        begun.set()
        assert may_end.wait(30)

    watched.wait = wait  # type: ignore[attr-defined]  # modules of tests have what they are given
    stages = Stages(profile=True)
    stages.watch(watched.__name__, "wait", lambda: "wait")
    stages("reading")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watched.wait)
        assert begun.wait(30)
        stages("planning")
        may_end.set()
        waiting.result()
    stages("writing")
    stages("")
    assert set(stages.profiles) == {"reading", "reading.wait", "planning", "writing"}
