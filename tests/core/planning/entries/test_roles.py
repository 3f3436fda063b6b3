"""Files of roles: permissions, second factors, and what an operator may not give or take away."""

import pytest

from musterbook.core.domain.policy import Operator
from tests.core.planning.entries.entry_cast import ALL, CHIEF, agency, found, outcomes, plan, shown


def test_a_file_adds_and_changes_roles() -> None:
    made = plan("roles", "Clerk,users.view; users.edit,yes", "officer,users.view,", "Admin,all,Yes", "CHIEF,,no")
    assert found(made) == []
    assert shown(made) == [
        (2, "Clerk", "added",
         '{"NAME": ["", "Clerk"], "PERMISSIONS": ["", "users.edit; users.view"], "SECOND_FACTOR": ["", "Yes"]}'),
        (3, "officer", "updated", '{"NAME": ["Officer", "officer"], "PERMISSIONS": ["", "users.view"]}'),
        (4, "Admin", "updated", '{"SECOND_FACTOR": ["No", "Yes"]}'),
        (5, "CHIEF", "updated",
         '{"NAME": ["Chief", "CHIEF"], "PERMISSIONS": ["groups.manage; roles.manage; users.edit", ""]}'),
    ]  # fmt: skip


def test_users_who_gain_or_lose_a_permission_are_counted() -> None:
    made = plan("roles", "Officer,users.view,", "Chief,,", head="NAME,PERMISSIONS,X_NOTE")
    assert (made.counts["privileges"], made.counts["losses"]) == (4, 0)
    made = plan("roles", "Admin,,Yes", "Chief,users.view,")
    assert (made.counts["privileges"], made.counts["losses"]) == (0, 0)


def test_a_column_that_the_file_does_not_have_stays() -> None:
    assert outcomes(plan("roles", "Chief", "Admin", head="NAME")) == ["unchanged", "unchanged"]
    assert outcomes(plan("roles", "Chief,Yes", head="NAME,SECOND_FACTOR")) == ["updated"]


@pytest.mark.parametrize(("row", "head"), [("Clerk", "NAME"), ("Clerk,,", "NAME,PERMISSIONS,SECOND_FACTOR")])
def test_a_new_role_has_no_permission_and_asks_for_no_second_factor_unless_the_file_says_so(
    row: str, head: str
) -> None:
    made = plan("roles", row, head=head)
    assert made.entries is not None
    assert [one.after for one in made.entries.changes] == [{"name": "Clerk", "permissions": [], "second_factor": False}]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("Clerk,users.veiw,", (2, "unknown-permission", "PERMISSIONS")),
        ("Clerk,,Perhaps", (2, "invalid-choice", "SECOND_FACTOR")),
        ("Admin,users.view,", (2, "fixed-role", "PERMISSIONS")),
        (",users.view,", (2, "required", "NAME")),
    ],
)
def test_a_row_with_a_problem_changes_nothing(row: str, problem: tuple[int, str, str]) -> None:
    made = plan("roles", row)
    assert found(made) == [problem]
    assert outcomes(made) == ["errored"]


def test_a_role_in_two_rows_is_a_problem_of_both() -> None:
    made = plan("roles", "Clerk,,", "CLERK,users.view,")
    assert found(made) == [(2, "duplicate-in-file", "NAME"), (3, "duplicate-in-file", "NAME")]


def test_nobody_gives_takes_or_keeps_a_permission_that_they_lack() -> None:
    made = plan("roles", "Clerk,users.view,", "Admin,,Yes", "Officer,users.edit,", "Admins,,", by=CHIEF)
    assert found(made) == [(2, "foreign-permission", "PERMISSIONS"), (3, "foreign-permission", "PERMISSIONS")]
    assert outcomes(made) == ["errored", "errored", "updated", "added"]


def test_nobody_takes_a_permission_from_their_own_role() -> None:
    made = plan("roles", "Chief,roles.manage,", by=CHIEF, state=agency(own_role=2))
    assert found(made) == [(2, "own-role", "PERMISSIONS")]
    everything = Operator(1, "A", ALL)
    assert outcomes(plan("roles", "Chief,roles.manage,", by=everything, state=agency(own_role=1))) == ["updated"]
    assert outcomes(plan("roles", "Chief,,Yes", by=CHIEF, head="NAME,X_P,SECOND_FACTOR")) == ["updated"]


@pytest.mark.parametrize("layout", ["roles", "ranks"])
def test_a_file_of_groups_is_no_file_of_roles_or_ranks(layout: str) -> None:
    refused = plan(layout, "N,North,Active", head="External ID,Name,Status")
    assert [problem.code for problem in refused.refusals] == ["other-layout"]
    assert "EXTERNAL_ID, NAME" in refused.refusals[0].message
    assert refused.entries and not refused.entries.changes
    wanted = {"roles": "PERMISSIONS", "ranks": "ORDER"}[layout]
    assert plan(layout, "N,North,", head=f"EXTERNAL_ID,NAME,{wanted}").refusals == ()
    assert plan("groups", "NEW,North", head="EXTERNAL_ID,NAME").refusals == ()
