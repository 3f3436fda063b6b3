"""Harms (law 0, A1): who loses access, gains a permission, becomes someone else or loses a value."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain.policy import Policy
from musterbook.core.domain.snapshot import HEADCOUNT, Snapshot
from musterbook.core.domain.table import FileFacts
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan
from tests.core.cast import ADA, BEN, CY, DEE, OFFICER, agency, ids, make_table, plan_rows, row, synchronize_rows, user

HARMS = ("losing_access", "privileges", "handovers", "cleared")


def count(made: Plan) -> tuple[int, ...]:
    return tuple(made.counts[name] for name in HARMS)


def plan_file(*rows: dict[str, str], of: Snapshot | None = None) -> Plan:
    """The plan of a file, whose columns can be noted."""
    return plan.make_plan(replace(make_table(rows), file=FileFacts("csv")), of or agency(), Policy())


def notes(made: Plan) -> list[tuple[str, str]]:
    return [(note.code, note.message) for note in made.table.notes]


# Access


def test_everyone_who_loses_access_is_counted_once() -> None:
    made = synchronize_rows(row(ADA), row(BEN), row(CY, STATUS="Inactive"))
    assert ids(made.harms.losing_access) == ["C", "D"]
    assert count(made) == (2, 0, 0, 0)


def test_who_is_inactive_already_or_has_a_row_with_a_problem_loses_no_access() -> None:
    of = agency(D={"active": False})
    made = plan_rows(row(CY, STATUS="Inactive", ROLE="Pope"), row(DEE, STATUS="Inactive", FIRST_NAME="Di"), of=of)
    assert count(made) == (0, 0, 0, 0)


# Permissions


@pytest.mark.parametrize(
    ("who", "cells", "gains"),
    [
        (DEE, {"ROLE": "Chief"}, 1), (BEN, {"ROLE": "Officer"}, 0), ("E", {"ROLE": "Chief"}, 1), ("E", {}, 1),
        (DEE, {"ROLE": "Chief", "STATUS": "Inactive"}, 0), ("E", {"ROLE": "Admin", "STATUS": "Inactive"}, 0),
        (CY, {"FIRST_NAME": "Cyrus"}, 0),
    ],
)  # fmt: skip
def test_a_permission_counts_for_users_who_are_active_afterwards(who: str, cells: dict[str, str], gains: int) -> None:
    assert plan_rows(row(who, **cells)).counts["privileges"] == gains


def test_who_becomes_active_again_gains_the_permissions_of_their_role() -> None:
    """Law 0: a role that was given to an inactive user is counted when they become Active."""
    assert plan_rows(row(BEN), of=agency(B={"active": False})).counts["privileges"] == 1


# Handovers


def test_a_handover_takes_a_sign_in_name_that_another_user_has_now() -> None:
    """Rule M12: a swap is two of them, a badge is none."""
    swap = plan_rows(row(CY, EMAIL="dee@a.example"), row(DEE, EMAIL="cy@a.example"))
    assert ids(swap.harms.handovers) == ["C", "D"]
    badges = plan_rows(row(CY, BADGE_NUMBER="400"), row(DEE, BADGE_NUMBER="300"))
    assert count(badges) == (0, 0, 0, 0) and badges.counts["updated"] == 2
    assert plan_rows(row(CY, EMAIL="cyrus@a.example")).counts["handovers"] == 0


def test_a_new_user_can_take_a_name_over() -> None:
    made = plan_rows(row("E", USERNAME="cy"), row(CY, USERNAME="cyrus"))
    assert ids(made.harms.handovers) == ["E"]


def test_a_name_that_a_row_with_a_problem_does_not_get_is_no_handover() -> None:
    made = plan_rows(row("E", USERNAME="cy"), row(CY, USERNAME="cyrus", ROLE="Pope"))
    assert made.counts["errored"] == 2 and made.counts["handovers"] == 0


def test_ones_own_address_as_username_is_no_handover() -> None:
    assert plan_rows(row(CY, USERNAME="cy@a.example")).counts["handovers"] == 0


# Columns


@pytest.mark.parametrize("column", ["SUPERVISOR_EMAIL", "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE"])
@pytest.mark.parametrize("blank", ["", " \u00a0", '=""'])
def test_a_column_that_is_blank_in_every_row_clears_what_users_have(column: str, blank: str) -> None:
    of = agency(C={"group_id": 1})
    made = plan_file(row(ADA, **{column: blank}), row(CY, **{"EVIDENCE_GROUP_EXT_ID": "G-1", column: blank}), of=of)
    assert ids(made.harms.cleared) == ["C"]
    assert notes(made) == [("blank-column", f"{column} is blank in every row, which clears it for 1 user.")]


def test_one_cell_that_is_not_blank_makes_the_others_usual_cells() -> None:
    """Rule M2: a blank cell clears a value, and only a whole column is counted."""
    made = plan_file(row(CY, PHONE=""), row(DEE, PHONE="+12025550199"))
    assert count(made) == (0, 0, 0, 0) and notes(made) == []


def test_a_blank_column_that_clears_nothing_is_no_note() -> None:
    assert notes(plan_file(row(ADA), row(DEE))) == []


def test_users_who_lose_several_values_are_counted_once() -> None:
    made = plan_file(row(CY, PHONE="", LOCATION="", RANK=""))
    assert made.counts["cleared"] == 1 and [note.column for note in made.table.notes] == ["LOCATION", "RANK", "PHONE"]


def crowd(number: int) -> tuple[dict[str, Any], ...]:
    return tuple(user(100 + n, f"Zoe{n}", OFFICER, None, external_id=f"Z{n}") for n in range(number))


def crowd_rows(number: int, **cells: str) -> list[dict[str, str]]:
    made = [row(f"Z{n}", EMAIL=f"zoe{n}@a.example", BADGE_NUMBER=f"{100 + n}00") for n in range(number)]
    return [
        one | {"FIRST_NAME": f"Zoe{n}", "LAST_NAME": "Ruiz", "USERNAME": f"zoe{n}"} | cells
        for n, one in enumerate(made)
    ]


@pytest.mark.parametrize(("users", "changed", "noted"), [(46, 26, True), (46, 25, False), (45, 45, False)])
def test_a_column_that_changes_for_more_than_half_of_fifty_users_is_noted(
    users: int, changed: int, noted: bool
) -> None:
    """Rule S4: four of the cast, and the others."""
    made = plan_file(*crowd_rows(changed, LOCATION="South"), of=agency(*crowd(users)))
    assert made.counts["updated"] == changed
    found = [("most-users-change", f"LOCATION changes for {changed} of {users + 4} users.")]
    assert notes(made) == (found if noted else [])


def test_of_the_columns_of_a_file_only_those_that_change_for_most_users_are_noted() -> None:
    rows = crowd_rows(26, LOCATION="South")
    made = plan_file(*(one | {"FIRST_NAME": "Zoë"} for one in rows[:25]), rows[25], of=agency(*crowd(46)))
    assert notes(made) == [("most-users-change", "LOCATION changes for 26 of 50 users.")]


def test_a_new_supervisor_for_most_users_is_noted_too() -> None:
    made = plan_file(*crowd_rows(46, SUPERVISOR_EMAIL="ada@a.example"), of=agency(*crowd(46)))
    assert [note.column for note in made.table.notes] == ["SUPERVISOR_EMAIL"]


def test_most_users_of_a_part_of_the_agency_are_not_most_users() -> None:
    count = pl.DataFrame({"role_id": [None], "group_id": [None], "active": [900]}, schema=HEADCOUNT)
    of = replace(agency(*crowd(46)), headcount=count)
    assert notes(plan_file(*crowd_rows(46, LOCATION="South"), of=of)) == []


def test_columns_are_noted_only_where_there_is_a_file() -> None:
    made = plan_rows(row(CY, PHONE=""))
    assert notes(made) == [] and made.counts["cleared"] == 1
