"""Roles, ranks and groups, one by one: who may change what, what a name may be, what cannot be deleted."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import groups, ranks, roles
from musterbook.directory.agency.roles import RoleInput
from musterbook.directory.agency.vocabularies import InUse, InvalidValue, NotAllowed
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, people, person, run, user

pytestmark = pytest.mark.django_db

CONTEXT = AuditContext(NOW, "E-1", "page")


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1), a chief (5) whose role may manage roles too, and an officer (2)."""
    made = agency()
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=["roles.manage", "users.view"])
    apply_rows(made, [person(1, ROLE="Admin"), person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL")])
    apply_rows(made, [person(5, ROLE="Chief")])
    return made


def by(made: models.Agency, number: int = 1) -> Operator:
    return snapshot_queries.read_operator(made, f"E-{number}")


def role(made: models.Agency, name: str) -> models.Role:
    return models.Role.objects.get(agency=made, name=name)


def make_input(name: str = "Clerk", *permissions: str, second_factor: bool = False) -> RoleInput:
    return RoleInput(name, frozenset(permissions), second_factor)


def changes(made: models.Agency) -> list[dict[str, Any]]:
    """What each event tells that says that the agency was changed."""
    events = models.Event.objects.filter(agency=made, kind="agency.changed").order_by("id")
    return [json.loads(changes) for changes in events.values_list("changes", flat=True)]


def test_a_role_is_added_changed_and_deleted_each_with_one_event(made: models.Agency) -> None:
    clerk = roles.add(made, make_input("Clerk", "users.view", second_factor=True), CONTEXT, by(made))
    roles.change(clerk, make_input("Office", "users.export"), CONTEXT, by(made))
    roles.delete(clerk, CONTEXT, by(made))
    assert changes(made) == [
        {"role clerk": ["", "Clerk: users.view; second factor"]},
        {"role clerk": ["Clerk: users.view; second factor", ""], "role office": ["", "Office: users.export"]},
        {"role office": ["Office: users.export", ""]},
    ]


def test_saving_unchanged_values_records_no_event(made: models.Agency) -> None:
    roles.change(role(made, "Officer"), make_input("Officer"), CONTEXT, by(made))
    ranks.change(models.Rank.objects.get(agency=made, name="Captain"), "Captain", "Cap", CONTEXT)
    assert changes(made) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda made: roles.add(made, make_input("Clerk", "users.edit"), CONTEXT, by(made, 5)),
        lambda made: roles.change(role(made, "Officer"), make_input("Officer", "users.edit"), CONTEXT, by(made, 5)),
        lambda made: roles.change(role(made, "Admin"), make_input("Admin", second_factor=True), CONTEXT, by(made, 5)),
        lambda made: roles.change(role(made, "Chief"), make_input("Chief", "roles.manage"), CONTEXT, by(made, 5)),
        lambda made: roles.delete(role(made, "Admin"), CONTEXT, by(made)),
    ],
    ids=["give", "give to another", "of Admin", "take from oneself", "delete Admin"],
)
def test_nobody_gives_or_takes_what_they_lack_or_their_own(
    made: models.Agency, act: Callable[[models.Agency], None]
) -> None:
    with pytest.raises(NotAllowed):
        act(made)
    assert changes(made) == []


def test_a_role_with_more_than_one_has_is_not_deleted(made: models.Agency) -> None:
    strong = roles.add(made, make_input("Strong", "audit.view"), CONTEXT, by(made))
    with pytest.raises(NotAllowed, match=r"View the audit trail"):
        roles.delete(strong, CONTEXT, by(made, 5))


def test_admin_keeps_its_name_and_every_permission_for_any_input(made: models.Agency) -> None:
    roles.change(role(made, "Admin"), make_input("Nobody", second_factor=True), CONTEXT, by(made))
    now = role(made, "Admin")
    assert now.administrator and now.second_factor
    assert changes(made) == [{"role admin": ["Admin: every permission", "Admin: every permission; second factor"]}]


ENTRIES: dict[str, Callable[[models.Agency], Any]] = {
    "role": lambda made: roles.delete(role(made, "Officer"), CONTEXT, by(made)),
    "rank": lambda made: ranks.delete(models.Rank.objects.get(agency=made, name="Captain"), CONTEXT),
    "group": lambda made: groups.delete(models.Group.objects.get(agency=made), CONTEXT),
}


@pytest.mark.parametrize("noun", ENTRIES)
def test_what_a_user_has_is_not_deleted_though_the_user_be_inactive(made: models.Agency, noun: str) -> None:
    models.User.objects.filter(pk=user(made, 2).pk).update(active=False)
    with pytest.raises(InUse) as kept:
        ENTRIES[noun](made)
    assert kept.value.users == 1
    assert changes(made) == []


