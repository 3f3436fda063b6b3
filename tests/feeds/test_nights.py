"""Thirty nights in a row over each location, with trouble in most of them: after each night, the books balance (rules N1–N7)."""

import os
import random
from pathlib import Path

import pytest

from tests.databases import Home
from tests.feeds.nights import journey, plans
from tests.feeds.nights.places import PLACES

SEEDS = [int(seed) for seed in os.environ.get("MUSTER_NIGHTS", "1").split(",")]
"""The seeds of the schedules. MUSTER_NIGHTS=1,2,3 lets other nights pass."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PLACES)
def test_after_each_of_thirty_nights_the_books_balance(fresh_home: Home, tmp_path: Path, kind: str, seed: int) -> None:
    with journey.begin(fresh_home, tmp_path, kind, seed) as passing:
        for night in plans.plan_nights(random.Random(f"{kind} {seed}")):
            passing.run_night(night)
        passing.check_end()
