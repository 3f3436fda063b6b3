"""The first steps of a new agency: how far it is, until its first import of a file was applied."""

import pytest

from musterbook.directory import models
from musterbook.directory.imports import first_steps, matching
from musterbook.directory.imports.options import Options
from tests.directory import cast
from tests.directory.cast import NOW, apply_rows, person, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def new() -> models.Agency:
    """An agency with nothing but the role Admin."""
    made = models.Agency.objects.create(slug="new", name="New", created_at=NOW)
    models.Role.objects.create(agency=made, name="Admin", name_key="admin", administrator=True)
    return made


def test_the_steps_are_followed_until_a_file_was_applied(new: models.Agency) -> None:
    assert first_steps.read_first_steps(new) == first_steps.FirstSteps(sent=False, named=False, plan=None)
    refused = run(new, b"a,b\n1,2\n").record
    standing = first_steps.read_first_steps(new)
    assert standing == first_steps.FirstSteps(sent=True, named=False, plan=refused)
    plan = run(new, [person(1, ROLE="Admin", RANK="Captain")], Options(preview=True)).record
    models.Rank.objects.create(agency=new, name="Captain", name_key="captain", position=0)
    assert first_steps.read_first_steps(new) == first_steps.FirstSteps(sent=True, named=True, plan=plan)
    assert first_steps.is_first(plan)
    apply_rows(new, [person(1, ROLE="Admin")])
    assert first_steps.read_first_steps(new) is None
    assert not first_steps.is_first(plan)


def test_steps_of_another_agency_do_not_count(new: models.Agency) -> None:
    apply_rows(cast.agency(), [person(1)])
    assert first_steps.read_first_steps(new) == first_steps.FirstSteps(sent=False, named=False, plan=None)


def test_an_agency_whose_users_came_in_another_way_needs_no_steps(
    new: models.Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_rows(new, [person(n, ROLE="Admin") for n in range(11)])
    models.Import.objects.all().delete()
    assert first_steps.read_first_steps(new) is None
    monkeypatch.setattr(first_steps, "_MOST_USERS", 11)
    assert first_steps.read_first_steps(new) is not None


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (cast.file([person(1)]).replace(b"EMAIL", b"Mail"), True),
        (b"PHONES," + cast.file([person(1)]).replace(b"\nE-1", b"\n1,E-1", 1), True),
        (cast.file([person(1)]), False),
        (b"\x00\x01", False),
        (b"Roster\n" + cast.file([person(1)]).replace(b"EMAIL", b"Mail"), False),
    ],
    ids=["a column is missing", "a column is misspelt", "all match", "no file of users", "the header row is not known"],
)
def test_columns_are_matched_if_they_are_all_that_is_wrong(new: models.Agency, content: bytes, needed: bool) -> None:
    assert matching.needs_columns(run(new, content, Options(preview=True)).record) == needed


def test_values_of_a_first_file_and_of_a_file_that_is_being_matched_are_looked_at(new: models.Agency) -> None:
    record = run(new, [person(1, STATUS="Gone")], Options(preview=True)).record
    assert matching.needs_values(record)
    named = run(new, [person(1, STATUS="Gone", ROLE="Admin")], Options(preview=True)).record
    assert not matching.needs_values(named) and matching.needs_values(named, asked=True)
    apply_rows(new, [person(1, ROLE="Admin")])
    assert not matching.needs_values(record) and matching.needs_values(record, asked=True)
    models.Import.objects.filter(pk=record.pk).update(state="refused")
    record.refresh_from_db()
    assert not matching.needs_values(record, asked=True)
