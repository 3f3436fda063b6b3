"""Numbers that all of an agency's users have with leading zeros: a new one without them is noted (C12)."""

import polars as pl
import pytest

from musterbook.core.domain.policy import Mode
from musterbook.core.domain.table import Table
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from tests.directory.cast import agency, apply_rows, person

pytestmark = pytest.mark.django_db


def import_badge(made: models.Agency, badge: str, *more: str) -> set[str]:
    """The codes of the notes on a file of new users with these badges."""
    done = apply_rows(made, [person(f"x{number}", BADGE_NUMBER=number) for number in (badge, *more)])
    return set(models.ImportProblem.objects.filter(of=done.record, note=True).values_list("code", flat=True))


def add_users(made: models.Agency, number: int, start: int = 1) -> None:
    apply_rows(made, [person(one, BADGE_NUMBER=f"{one:04}") for one in range(start, start + number)])


@pytest.mark.parametrize("users", [3, 40])
def test_a_small_and_a_large_directory_know_how_their_badges_are_written(users: int) -> None:
    made = agency()
    add_users(made, users)
    assert import_badge(made, "41") == {"zeros-missing"}
    assert import_badge(made, "42") == set()


@pytest.mark.parametrize("users", [3, 40])
def test_a_badge_that_is_long_enough_or_has_its_zeros_is_not_noted(users: int) -> None:
    made = agency()
    add_users(made, users)
    assert import_badge(made, "0041", "1041") == set()


def test_two_users_do_not_say_how_an_agency_writes_badges() -> None:
    made = agency()
    add_users(made, 2)
    assert import_badge(made, "41") == set()


def test_the_first_load_has_no_such_note() -> None:
    assert import_badge(agency(), "41", "42", "43") == set()


@pytest.mark.parametrize(("users", "padded"), [(2, {}), (3, {"badge_number": 4})])
def test_users_that_have_been_read_already_are_not_read_again(users: int, padded: dict[str, int]) -> None:
    made = agency()
    add_users(made, users)
    cells = pl.DataFrame([{heading.lower(): cell for heading, cell in person("x", BADGE_NUMBER="41").items()}])
    table = Table.of_values(cells.with_row_index("row", offset=2))
    known = snapshot_queries.read_all_users(made)
    assert snapshot_queries.read_snapshot(made, table, Mode.SYNC, known).padded == padded
