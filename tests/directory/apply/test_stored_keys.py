"""The stored keys of users: corrected for the values of an older version, without a failure where two look the same (M4)."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations import RunPython
from django.db.migrations.executor import MigrationExecutor

from musterbook.directory import models
from musterbook.directory.apply import stored_keys
from musterbook.directory.audit import cross_checks
from musterbook.directory.installation import doctor
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture
def agency() -> models.Agency:
    """An agency of an older version: users 2 and 3 have badges that look the same, user 4 has a dash and an odd id."""
    made = cast.agency()
    cast.apply_rows(made, [person(1, ROLE="Admin"), *cast.people(2, 3, 4)])
    users = models.User.objects.filter(agency=made)
    users.filter(external_id=person(2)["EXTERNAL_ID"]).update(badge_number="P-1", badge_number_key="p-1")
    users.filter(external_id=person(3)["EXTERNAL_ID"]).update(badge_number="P\u20111", badge_number_key="p\u20101")
    users.filter(external_id=person(4)["EXTERNAL_ID"]).update(
        badge_number="4\u20134", badge_number_key="4\u20134", external_id="０4"
    )
    models.ReleasedName.objects.create(agency=made, key="a\u2013b", user=users.get(external_id="０4"), released_at=NOW)
    return made


def keys_of(agency: models.Agency) -> list[str]:
    return list(models.User.objects.filter(agency=agency).order_by("pk").values_list("badge_number_key", flat=True))[1:]


def test_m4_keys_of_an_older_version_are_corrected_and_the_second_of_two_like_values_keeps_its_key(
    agency: models.Agency,
) -> None:
    done = stored_keys.correct_keys(agency.pk)
    assert done.corrected == 2
    assert done.alike == (stored_keys.LikeValues("BADGE_NUMBER", person(2)["EXTERNAL_ID"], person(3)["EXTERNAL_ID"]),)
    assert keys_of(agency) == ["p-1", "p\u20101", "4-4"]
    assert models.User.objects.get(external_id="０4").external_id_key == "04"
    assert stored_keys.correct_keys(agency.pk).corrected == 0
    assert "key" not in cross_checks.find_error(agency)


def test_the_migration_corrects_the_keys_of_users_and_of_released_names(agency: models.Agency) -> None:
    migration = MigrationExecutor(connection).loader.get_migration_by_prefix("directory", "0016")
    [corrects] = [one for one in migration.operations if isinstance(one, RunPython)]
    corrects.code(MigrationExecutor(connection).loader.project_state().apps, None)  # type: ignore[arg-type]  # it uses no editor
    assert keys_of(agency) == ["p-1", "p\u20101", "4-4"]
    assert models.ReleasedName.objects.get().key == "a-b"


def test_the_doctor_names_values_that_look_the_same(agency: models.Agency) -> None:
    finding = doctor._like_values()
    assert "BADGE_NUMBER of" in finding.found
    assert finding.remedy
    cast.apply_rows(agency, [person(3, BADGE_NUMBER="P-3")], at=NOW)
    assert doctor._like_values().remedy == ""


def test_a_user_who_keeps_such_a_value_can_be_changed(agency: models.Agency) -> None:
    stored_keys.correct_keys(agency.pk)
    two, three = (person(number)["EMAIL"] for number in (2, 3))
    rows = [
        person(2, BADGE_NUMBER="P-1", EMAIL=three, LAST_NAME="Other"),
        person(3, BADGE_NUMBER="P\u20111", EMAIL=two, LAST_NAME="Another"),
    ]
    cast.apply_rows(agency, rows, at=NOW)
    assert cast.user(agency, 3).last_name == "Another"
    assert keys_of(agency)[:2] == ["p-1", "p\u20101"]
