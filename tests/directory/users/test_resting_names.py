"""Names that rest: where the agency says so, nobody else gets a username or address that a user gave up (CJIS IA-4)."""

from datetime import UTC, datetime, timedelta

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.users import editing
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.now(UTC) - timedelta(days=366)
NOW = datetime.now(UTC)


@pytest.fixture
def agency() -> models.Agency:
    """An agency whose names rest for a year, with three officers."""
    made = cast.agency(reuse_days=365)
    cast.apply_rows(made, [person(1, ROLE="Admin"), *cast.people(2, 3)])
    return made


def codes(done: ImportResult) -> list[tuple[str, str]]:
    found = models.ImportProblem.objects.filter(of=done.record).order_by("row", "column")
    return [(problem.code, problem.column) for problem in found]


@pytest.mark.parametrize("column", ["USERNAME", "EMAIL"])
def test_a_name_that_was_another_users_is_refused_in_either_column(agency: models.Agency, column: str) -> None:
    cast.apply_rows(agency, [person(2, EMAIL="two@agency.example", USERNAME="old@agency.example")], at=NOW)
    cast.apply_rows(agency, [person(2, EMAIL="two@agency.example", USERNAME="two")], at=NOW)
    done = cast.run(agency, [person(3, **{column: "OLD@agency.example"})])
    assert codes(done) == [("resting-name", column)]
    assert done.record.counts["errored"] == 1


def test_its_former_user_gets_a_name_back_by_a_file_or_by_undo(agency: models.Agency) -> None:
    moved = cast.apply_rows(agency, [person(2, USERNAME="two")], at=NOW)
    cast.apply_rows(agency, [person(2)], at=NOW)
    moved = cast.apply_rows(agency, [person(2, USERNAME="two")], at=NOW)
    undo.run_undo(moved.record, context=AuditContext(NOW, "", "cli"))
    assert cast.user(agency, 2).username == "user.2"


def test_after_the_time_the_name_is_free(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(2, USERNAME="two")], at=LONG_AGO)
    cast.apply_rows(agency, [person(3, USERNAME="user.2")], at=NOW)


def test_names_do_not_change_hands_within_a_file(agency: models.Agency) -> None:
    done = cast.run(agency, [person(2, USERNAME="user.3"), person(3, USERNAME="user.2")])
    assert codes(done) == [("taken", "USERNAME"), ("taken", "USERNAME")]
    cast.apply_rows(agency, [person(2, BADGE_NUMBER="B-3"), person(3, BADGE_NUMBER="B-2")])


def test_names_rest_for_forms_too_and_in_large_agencies(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(2, USERNAME="two"), *cast.people(*range(10, 40))], at=NOW)
    three = editing.find_user(agency, cast.user(agency, 3).pk)
    row = editing.build_row(three)
    result = editing.edit(three, row | {"USERNAME": "user.2"}, row, AuditContext(NOW, "", "page"))
    assert [problem.code for problem in result.problems] == ["resting-name"]


def test_another_change_of_case_releases_nothing_and_without_the_setting_nothing_rests(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(2, USERNAME="USER.2")], at=NOW)
    assert not models.ReleasedName.objects.exists()
    models.Agency.objects.update(reuse_days=0)
    agency.refresh_from_db()
    cast.apply_rows(agency, [person(2, USERNAME="user.3"), person(3, USERNAME="user.2")], at=NOW)
    assert not models.ReleasedName.objects.exists()
