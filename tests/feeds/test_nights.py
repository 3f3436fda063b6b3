"""Thirty nights in a row over each location, with trouble in most of them: after each night, the books balance (rules N1–N7)."""

import os
import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.databases import Home
from tests.feeds.nights import journey, plans
from tests.feeds.nights.places import PLACES
from tests.feeds.nights.plans import FIRST_NIGHT, Night

SEEDS = [int(seed) for seed in os.environ.get("MUSTER_NIGHTS", "1").split(",")]
"""The seeds of the schedules. MUSTER_NIGHTS=1,2,3 lets other nights pass."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PLACES)
def test_after_each_of_thirty_nights_the_books_balance(fresh_home: Home, tmp_path: Path, kind: str, seed: int) -> None:
    with journey.begin(fresh_home, tmp_path, kind, seed) as passing:
        for night in plans.plan_nights(random.Random(f"{kind} {seed}")):
            passing.run_night(night)
        passing.check_end()


@pytest.mark.parametrize("mishap", journey.JUMPS)
def test_a_clock_that_jumps_and_is_set_right_loses_no_file_and_takes_none_twice(
    fresh_home: Home, tmp_path: Path, mishap: str
) -> None:
    contents = [("plain", ""), ("plain", mishap), ("same", mishap), ("plain", ""), ("none", ""), ("many leave", mishap)]
    with journey.begin(fresh_home, tmp_path, "folder", 1) as passing:
        for number, (content, wrong) in enumerate(contents):
            passing.run_night(Night(FIRST_NIGHT + timedelta(days=number), content, wrong))


def test_the_night_in_which_the_clock_is_set_back_is_a_night_as_any_other(fresh_home: Home, tmp_path: Path) -> None:
    """In Chicago, it is one o'clock twice on November 1. That it is never two on March 8 is among the thirty nights."""
    first = date(2026, 10, 30)
    contents = [("plain", ""), ("none", ""), ("plain", "down"), ("none", ""), ("plain", "growing")]
    with journey.begin(fresh_home, tmp_path, "folder", 1, first) as passing:
        for number, (content, wrong) in enumerate(contents):
            passing.run_night(Night(first + timedelta(days=number), content, wrong))
