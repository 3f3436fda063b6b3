"""Synchronize (S1–S6): who becomes Inactive, whom a file mentions, who is protected, and what is held or refused."""

from dataclasses import replace
from typing import Any

import pytest

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Limit, LimitKind, Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan
from tests.core.cast import (
    ADA,
    BEN,
    BEN_ACTS,
    CY,
    DEE,
    OFFICER,
    agency,
    codes,
    ids,
    make_table,
    outcomes,
    plan_rows,
    row,
    synchronize_rows,
    user,
)  # fmt: skip

ALL = [row(who) for who in (ADA, BEN, CY, DEE)]
CROWD = [user(100 + n, f"Zoe{n}", OFFICER, None, external_id=f"Z{n:02}") for n in range(40)]


def find_hold(made: Plan) -> str:
    return str(made.held["code"]) if made.held else ""


def leave(users: int) -> dict[str, Any]:
    """The option with which so many users may lose access."""
    return {"limits": (Limit(LimitKind.DEACTIVATIONS, users),)}


def test_an_active_user_that_the_file_does_not_mention_becomes_inactive() -> None:
    made = synchronize_rows(*ALL[:3], row("E"))
    assert ids(made.leavers.deactivated) == [DEE]
    assert outcomes(made) == ["unchanged", "unchanged", "unchanged", "added"]


def test_an_update_deactivates_nobody() -> None:
    assert plan_rows(ALL[0]).leavers.deactivated.is_empty()


def test_users_who_are_inactive_already_are_not_touched() -> None:
    made = synchronize_rows(*ALL[:3], of=agency(D={"active": False}))
    assert made.leavers.deactivated.is_empty() and made.leavers.protected.is_empty()


@pytest.mark.parametrize("column", ["EMAIL", "USERNAME", "BADGE_NUMBER"])
def test_a_person_with_a_typo_in_their_id_is_not_a_missing_person(column: str) -> None:
    cells = {"EMAIL": "x@a.example", "USERNAME": "x", "BADGE_NUMBER": "x"} | {column: row(DEE)[column].upper()}
    made = synchronize_rows(*ALL[:3], row("DD", **cells))
    assert outcomes(made)[3] == "errored"
    assert made.leavers.deactivated.is_empty()


def test_a_faulty_row_is_not_a_missing_person() -> None:
    made = synchronize_rows(*ALL[:3], row(DEE, ROLE="Pope"))
    assert outcomes(made)[3] == "errored" and made.leavers.deactivated.is_empty()


def test_rows_that_stand_twice_mention_their_user() -> None:
    assert synchronize_rows(*ALL, ALL[3]).leavers.deactivated.is_empty()


def test_a_sound_row_mentions_nobody_but_its_own_user() -> None:
    made = synchronize_rows(*ALL[:3], row("E", FIRST_NAME="Dee"))
    assert ids(made.leavers.deactivated) == [DEE]


def test_a_row_whose_id_cannot_be_read_and_that_is_nobodys_holds_the_import() -> None:
    assert find_hold(synchronize_rows(*ALL, row("E", EXTERNAL_ID=""))) == "unreadable-rows"


def test_a_row_without_an_id_but_with_a_user_s_address_means_that_user() -> None:
    made = synchronize_rows(*ALL[:3], row(DEE, EXTERNAL_ID=""))
    assert find_hold(made) == "" and made.leavers.deactivated.is_empty()


def test_a_faulty_row_that_is_clearly_a_new_users_holds_nothing() -> None:
    assert find_hold(synchronize_rows(*ALL, row("E", ROLE="Pope"))) == ""


def test_a_row_whose_cells_may_have_shifted_is_not_clearly_a_new_users() -> None:
    table = replace(make_table([*ALL, row("E")]), faults=problems.build_frame([Problem("cell-count", 6)]))
    assert find_hold(plan.make_plan(table, agency(), Policy(Mode.SYNC))) == "unreadable-rows"
    known = replace(make_table(ALL), faults=problems.build_frame([Problem("cell-count", 5)]))
    assert find_hold(plan.make_plan(known, agency(), Policy(Mode.SYNC))) == ""


