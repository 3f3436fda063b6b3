"""What a plan is compared with: the plan that was shown before, and the last import of the source."""

import shutil
from datetime import timedelta
from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports import plan_differences, plan_files
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.people import Person, find_people
from musterbook.directory.imports.plan_differences import Moved, MovedUser
from tests.directory.cast import NOW, Row, agency, apply_rows, people, person, run, user

pytestmark = pytest.mark.django_db


@pytest.fixture
def made() -> models.Agency:
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin"), *people(2, 3)])
    return made


def plan(made: models.Agency, rows: list[Row], minutes: int = 1, **options: Any) -> models.Import:
    """A preview, so many minutes later."""
    return run(made, rows, Options(preview=True, **options), at=NOW + timedelta(minutes=minutes)).record


def upload(made: models.Agency, rows: list[Row], minutes: int, **options: Any) -> models.Import:
    """An import that is applied, so many minutes later."""
    return apply_rows(made, rows, Options(**options), at=NOW + timedelta(minutes=minutes)).record


def test_the_last_import_is_of_the_same_source_and_best_of_the_same_mode(made: models.Agency) -> None:
    everyone = [person(1, ROLE="Admin"), *people(2, 3)]
    sync = upload(made, everyone, 1, mode=Mode.SYNC)
    update = upload(made, people(2), 2)
    fire = upload(made, people(3), 3, source="fire")
    assert plan_differences.find_last_import(plan(made, everyone, 4, mode=Mode.SYNC)) == sync
    assert plan_differences.find_last_import(plan(made, everyone, 4)) == update
    assert plan_differences.find_last_import(plan(made, everyone, 4, source="fire", mode=Mode.SYNC)) == fire
    assert plan_differences.find_last_import(plan(made, everyone, 4, source="court")) is None
    fire.kind = models.ImportKind.UNDO
    assert plan_differences.find_last_import(fire) is None


def test_users_differ_by_outcome_or_by_value(made: models.Agency) -> None:
    before = plan(made, [person(2), person(3, LAST_NAME="New"), person(4)])
    now = plan(made, [person(2, LAST_NAME="New"), person(3, LAST_NAME="Newer"), person(5)], 2)
    moved = plan_differences.list_moved(before, now)
    assert moved == Moved(
        [
            MovedUser("E-2", "unchanged", "updated"),
            MovedUser("E-3", "updated", "updated otherwise"),
            MovedUser("E-4", "added", ""),
            MovedUser("E-5", "", "added"),
        ],
        4,
    )
    assert plan_differences.list_moved(now, now).total == 0
    shutil.rmtree(plan_files.find_path(before.number, "rows").parent)
    assert plan_differences.list_moved(before, now) == Moved()


def test_only_a_plan_takes_the_place_of_a_plan(made: models.Agency) -> None:
    first = plan(made, people(4))
    assert plan_differences.find_shown_before(first) is None
    first.origin, first.options = first, {"preview": True}
    assert plan_differences.find_shown_before(first) == first
    first.options = {"preview": False}
    assert plan_differences.find_shown_before(first) is None


def test_people_are_found_by_the_ids_that_they_had(made: models.Agency) -> None:
    record = plan(made, people(4))
    second = user(made, 2)
    assert find_people(record, ["E-2", "E-9"]) == {"E-2": Person(second.pk, "First 2 Last 2")}
    models.FormerId.objects.create(agency=made, user=second, external_id="E-3", until=NOW + timedelta(days=1))
    assert find_people(record, ["E-3"]) == {"E-3": Person(second.pk, "First 2 Last 2")}
    assert find_people(record, []) == {}
