"""The version of a user: another one after every change that a program can see, and the same one after all others."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from musterbook.directory import models
from musterbook.directory.users import editing, versions
from musterbook.directory.users.editing import UnknownUser
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import NOW, person

pytestmark = pytest.mark.django_db

Change = Callable[[models.User], object]


@built_once
def _build_agency() -> models.Agency:
    made = cast.agency()
    cast.apply_rows(made, [person(1, ROLE="Admin"), person(2, SUPERVISOR_EMAIL=person(1)["EMAIL"])])
    return made


@pytest.fixture
def agency() -> models.Agency:
    """An administrator (1), and an officer who reports to them (2)."""
    return _build_agency()


def _set(**fields: object) -> Change:
    return lambda user: models.User.objects.filter(pk=user.pk).update(**fields)


def _rename_role(user: models.User) -> object:
    return models.Role.objects.filter(pk=user.role_id).update(name="Deputy", name_key="deputy")


def _move_supervisor(user: models.User) -> object:
    return models.User.objects.filter(external_id="E-1").update(email="other@example.org", email_key="o")


@pytest.mark.parametrize(
    "change",
    [
        _set(first_name="Ann"), _set(active=False), _set(exempt=True), _set(source="scim"), _set(ends_on=date(2027, 1, 1)),
        _set(locked_at=NOW), _set(last_sign_in_at=NOW), _set(registered_at=NOW), _set(managed_by="sso"),
        _set(missing_since=date(2026, 1, 1)), _set(reset_at=NOW, registered_at=NOW), _set(supervisor=None),
        _rename_role, _move_supervisor,
    ],
)  # fmt: skip
def test_what_a_program_sees_of_a_user_has_a_version(agency: models.Agency, change: Change) -> None:
    user = cast.user(agency, 2)
    before = versions.read_user(agency, user.pk, NOW)
    assert (before.user, before.state, before.row) == (user, "Invited", editing.build_row(user))
    assert versions.read_user(agency, user.pk, NOW).version == before.version
    change(user)
    assert versions.read_user(agency, user.pk, NOW).version != before.version


def test_an_invitation_that_expires_makes_another_version(agency: models.Agency) -> None:
    user = cast.user(agency, 2)
    models.User.objects.filter(pk=user.pk).update(invitation_expires_at=NOW + timedelta(days=1))
    today, later = (versions.read_user(agency, user.pk, NOW + timedelta(days=days)) for days in (0, 2))
    assert (today.state, later.state) == ("Invited", "Invitation expired")
    assert today.version != later.version


def test_a_change_that_no_program_sees_keeps_the_version(agency: models.Agency) -> None:
    user = cast.user(agency, 2)
    before = versions.read_user(agency, user.pk, NOW).version
    models.User.objects.filter(pk=user.pk).update(missing_imports=2, name_key="x")
    assert versions.read_user(agency, user.pk, NOW).version == before


def test_users_are_read_in_the_given_order_without_those_of_others(agency: models.Agency) -> None:
    other = cast.agency("shelbyville")
    cast.apply_rows(other, [person(1, ROLE="Admin")])
    one, two, theirs = cast.user(agency, 1).pk, cast.user(agency, 2).pk, cast.user(other, 1).pk
    assert [found.user.pk for found in versions.read_users(agency, [two, theirs, one, 0], NOW)] == [two, one]
    for number in (theirs, 0):
        with pytest.raises(UnknownUser):
            versions.read_user(agency, number, NOW)


def test_a_page_of_versions_takes_few_queries_which_find_users_by_their_numbers(agency: models.Agency) -> None:
    numbers = [cast.user(agency, number).pk for number in (1, 2)]
    with CaptureQueriesContext(connection) as queries:
        assert len({one.version for one in versions.read_users(agency, numbers, NOW)}) == 2
    # The users, their roles, ranks and groups: not one query for each user.
    assert len(queries) <= 4
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {queries[0]['sql']}")
            assert "INTEGER PRIMARY KEY" in str(cursor.fetchall()[0])


def test_a_number_that_no_user_can_have_is_no_user(agency: models.Agency) -> None:
    user = cast.user(agency, 2)
    assert [one.user for one in versions.read_users(agency, [2**63, user.pk, 10**40], NOW)] == [user]
    assert [one.user for one in versions.find_users(agency, "E-2", NOW)] == [user]
    assert versions.find_users(agency, "E-9", NOW) == []