def test_more_deactivations_than_the_limit_hold_the_import() -> None:
    of = agency(*CROWD)
    made = synchronize_rows(
        *ALL, *(row(f"Z{n:02}", EMAIL=f"zoe{n}@a.example", BADGE_NUMBER=f"{100 + n}00") for n in range(34)), of=of
    )
    assert made.held is not None
    assert made.held == {"code": "deactivation-limit", "deactivations": 6, "active": 44, "limit": 5}


def test_as_many_as_the_limit_are_deactivated_without_confirmation() -> None:
    made = synchronize_rows(ALL[0], **leave(3))
    assert find_hold(made) == "" and made.counts["deactivated"] == 3


def test_a_held_import_goes_through_with_the_exact_number() -> None:
    assert find_hold(synchronize_rows(ALL[0], **leave(0))) == "deactivation-limit"
    assert find_hold(synchronize_rows(ALL[0], **leave(0), confirmed={"deactivations": 3})) == ""


@pytest.mark.parametrize("confirmed", [2, 4])
@pytest.mark.parametrize("users", [0, 5])
def test_a_number_that_has_changed_since_it_was_confirmed_holds_again(confirmed: int, users: int) -> None:
    made = synchronize_rows(ALL[0], **leave(users), confirmed={"deactivations": confirmed})
    assert find_hold(made) == "deactivation-limit"


def test_exempt_users_are_kept_and_reported() -> None:
    made = synchronize_rows(*ALL[:3], of=agency(D={"exempt": True}))
    assert made.leavers.protected.select("external_id", "code").rows() == [("D", "exempt")]


def test_the_operator_and_users_above_their_role_are_kept_and_reported() -> None:
    made = synchronize_rows(*ALL[2:], by=BEN_ACTS)
    assert made.leavers.protected.select("external_id", "code").rows() == [
        ("A", "above-your-role"),
        ("B", "own-account"),
    ]


def test_protected_users_do_not_count_towards_the_limit() -> None:
    assert find_hold(synchronize_rows(*ALL[:3], of=agency(D={"exempt": True}), **leave(0))) == ""


def test_a_file_without_rows_is_refused_in_synchronize_mode() -> None:
    heading = Table(make_table(ALL).cells.clear())
    made = plan.make_plan(heading, agency(), Policy(Mode.SYNC))
    assert [problem.code for problem in made.refusals] == ["no-rows"] and made.leavers.deactivated.is_empty()


def test_a_file_without_a_row_free_of_problems_is_refused() -> None:
    made = synchronize_rows(row(CY, ROLE="Pope"), row(DEE, ROLE="Pope"))
    assert [problem.code for problem in made.refusals] == ["no-good-row"]
    assert plan_rows(row(CY, ROLE="Pope")).refusals == ()


def test_deactivated_users_are_printed_with_their_addresses() -> None:
    left = synchronize_rows(*ALL[:3]).leavers.deactivated.to_dicts()
    assert left == [{"id": 4, "external_id": "D", "email": "dee@a.example", "registered": False}]


def test_a_supervisor_who_leaves_is_noted_as_inactive() -> None:
    made = synchronize_rows(ALL[0], ALL[2], ALL[3], row("E", SUPERVISOR_EMAIL="ben@a.example"))
    assert ids(made.leavers.deactivated) == [BEN]
    assert codes(made.notes) == ["inactive-supervisor"] * 3


def test_the_last_administrator_stays_although_the_file_names_one_who_has_not_registered() -> None:
    made = synchronize_rows(row(BEN), row(CY, ROLE="Admin"), row(DEE))
    assert ids(made.leavers.protected) == [ADA]
    assert made.leavers.deactivated.is_empty()
