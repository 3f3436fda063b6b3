"""Users join and leave a group: one by an edit, many by one plan that is limited, recorded and undone like any other."""

from datetime import UTC, datetime, timedelta

import pytest

from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.agency.vocabularies import InUse
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, memberships, queue, undo
from musterbook.directory.imports.memberships import MembersChange, UnknownMembers
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import locks
from musterbook.directory.users import editing
from tests.directory.cast import NOW, agency, apply_rows, assert_whole, people, person, register, user

pytestmark = pytest.mark.django_db

BOSS = AuditContext(NOW + timedelta(hours=1), "E-1", "scim", "192.0.2.7", "Okta SCIM Client 1.0.0")
SMALL = AuditContext(NOW + timedelta(hours=1), "E-2", "scim")


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1), a user who may edit users alone (2), and six officers; two groups without members."""
    one = agency()
    models.Role.objects.create(
        agency=one, name="Inspector", name_key="inspector", permissions=["users.edit", "users.view", "groups.manage"]
    )
    apply_rows(one, [person(1, ROLE="Admin"), person(2, ROLE="Inspector"), *people(3, 4, 5, 6, 7, 8)])
    register(one, 1, 2)
    for name in ("North", "South"):
        groups.add(one, name[0], name, BOSS)
    return one


def find(made: models.Agency, external_id: str) -> models.Group:
    return models.Group.objects.select_related("agency").get(agency=made, external_id=external_id)


def ids(made: models.Agency, *numbers: int) -> list[int]:
    return [user(made, number).pk for number in numbers]


def join(made: models.Agency, external_id: str, *numbers: int, context: AuditContext = BOSS) -> MembersChange:
    return memberships.change_members(find(made, external_id), ids(made, *numbers), [], context)


def leave(made: models.Agency, external_id: str, *numbers: int, context: AuditContext = BOSS) -> MembersChange:
    return memberships.change_members(find(made, external_id), [], ids(made, *numbers), context)


def members(made: models.Agency, external_id: str) -> list[str]:
    found = models.User.objects.filter(agency=made, group__external_id=external_id).order_by("external_id")
    return list(found.values_list("external_id", flat=True))


def test_one_user_joins_and_leaves_by_an_edit(made: models.Agency) -> None:
    change = join(made, "N", 3)
    assert (change.record, change.problems, members(made, "N")) == (None, [], ["E-3"])
    event = models.Event.objects.filter(subject_external_id="E-3").latest("pk")
    assert (event.kind, event.through, event.actor, event.of_id) == ("user.updated", "scim", "E-1", None)
    assert event.changes == '{"EVIDENCE_GROUP_EXT_ID":["","N"]}'
    leave(made, "N", 3)
    assert members(made, "N") == []
    assert_whole(made)


def test_many_users_join_and_leave_by_one_import(made: models.Agency) -> None:
    join(made, "N", 3, 4)
    group = find(made, "N")
    change = memberships.change_members(group, ids(made, 5, 6), ids(made, 3), BOSS)
    record = change.record
    assert record is not None
    assert (record.state, record.kind, record.through, record.actor) == ("applied", "bulk", "scim", "E-1")
    assert (record.counts["updated"], record.file_name) == (3, "Change members: N")
    assert members(made, "N") == ["E-4", "E-5", "E-6"]
    events = models.Event.objects.filter(of=record).values_list("kind", "through", "subject_external_id")
    assert sorted(events) == [("user.updated", "scim", f"E-{number}") for number in (3, 5, 6)]
    undo.run_undo(record, context=BOSS)
    assert members(made, "N") == ["E-3", "E-4"]
    assert_whole(made)


def test_who_joins_leaves_the_group_before(made: models.Agency) -> None:
    join(made, "N", 3, 4, 5)
    join(made, "S", 4, 5)
    assert (members(made, "N"), members(made, "S")) == (["E-3"], ["E-4", "E-5"])


def test_nothing_happens_to_those_who_are_as_wanted(made: models.Agency) -> None:
    join(made, "N", 3, 4)
    events = models.Event.objects.count()
    assert join(made, "N", 3, 4) == MembersChange()
    assert leave(made, "S", 3, 4) == MembersChange()
    both = memberships.change_members(find(made, "N"), ids(made, 3), ids(made, 3), BOSS)
    assert (both, members(made, "N")) == (MembersChange(), ["E-3", "E-4"])
    assert models.Event.objects.count() == events


def test_users_of_another_agency_are_unknown(made: models.Agency) -> None:
    other = agency("shelbyville")
    apply_rows(other, people(1, 2))
    foreign = user(other, 1).pk
    for wanted in ([foreign], [*ids(made, 3, 4), foreign], [0], [-3]):
        with pytest.raises(UnknownMembers) as raised:
            memberships.change_members(find(made, "N"), wanted, [], BOSS)
        assert raised.value.ids == [wanted[-1]]
    assert memberships.change_members(find(made, "N"), [], [foreign], BOSS) == MembersChange()
    assert members(made, "N") == []
    assert user(other, 1).group is None


def test_who_may_not_edit_users_changes_no_members(made: models.Agency) -> None:
    models.Role.objects.filter(agency=made, name="Inspector").update(permissions=["users.view", "groups.manage"])
    for wanted in ((3,), (3, 4), ()):
        with pytest.raises(NotPermitted):
            join(made, "N", *wanted, context=SMALL)
    assert members(made, "N") == []


@pytest.mark.parametrize("wanted", [(1,), (3, 1), (1, 3, 4)])
def test_a_user_above_the_own_role_stops_all_of_it(made: models.Agency, wanted: tuple[int, ...]) -> None:
    change = join(made, "N", *wanted, context=SMALL)
    assert [(external_id, problem.code) for external_id, problem in change.problems] == [("E-1", "above-your-role")]
    assert (change.is_held, members(made, "N")) == (False, [])


@pytest.mark.parametrize("wanted", [(3,), (3, 4)])
def test_nobody_joins_a_group_that_has_ended(made: models.Agency, wanted: tuple[int, ...]) -> None:
    groups.change(find(made, "N"), "N", "North", False, BOSS)
    change = join(made, "N", *wanted)
    assert {problem.code for _, problem in change.problems} == {"inactive-group"}
    assert members(made, "N") == []


def limit_updates(made: models.Agency, users: int) -> None:
    made.limits = [
        {"kind": "updates", "users": users, "percent": 0, "most": None, "off": False, "role": None, "group": None}
    ]
    made.save()


def test_many_are_held_until_their_number_is_confirmed(made: models.Agency) -> None:
    limit_updates(made, 2)
    change = join(made, "N", 3, 4, 5)
    assert change.is_held
    record = change.record
    assert record is not None
    assert (list(change.problems), members(made, "N")) == ([], [])
    queue.submit_bulk_apply(made, record.number, context=BOSS, confirmed={"updates": 3})
    run_next_import("tests", lambda: datetime.now(UTC))
    record.refresh_from_db()
    assert (record.ended, members(made, "N")) == ("applied-as", ["E-3", "E-4", "E-5"])


def test_a_user_who_has_left_for_another_group_meanwhile_stays_there(made: models.Agency) -> None:
    join(made, "N", 3, 4, 5)
    limit_updates(made, 1)
    record = leave(made, "N", 3, 4, 5).record
    assert record is not None
    join(made, "S", 5)
    limit_updates(made, 9)
    queue.submit_bulk_apply(made, record.number, context=BOSS, confirmed={"updates": 3})
    run_next_import("tests", lambda: datetime.now(UTC))
    assert (members(made, "N"), members(made, "S")) == (
        ["E-3", "E-4"],
        ["E-5"],
    )  # the plan has changed: nothing is written
    leave(made, "N", 3, 4, 5)
    assert (members(made, "N"), members(made, "S")) == ([], ["E-5"])


def test_a_group_is_deleted_after_its_members_have_left(made: models.Agency) -> None:
    join(made, "N", 3, 4)
    change = memberships.delete_group(find(made, "N"), BOSS)
    assert (change.record is not None, user(made, 3).group) == (True, None)
    assert not models.Group.objects.filter(agency=made, external_id="N").exists()
    assert memberships.delete_group(find(made, "S"), BOSS) == MembersChange()
    assert not models.Group.objects.filter(agency=made).filter(external_id="S").exists()


def test_a_group_stays_while_the_leave_of_its_members_is_held(made: models.Agency) -> None:
    join(made, "N", 3, 4, 5)
    limit_updates(made, 1)
    assert memberships.delete_group(find(made, "N"), BOSS).is_held
    assert members(made, "N") == ["E-3", "E-4", "E-5"]


def test_a_group_that_a_user_joins_meanwhile_is_not_deleted(
    made: models.Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(made, "N", 3)
    monkeypatch.setattr(memberships, "list_member_ids", lambda _group: [])
    with pytest.raises(InUse):
        memberships.delete_group(find(made, "N"), BOSS)


def test_more_users_than_a_query_takes_are_found(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "_FEW", 1)
    join(made, "N", 3, 4)
    memberships.change_members(find(made, "N"), ids(made, 3, 5), ids(made, 4, 6), BOSS)
    assert members(made, "N") == ["E-3", "E-5"]


def test_an_edit_between_reading_and_writing_is_tried_again(
    made: models.Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, reads = editing.build_row, []

    def moved(one: models.User) -> dict[str, str]:
        reads.append(one)
        if len(reads) == 1:
            return {**usual(one), "EVIDENCE_GROUP_EXT_ID": "S"}
        return usual(one)

    monkeypatch.setattr(editing, "build_row", moved)
    join(made, "N", 3)
    assert members(made, "N") == ["E-3"]
    reads.clear()
    assert leave(made, "N", 3) == MembersChange()  # it was in South by then
    assert members(made, "N") == ["E-3"]


def test_edits_at_every_try_end_it_with_nothing_changed(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = editing.build_row
    calls: list[models.User] = []

    def always_moved(one: models.User) -> dict[str, str]:
        calls.append(one)
        return {**usual(one), "EVIDENCE_GROUP_EXT_ID": "S"} if len(calls) % 2 else usual(one)

    monkeypatch.setattr(editing, "build_row", always_moved)
    with pytest.raises(memberships.ChangedMeanwhile):
        join(made, "N", 3)
    assert members(made, "N") == []


def test_a_group_whose_members_are_wrong_is_not_added(made: models.Agency) -> None:
    with pytest.raises(UnknownMembers):
        memberships.add_group(made, "W", "West", [0], BOSS)
    limit_updates(made, 0)
    _, held = memberships.add_group(made, "W", "West", ids(made, 3, 4), BOSS)
    assert held.record is not None
    held.record.refresh_from_db()
    assert (held.is_held, held.record.ended) == (True, "discarded")
    assert not models.Group.objects.filter(external_id="W").exists()
    group, done = memberships.add_group(made, "W", "West", [], BOSS)
    assert (group.name, done) == ("West", MembersChange())


def test_it_waits_for_another_import_only_for_a_while(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "PATIENCE", 0.3)
    monkeypatch.setattr(locks, "_try_flock", lambda _file: False)
    monkeypatch.setattr(locks, "_advisory_lock", locks._file_lock)
    with pytest.raises(ImportFailed):
        join(made, "N", 3, 4)
    assert members(made, "N") == []


def test_patience_ends_only_while_it_waits() -> None:
    progress = memberships.make_impatient(-1)
    progress("writing", 1, 2)
    with pytest.raises(cancellation.ImportCancelled):
        progress("waiting for the database")
