"""The guard scenarios through the command line: no harm passes unseen, and no usual change is stopped."""

import pytest

from tests.cases import guard
from tests.cli.conftest import Muster

pytestmark = pytest.mark.skipif(not guard.GUARD.exists(), reason="the shared cases are not beside the project")

NOT_YET = {
    "G030": "F2",
    "G031": "F2",
    "G032": "F2",
    "G033": "F2",
    "G034": "F2",
    "G035": "F4",
    "G036": "F4",
    "G037": "F4",
    "G038": "F4",
    "G039": "F5",
    "G040": "F6",
    "G041": "F6",
    "G042": "F6",
    "G044": "F7",
    "G046": "F10",
    "G047": "F11",
    "G048": "F11",
    "G049": "F11",
    "G050": "F12",
    "G051": "F12",
    "G052": "F12",
    "G055": "F15",
    "G056": "F15",
    "G057": "C10",
    "G074": "M6",
    "G083": "M13",
    "G092": "A4",
}
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
