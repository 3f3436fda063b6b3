"""What an operator may not do by a file (M10), and the administrator whom an agency may not lose (M11)."""

import pytest

from tests.core.cast import (
    ADA,
    ADA_ACTS,
    ADMIN,
    BEN,
    BEN_ACTS,
    CY,
    DEE,
    agency,
    ids,
    locate_problems,
    messages,
    outcomes,
    plan_rows,
    row,
    synchronize_rows,
    user,
)  # fmt: skip


def test_nobody_assigns_a_role_with_a_permission_that_they_lack() -> None:
    made = plan_rows(row(CY, ROLE="Admin"), row("E", ROLE="Admin"), row(DEE, ROLE="Chief"), by=BEN_ACTS)
    assert outcomes(made) == ["errored", "errored", "updated"]
    assert messages(made.problems)[0] == (
        "The row assigns a role with permissions that yours does not have. Ask a user whose role has these permissions."
    )


def test_nobody_changes_a_user_who_has_a_permission_that_they_lack() -> None:
    made = plan_rows(row(ADA, FIRST_NAME="Adah"), by=BEN_ACTS)
    assert locate_problems(made.problems) == [(2, "above-your-role", "ROLE")]


def test_to_demote_a_user_above_is_one_problem() -> None:
    assert locate_problems(plan_rows(row(ADA, ROLE="Officer"), by=BEN_ACTS).problems) == [
        (2, "above-your-role", "ROLE")
    ]


def test_a_row_that_only_repeats_a_user_above_is_no_error() -> None:
    assert outcomes(plan_rows(row(ADA), row(ADA.lower(), EMAIL="x@a.example"), by=BEN_ACTS)) == ["unchanged", "added"]
    assert outcomes(plan_rows(row(ADA, STATUS="active"), by=BEN_ACTS)) == ["unchanged"]


@pytest.mark.parametrize("supervisor", ["cy@a.example", "ben@a.example"])
def test_nobody_changes_the_supervisor_of_a_user_above(supervisor: str) -> None:
    made = plan_rows(row(ADA, SUPERVISOR_EMAIL=supervisor), of=agency(B={"supervisor_id": None}), by=BEN_ACTS)
    assert outcomes(made) == ["errored"] and locate_problems(made.problems) == [(2, "above-your-role", "ROLE")]


def test_nobody_clears_the_supervisor_of_a_user_above() -> None:
    of = agency(A={"supervisor_id": 3}, B={"supervisor_id": None}, C={"supervisor_id": None})
    assert outcomes(plan_rows(row(ADA), of=of, by=BEN_ACTS)) == ["errored"]


def test_a_supervisor_who_is_nobody_is_a_note_for_a_user_above_too() -> None:
    made = plan_rows(row(ADA, SUPERVISOR_EMAIL="nobody@a.example"), by=BEN_ACTS)
    assert outcomes(made) == ["unchanged"] and locate_problems(made.notes) == [
        (2, "unknown-supervisor", "SUPERVISOR_EMAIL")
    ]


def test_nobody_deactivates_or_demotes_themselves() -> None:
    made = plan_rows(row(BEN, STATUS="Inactive", ROLE="Officer"), by=BEN_ACTS)
    assert locate_problems(made.problems) == [(2, "own-account", "ROLE"), (2, "own-account", "STATUS")]
    assert messages(made.problems)[1] == "This would deactivate your own account. Ask another administrator to do it."


def test_an_operator_may_change_their_own_name() -> None:
    assert outcomes(plan_rows(row(BEN, FIRST_NAME="Benny"), by=BEN_ACTS)) == ["updated"]


def test_the_command_line_acts_as_the_system_and_is_bound_by_neither() -> None:
    made = plan_rows(row(BEN, ROLE="Admin"), row(CY, ROLE="Admin"), row(DEE, STATUS="Inactive"))
    assert outcomes(made) == ["updated"] * 3


@pytest.mark.parametrize("cells", [{"STATUS": "Inactive"}, {"ROLE": "Chief"}])
def test_a_row_may_not_take_the_last_administrator_from_an_agency(cells: dict[str, str]) -> None:
    made = plan_rows(row(ADA, **cells))
    assert messages(made.problems) == [
        (
            "The row would leave the agency without an active administrator."
            " First, make another user an administrator, and let them register."
        )
    ]


def test_of_two_administrators_one_may_go_but_not_both() -> None:
    of = agency(B={"role_id": 1})
    off = [row(ADA, STATUS="Inactive"), row(BEN, ROLE="Admin", STATUS="Inactive")]
    assert outcomes(plan_rows(off[0], of=of)) == ["updated"]
    assert outcomes(plan_rows(*off, of=of)) == ["errored", "errored"]


def test_another_may_become_the_administrator_in_the_same_file_if_they_have_registered() -> None:
    assert outcomes(plan_rows(row(ADA, ROLE="Chief"), row(BEN, ROLE="Admin"))) == ["updated", "updated"]
    assert outcomes(plan_rows(row(ADA, ROLE="Chief"), row(CY, ROLE="Admin"))) == ["errored", "updated"]


def test_what_depends_on_the_row_of_the_last_administrator_fails_with_it() -> None:
    made = plan_rows(row(ADA, STATUS="Inactive", EMAIL="old@a.example"), row(CY, EMAIL="ada@a.example"))
    assert locate_problems(made.problems) == [(2, "last-administrator", "STATUS"), (3, "taken", "EMAIL")]


def test_an_agency_without_an_administrator_who_has_registered_has_none_to_lose() -> None:
    assert outcomes(plan_rows(row(ADA, ROLE="Chief"), of=agency(A={"registered": False}))) == ["updated"]


def test_the_last_administrator_is_protected_if_a_file_leaves_them_out() -> None:
    made = synchronize_rows(*(row(who) for who in (BEN, CY, DEE)))
    assert made.leavers.protected.select("external_id", "code").rows() == [("A", "last-administrator")]
    assert made.held is None and ids(made.leavers.deactivated) == []


def test_administrators_who_leave_stay_if_the_file_demotes_the_only_one_who_would_remain() -> None:
    of = agency(user(5, "Eve", ADMIN, None, registered=True))
    made = synchronize_rows(row(ADA, ROLE="Chief"), row(BEN), row(CY), row(DEE), of=of)
    assert outcomes(made)[0] == "updated" and ids(made.leavers.protected) == ["E"]


def test_an_administrator_may_leave_while_another_remains() -> None:
    of = agency(user(5, "Eve", ADMIN, None, registered=True))
    made = synchronize_rows(*(row(who) for who in (ADA, BEN, CY, DEE)), of=of, by=ADA_ACTS)
    assert ids(made.leavers.deactivated) == ["E"]
