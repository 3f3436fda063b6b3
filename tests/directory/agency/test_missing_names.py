"""Roles, ranks and groups that a file names and the agency does not have: listed with their rows, created in one act."""

import json

import pytest

from musterbook.directory import models
from musterbook.directory.agency import missing_names
from musterbook.directory.agency import ranks as rank_acts
from musterbook.directory.agency.missing_names import Names
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import NotPermitted
from tests.directory.cast import NOW, agency, apply_rows, person

pytestmark = pytest.mark.django_db

MANAGE = ["roles.manage", "ranks.manage", "groups.manage"]


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1) and a chief (5) who may manage roles, ranks and groups."""
    made = agency()
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=MANAGE)
    apply_rows(made, [person(1, ROLE="Admin"), person(5, ROLE="Chief")])
    return made


def context(number: int = 5) -> AuditContext:
    return AuditContext(NOW, f"E-{number}", "page")


def allow(made: models.Agency, *permissions: str) -> None:
    """Let the chief have these permissions."""
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=[*permissions])


def count_entries(made: models.Agency) -> tuple[int, int, int]:
    roles, ranks, groups = (
        kind.objects.filter(agency=made).count() for kind in (models.Role, models.Rank, models.Group)
    )
    return roles, ranks, groups


def test_roles_ranks_and_groups_are_created_together_and_are_one_event(made: models.Agency) -> None:
    names = Names(["Detective"], ["Chief of Police", "Corporal"], ["K9"])
    assert missing_names.create(made, context(), names) == names
    event = models.Event.objects.filter(agency=made, kind="agency.changed").get()
    assert (event.actor, json.loads(event.changes)) == (
        "E-5",
        {
            "role detective": ["", "Detective: no permission"],
            "rank chief of police": ["", "3. Chief of Police"],
            "rank corporal": ["", "4. Corporal"],
            "group K9": ["", "K9 (active)"],
        },
    )


def test_what_exists_is_not_created_again_in_any_case_and_each_name_once(made: models.Agency) -> None:
    names = Names(
        ["OFFICER", "Clerk", "clerk"], ["sergeant", "CAP", "Corporal", "CORPORAL"], ["PATROL", "patrol", "patrol"]
    )
    new = missing_names.create(made, context(), names)
    assert (list(new.roles), list(new.ranks), list(new.groups), len(new)) == (["Clerk"], ["Corporal"], ["patrol"], 3)
    assert len(missing_names.create(made, context(), names)) == 0
    assert models.Event.objects.filter(agency=made, kind="agency.changed").count() == 1


@pytest.mark.parametrize(
    ("permission", "names"),
    [
        ("roles.manage", Names(roles=["Clerk"])),
        ("ranks.manage", Names(ranks=["Corporal"])),
        ("groups.manage", Names(groups=["K9"])),
    ],
)
def test_each_kind_needs_its_own_permission(made: models.Agency, permission: str, names: Names) -> None:
    allow(made, *(name for name in MANAGE if name != permission))
    before = count_entries(made)
    with pytest.raises(NotPermitted, match=permission):
        missing_names.create(made, context(), names)
    assert count_entries(made) == before
    allow(made, permission)
    assert len(missing_names.create(made, context(), names)) == 1


def test_one_kind_without_permission_stops_the_others_too(made: models.Agency) -> None:
    allow(made, "ranks.manage")
    before = count_entries(made)
    with pytest.raises(NotPermitted, match=r"roles\.manage, groups\.manage"):
        missing_names.create(made, context(), Names(["Clerk"], ["Corporal"], ["K9"]))
    assert count_entries(made) == before


def test_a_new_role_gives_its_users_nothing(made: models.Agency) -> None:
    missing_names.create(made, context(), Names(["Clerk"]))
    role = models.Role.objects.get(agency=made, name="Clerk")
    assert (role.permissions, role.administrator) == ([], False)


def test_a_name_that_cannot_be_used_leaves_everything_as_it_was(made: models.Agency) -> None:
    before = count_entries(made)
    with pytest.raises(InvalidValue):
        missing_names.create(made, context(), Names(["Clerk"], ["Corporal"], ["a\nb"]))
    with pytest.raises(missing_names.TooMany):
        missing_names.create(made, context(), Names(groups=[f"G{number}" for number in range(missing_names.MOST + 1)]))
    assert count_entries(made) == before


def test_names_go_to_the_agency_of_the_act_alone(made: models.Agency) -> None:
    other = agency("shelbyville")
    before = count_entries(other)
    missing_names.create(made, AuditContext(NOW, "", "cli"), Names(["Clerk"], ["Corporal"], ["K9"]))
    assert count_entries(other) == before
    assert [rank.name for rank, _ in rank_acts.list_ranks(made)] == ["Sergeant", "Captain", "Corporal"]
