"""The users of an identity provider: whom it sees, who is the same person, and what protects those that it manages."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from musterbook.directory.users import editing, marks, provisioning, user_query
from musterbook.directory.users.editing import EditResult, UnknownUser
from musterbook.directory.users.provisioning import Provisioned
from musterbook.directory.users.user_query import InvalidPosition, Place, Wanted
from tests.directory import cast

pytestmark = pytest.mark.any_database
Row = Mapping[str, str]


def _context() -> AuditContext:
    return AuditContext(datetime.now(UTC), "", "scim")


@pytest.fixture
def agency(db: None) -> models.Agency:
    """An agency with two users of files."""
    made = cast.agency(defaults={"ROLE": "Officer"})
    cast.apply_rows(made, cast.people(1, 2))
    return made


def _row(name: str = "jane", **others: str) -> Row:
    return {"USERNAME": name, "EMAIL": f"{name}@agency.example", "FIRST_NAME": name, "LAST_NAME": "Doe", **others}


def _add(agency: models.Agency, *, kept: Any = None, **cells: str) -> EditResult:
    return provisioning.add(agency, _row(**cells), kept or {}, _context())


def _change(agency: models.Agency, number: int, **cells: str) -> EditResult:
    return provisioning.change(agency, number, lambda found: (cells, found.kept), _context())


def _delete(agency: models.Agency, number: int) -> EditResult:
    return provisioning.delete(agency, number, lambda _: None, _context())


def _user(result: EditResult) -> models.User:
    assert result.user is not None, result.problems
    result.user.refresh_from_db()
    return result.user


def _read(agency: models.Agency, number: int) -> Provisioned:
    return provisioning.read_user(agency, number, datetime.now(UTC))


def test_a_deleted_user_is_absent_until_anyone_makes_them_active(agency: models.Agency) -> None:
    user = _user(_add(agency))
    assert _delete(agency, user.pk).done
    with pytest.raises(UnknownUser):
        _read(agency, user.pk)
    editing.reactivate(user, _context())
    assert _read(agency, user.pk).user.active


def test_the_same_person_is_found_by_external_id_and_another_one_is_not_taken_for_them(agency: models.Agency) -> None:
    user = _user(_add(agency, EXTERNAL_ID="X-1"))
    _delete(agency, user.pk)
    other = _add(agency, EXTERNAL_ID="X-2")
    assert {problem.code for problem in other.problems} == {"taken"}
    assert not other.done and other.user is None
    again = _user(_add(agency, name="jane.roe", EXTERNAL_ID="X-1"))
    assert (again.pk, again.username, again.active) == (user.pk, "jane.roe", True)
    assert _add(agency, EXTERNAL_ID="X-1").already_exists


def test_without_an_external_id_the_username_is_enough(agency: models.Agency) -> None:
    user = _user(_add(agency))
    _delete(agency, user.pk)
    assert _user(_add(agency, EXTERNAL_ID="X-9")).pk == user.pk
    _delete(agency, user.pk)
    again = _user(_add(agency, STATUS="Inactive"))
    assert (again.pk, again.external_id, again.active) == (user.pk, "X-9", False)
    assert not _read(agency, user.pk).user.active


def test_a_user_who_is_active_again_has_no_last_day_that_is_over(agency: models.Agency) -> None:
    user = _user(_add(agency))
    models.User.objects.filter(pk=user.pk).update(active=False, ends_on=date(2026, 1, 1))
    assert _user(_change(agency, user.pk, STATUS="Active")).ends_on is None


def test_the_provider_manages_its_users_and_no_others(agency: models.Agency) -> None:
    of_hr = cast.user(agency, 1)
    models.User.objects.filter(pk=of_hr.pk).update(source="hr")
    free = cast.user(agency, 2)
    models.User.objects.filter(pk=free.pk).update(missing_since=date(2026, 1, 1), missing_imports=2)
    for user in (of_hr, free):
        assert _change(agency, user.pk, LOCATION="East").done
        user.refresh_from_db()
    assert (of_hr.source, of_hr.managed_by) == ("hr", "")
    assert (free.source, free.managed_by, free.missing_since, free.missing_imports) == ("scim", "scim", None, 0)
    marks.write(free, {marks.SOURCE: "hr"})
    free.refresh_from_db()
    assert (free.source, free.managed_by) == ("hr", "")


def test_a_synchronize_import_keeps_the_users_of_the_provider(agency: models.Agency) -> None:
    user = _user(_add(agency))
    done = cast.run(agency, cast.people(1, 2), Options(mode=Mode.SYNC))
    assert (done.record.state, done.record.counts["protected"], done.record.counts["deactivated"]) == ("applied", 1, 0)
    user.refresh_from_db()
    assert user.active


def test_a_made_external_id_or_badge_stands_for_none_until_there_is_one(agency: models.Agency) -> None:
    user = _user(_add(agency))
    made = (user.external_id, user.badge_number)
    assert provisioning.is_made("EXTERNAL_ID", made[0]) and provisioning.is_made("BADGE_NUMBER", made[1])
    assert not provisioning.is_made("USERNAME", made[0])
    same = _user(_change(agency, user.pk, EXTERNAL_ID="", BADGE_NUMBER=""))
    assert (same.external_id, same.badge_number) == made
    real = _user(_change(agency, user.pk, EXTERNAL_ID="X-1", BADGE_NUMBER="7"))
    assert (real.external_id, real.badge_number) == ("X-1", "7")
    gone = _user(_change(agency, user.pk, EXTERNAL_ID="", BADGE_NUMBER=""))
    assert provisioning.is_made("EXTERNAL_ID", gone.external_id) and gone.external_id != made[0]


def test_the_display_name_is_in_the_audit_trail_and_a_version_knows_it(agency: models.Agency) -> None:
    user = _user(_add(agency, kept={"displayName": "J"}))
    before = _read(agency, user.pk)
    provisioning.change(agency, user.pk, lambda _: ({}, {"displayName": "Jane"}), _context())
    after = _read(agency, user.pk)
    assert before.version != after.version and before.row == after.row
    assert after.changed_at > before.changed_at
    event = models.Event.objects.filter(subject=user).latest("pk")
    assert (event.kind, event.through, event.changes) == ("user.updated", "scim", '{"display_name":["J","Jane"]}')


def test_supervisors_are_found_by_id_or_external_id_or_address_but_never_by_a_number_that_means_another(
    agency: models.Agency,
) -> None:
    one = cast.user(agency, 1)
    for name in (str(one.pk), f"https://x.example/scim/v2/Users/{one.pk}", "E-1", "USER1@agency.example"):
        assert provisioning.find_supervisor(agency, name) == one.email
    models.User.objects.filter(pk=one.pk).update(external_id="99999")
    for name in ("99999", "9" * 19, "", "nobody", "\u0661"):
        assert provisioning.find_supervisor(agency, name) is None


def test_values_are_listed_unless_they_are_too_many(agency: models.Agency) -> None:
    listed = provisioning.list_values(agency, frozenset())
    assert listed == {"role": ["Officer"], "rank": ["Sergeant", "Captain"], "evidenceGroup": ["PATROL"]}
    models.Group.objects.bulk_create(
        models.Group(agency=agency, external_id=f"G{number}", name="G") for number in range(200)
    )
    assert provisioning.list_values(agency, frozenset())["evidenceGroup"] is None


def test_a_place_of_another_order_is_refused(agency: models.Agency) -> None:
    wanted = Wanted(10, "created", after=Place("yesterday", 1), by_place=True)
    with pytest.raises(InvalidPosition):
        user_query.find(agency, user_query.EVERYBODY, lambda _: True, wanted, datetime.now(UTC))


def test_users_who_were_deleted_are_not_counted(agency: models.Agency) -> None:
    for name in ("ann", "bob", "cy"):
        user = _user(_add(agency, name=name))
    _delete(agency, user.pk)
    at = datetime.now(UTC) + timedelta(seconds=1)
    for condition, number in (
        (user_query.EVERYBODY, 4),
        (user_query.match_active(True), 4),
        (user_query.match_active(False), 0),
        (~user_query.match_active(False), 4),
        (~user_query.EVERYBODY, 0),
        (~user_query.NOBODY, 4),
        (user_query.NOBODY | user_query.EVERYBODY, 4),
    ):
        found = user_query.find(agency, condition, lambda _: True, Wanted(10), at)
        assert (found.total, len(found.users)) == (number, number)
