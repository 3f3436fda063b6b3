"""The limits that an agency sets (S4): by its file, on its pages, and as a plan reads them."""

import json
from typing import Any

import pytest

from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, agency_settings, limits
from musterbook.directory.agency.agency_file import InvalidAgencyFile
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from tests.directory.cast import NOW, agency, allow

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(NOW, "", "cli")
HEAD = 'slug = "springfield"\nname = "Springfield"\n'


@pytest.fixture
def made() -> models.Agency:
    return agency(limits=[])


def apply(text: str) -> None:
    agencies.apply_file(agency_file.read_agency_file((HEAD + text).encode()), CONTEXT)


def read() -> list[Limit]:
    """The limits that the agency sets."""
    return list(limits.read_own_limits(models.Agency.objects.get()))


def list_changes() -> list[dict[str, Any]]:
    found = models.Event.objects.filter(kind="agency.changed").order_by("id")
    return [json.loads(changes) for changes in found.values_list("changes", flat=True)]


def test_an_agency_that_sets_none_has_the_defaults(made: models.Agency) -> None:
    assert set(limits.read_limits(made)) == set(DEFAULT_LIMITS)


def test_a_limit_that_the_agency_sets_replaces_the_default_of_its_kind(made: models.Agency) -> None:
    apply('[[limits]]\nkind = "privileges"\nusers = 1\n[[limits]]\nkind = "cleared"\noff = true')
    assert read() == [Limit(LimitKind.PRIVILEGES, 1), Limit(LimitKind.CLEARED, off=True)]
    found = limits.read_limits(models.Agency.objects.get())
    assert len(found) == len(LimitKind) and set(read()) < set(found)
    assert list_changes() == [{"limit privileges": ["", "users 1, percent 0"], "limit cleared": ["", "off"]}]


def test_the_limit_of_deactivations_has_two_places_in_a_file(made: models.Agency) -> None:
    """`deactivation_limit` has the default of each number that it leaves out; a table of `limits` has not."""
    apply("deactivation_limit = { users = 7 }")
    assert read() == [Limit(LimitKind.DEACTIVATIONS, 7, 10, 500)]
    apply('[[limits]]\nkind = "privileges"\nusers = 1')
    assert [limit.kind for limit in read()] == ["deactivations", "privileges"]
    apply('[[limits]]\nkind = "deactivations"\npercent = 2.5')
    assert read() == [Limit(LimitKind.DEACTIVATIONS, 0, 2.5)]
    apply("limits = []")
    assert [limit.kind for limit in read()] == ["deactivations"]


def test_the_same_file_again_changes_nothing(made: models.Agency) -> None:
    text = 'deactivation_limit = { users = 7 }\nsecond_approver = true\n[[limits]]\nkind = "updates"\nusers = 9\n'
    apply(text)
    apply(text)
    assert len(list_changes()) == 1 and models.Agency.objects.get().second_approver


def test_limits_of_roles_and_groups_follow_their_names(made: models.Agency) -> None:
    apply(
        '[[limits]]\nkind = "deactivations"\nrole = " officer"\nusers = 0\n'
        '[[limits]]\nkind = "cleared"\ngroup = "PATROL"\nusers = 1\nmost = 3\n'
    )
    models.Role.objects.filter(name="Officer").update(name="Patrol officer")
    assert [(limit.role, limit.group) for limit in read()] == [("Patrol officer", ""), ("", "PATROL")]
    assert list_changes()[0]["limit cleared of group PATROL"] == ["", "users 1, percent 0, most 3"]
    apply("deactivation_limit = { users = 7 }")
    assert len(read()) == 3
    models.Group.objects.all().delete()
    assert len(read()) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[limits]]\nkind = "priviliges"\nusers = 1', "there is no limit of priviliges. Did you mean privileges?"),
        ("[[limits]]\nusers = 1", "[[limits]] number 1 has no kind"),
        ('[[limits]]\nkind = "updates"', "has no number: write users, percent or both, or off = true."),
        ('[[limits]]\nkind = "updates"\nusers = -1', "[[limits]] number 1: users is -1: write 0 or a larger number."),
        ('[[limits]]\nkind = "updates"\npercent = 101', "percent is 101: write a number from 0 to 100."),
        ('[[limits]]\nkind = "updates"\nusers = 1\nrole = "A"\ngroup = "B"', "has a role and a group: keep one of them."),
        ('[[limits]]\nkind = "updates"\nusers = 1\n[[limits]]\nkind = "updates"\nusers = 2', "is the same as an earlier one"),
        ('deactivation_limit = { users = 1 }\n[[limits]]\nkind = "deactivations"\nusers = 2', "keep one of them"),
        ('[[limits]]\nkind = "updates"\nusers = 1\nrole = "Pope"', "there is no role or group “Pope”"),
        ("second_approver = 1", "second_approver is 1. Write true or false."),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_reported(made: models.Agency, text: str, sentence: str) -> None:
    with pytest.raises(InvalidAgencyFile) as wrong:
        apply(text)
    assert sentence in str(wrong.value) and list_changes() == []


def test_numbers_of_a_page_have_the_same_bounds(made: models.Agency) -> None:
    agency_settings.change(made, {"limits": [allow(0, 100, 2**31 - 1)]}, {"limits": []}, CONTEXT)
    for name, bad in (("users", -1), ("percent", 100.5), ("most", True), ("users", "5"), ("percent", float("nan"))):
        with pytest.raises(InvalidValue) as wrong:
            agency_settings.change(made, {"limits": [{**allow(1), name: bad}]}, {"limits": []}, CONTEXT)
        assert wrong.value.field == f"deactivations_{name}"


def test_a_limit_of_a_role_is_added_replaced_and_removed(made: models.Agency) -> None:
    role = models.Role.objects.get(name="Officer").pk
    for users in (1, 2):
        agency_settings.add_limit(made, {**allow(users, kind="updates"), "role": role}, CONTEXT)
    assert read() == [Limit(LimitKind.UPDATES, 2, role="Officer")]
    agency_settings.change(made, {"limits": [*made.limits, allow(3)]}, {"limits": made.limits}, CONTEXT)
    assert agency_settings.remove_limit(made, "limit updates of role Officer", CONTEXT)
    assert not agency_settings.remove_limit(made, "limit updates of role Officer", CONTEXT)
    assert not agency_settings.remove_limit(made, "deactivation_limit", CONTEXT)
    assert read() == [Limit(LimitKind.DEACTIVATIONS, 3)]


def test_roles_and_groups_are_offered_by_name(made: models.Agency) -> None:
    labels = [label for _, label in limits.list_names(made)]
    assert labels == ["Role Admin", "Role Chief", "Role Officer", "Group Patrol (PATROL)"]


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit(LimitKind.DEACTIVATIONS, 5, 10, 500), "the larger of 5 users and 10% of the active users, at most 500"),
        (Limit(LimitKind.PRIVILEGES, 1, 0), "1 user"),
        (Limit(LimitKind.CLEARED, 0, 2.5, 1000), "2.5% of the active users, at most 1,000"),
        (Limit(LimitKind.UPDATES, off=True), "no limit"),
    ],
)
def test_pages_explain_a_limit_in_words(limit: Limit, text: str) -> None:
    assert limits.explain_limit(limit) == text
