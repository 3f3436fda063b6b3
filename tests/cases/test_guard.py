"""The guard scenarios through the command line: no harm passes unseen, and no usual change is stopped."""

import pytest

from tests.cases import guard
from tests.cli.conftest import Muster

pytestmark = pytest.mark.skipif(not guard.GUARD.exists(), reason="the shared cases are not beside the project")


@pytest.mark.parametrize("scenario", guard.load_document()["scenarios"], ids=lambda scenario: scenario["id"])
def test_a_guard_scenario_comes_out_as_judged(scenario: guard.Json, muster: Muster) -> None:
    assert guard.play(scenario, muster) == []