@pytest.mark.parametrize("noun", ENTRIES)
def test_what_nobody_has_any_more_is_deleted(made: models.Agency, noun: str) -> None:
    models.User.objects.filter(agency=made, pk=user(made, 2).pk).update(role=role(made, "Chief"), rank=None, group=None)
    ENTRIES[noun](made)
    assert len(changes(made)) == 1


@pytest.mark.parametrize(
    ("act", "field"),
    [
        (lambda made: roles.add(made, make_input("  "), CONTEXT, by(made)), "name"),
        (lambda made: roles.add(made, make_input("OFFICER"), CONTEXT, by(made)), "name"),
        (lambda made: roles.add(made, make_input("x" * 256), CONTEXT, by(made)), "name"),
        (lambda made: roles.add(made, make_input("a\u202eb"), CONTEXT, by(made)), "name"),
        (lambda made: ranks.add(made, "captain", "", CONTEXT), "name"),
        (lambda made: ranks.add(made, "CAP", "", CONTEXT), "name"),
        (lambda made: ranks.add(made, "Major", "sergeant", CONTEXT), "abbreviation"),
        (lambda made: ranks.add(made, "Major", "Captain", CONTEXT), "abbreviation"),
        (lambda made: groups.add(made, "PATROL", "Another", CONTEXT), "external_id"),
        (lambda made: groups.add(made, "", "Another", CONTEXT), "external_id"),
    ],
)
def test_an_invalid_name_is_reported_at_its_field(
    made: models.Agency, act: Callable[[models.Agency], Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as unfit:
        act(made)
    assert unfit.value.field == field and str(unfit.value).endswith(".")
    assert changes(made) == []


def order(made: models.Agency) -> list[str]:
    return list(models.Rank.objects.filter(agency=made).order_by("position").values_list("name", flat=True))


def test_ranks_change_places(made: models.Agency) -> None:
    major = ranks.add(made, "Major", "", CONTEXT)
    assert order(made) == ["Sergeant", "Captain", "Major"]
    ranks.move(major, "up", CONTEXT)
    ranks.move(major, "up", CONTEXT)
    assert order(made) == ["Major", "Sergeant", "Captain"]
    told_so_far = len(changes(made))
    ranks.move(major, "up", CONTEXT)
    assert len(changes(made)) == told_so_far
    ranks.move(major, "down", CONTEXT)
    assert order(made) == ["Sergeant", "Major", "Captain"]


def test_the_first_rank_stands_first() -> None:
    made = agency()
    models.Rank.objects.filter(agency=made).delete()
    assert ranks.add(made, "Chief", "", CONTEXT).position == 0


def test_a_group_is_added_renamed_and_ended(made: models.Agency) -> None:
    dogs = groups.add(made, "DOGS", "", CONTEXT)
    assert dogs.name == "DOGS"
    groups.change(dogs, "K9", "Dogs", False, CONTEXT)
    assert changes(made)[-1] == {"group DOGS": ["DOGS (active)", ""], "group K9": ["", "Dogs (not active)"]}


def test_a_monitor_is_added_and_removed_once_with_one_event_each(made: models.Agency) -> None:
    patrol, watcher = models.Group.objects.get(agency=made), user(made, 1)
    assert [groups.add_monitor(patrol, watcher, CONTEXT) for _ in range(2)] == [True, False]
    assert [groups.remove_monitor(patrol, watcher, CONTEXT) for _ in range(2)] == [True, False]
    events = models.Event.objects.filter(agency=made, kind__startswith="group.monitor").order_by("id")
    assert list(events.values_list("kind", "subject_external_id", "changes")) == [
        ("group.monitor-added", "E-1", '{"group":["","PATROL"]}'),
        ("group.monitor-removed", "E-1", '{"group":["PATROL",""]}'),
    ]


def test_a_group_is_deleted_with_its_monitors(made: models.Agency) -> None:
    dogs = groups.add(made, "DOGS", "Dogs", CONTEXT)
    groups.add_monitor(dogs, user(made, 1), CONTEXT)
    groups.delete(dogs, CONTEXT)
    assert not models.Monitor.objects.exists()


def test_a_plan_that_names_what_was_deleted_meanwhile_is_not_applied_blindly(made: models.Agency) -> None:
    waiting = run(made, [person(7, RANK="Sergeant")], Options(preview=True))
    ranks.delete(models.Rank.objects.get(agency=made, name="Sergeant"), CONTEXT)
    done = file_import.apply_previewed(made, waiting.record.number, context=AuditContext(NOW, "", "cli"))
    assert done.record.state == "refused"
    assert not models.User.objects.filter(agency=made, external_id="E-7").exists()


def test_many_people_may_be_in_a_group(made: models.Agency) -> None:
    apply_rows(made, people(*range(10, 15), EVIDENCE_GROUP_EXT_ID="PATROL"))
    with pytest.raises(InUse) as kept:
        ENTRIES["group"](made)
    assert kept.value.users == 6
