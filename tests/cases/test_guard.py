"""The guard scenarios through the command line: no harm passes unseen, and no usual change is stopped."""

import pytest

from tests.cases import guard
from tests.cli.conftest import Muster

pytestmark = pytest.mark.skipif(not guard.GUARD.exists(), reason="the shared cases are not beside the project")

NOT_YET: dict[str, str] = {}
"""Scenarios whose rule is not built yet, and the rule."""


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(
            one,
            id=one["id"],
            marks=[pytest.mark.xfail(strict=True, reason=NOT_YET[one["id"]])] if one["id"] in NOT_YET else [],
        )
        for one in guard.load_document()["scenarios"]
    ],
)
def test_a_guard_scenario_comes_out_as_judged(scenario: guard.Json, muster: Muster) -> None:
    assert guard.play(scenario, muster) == []
