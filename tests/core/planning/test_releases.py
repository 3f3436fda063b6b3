"""Released badges: the badge of a user who is Inactive in the final state can be taken by another user (M13)."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain import policy
from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.snapshot import MARKS, SCHEMA, Snapshot
from musterbook.core.planning import changes, plan
from musterbook.core.planning.plan import Plan
from tests.core import cast
from tests.core.cast import ADA, BEN, CHIEF, CY, DEE, agency, codes, get_written, messages, outcomes, row, user

TODAY = date(2026, 11, 28)
UNTIL = " (until 2026-11-28)"
ALL = Decisions(release_badges=True)
LEFT: dict[str, object] = {"active": False}
"""Cy, who is Inactive, has the badge 300."""


def plan_release(
    *rows: dict[str, str], of: Snapshot | None = None, decisions: Decisions = ALL, mode: Mode = Mode.UPDATE, **more: Any
) -> Plan:
    """The plan of a file whose rows may take the badges of Inactive users."""
    rules = Policy(mode, decisions=decisions, today=TODAY, limits=(), **more)
    return plan.make_plan(cast.make_table(rows), of or agency(C=LEFT), rules)


def badges(made: Plan) -> dict[str, str]:
    """The badges that the plan writes: external ID → badge."""
    released = dict(made.released.select("external_id", "badge_number").iter_rows())
    written = [frame.select("external_id", "badge_number") for frame in (made.added, made.updated) if frame.width]
    return released | dict(pl.concat(written).iter_rows())


def test_m13_the_badge_of_an_inactive_user_is_taken_if_that_is_allowed() -> None:
    made = plan_release(row("E", BADGE_NUMBER="300"))
    assert badges(made) == {"C": f"300{UNTIL}", "E": "300"}
    assert made.counts["released"] == 1
    assert messages(made.notes) == [
        f"BADGE_NUMBER “300” was the badge of Cy Ruiz (C), who is Inactive. Their badge becomes “300{UNTIL}”."
    ]


@pytest.mark.parametrize("decisions", [Decisions(), Decisions(by_row={3: {"taken": "BADGE_NUMBER"}})])
def test_m13_otherwise_it_is_taken_and_the_problem_says_that_it_can_be_released(decisions: Decisions) -> None:
    made = plan_release(row("E", BADGE_NUMBER="300"), decisions=decisions)
    assert codes(made.problems) == ["taken"]
    assert (
        "They are Inactive: release the badge, or import the file with --release-badges." in messages(made.problems)[0]
    )
    assert made.counts["released"] == 0


def test_m13_a_badge_is_released_for_one_row() -> None:
    chosen = Decisions(by_row={2: {"taken": "BADGE_NUMBER"}})
    of = agency(C=LEFT, D=LEFT)
    made = plan_release(row("E", BADGE_NUMBER="300"), row("F", BADGE_NUMBER="400"), of=of, decisions=chosen)
    assert outcomes(made) == ["added", "errored"]


def test_m13_the_badge_of_an_active_user_is_taken() -> None:
    assert codes(plan_release(row("E", BADGE_NUMBER="400")).problems) == ["taken"]


@pytest.mark.parametrize("cy", [{"STATUS": "Inactive"}, {"STATUS": "Inactive", "LOCATION": "South"}])
@pytest.mark.parametrize("was", [LEFT, {}])
def test_m13_the_holder_may_be_in_the_same_file_and_become_inactive_by_it(
    cy: dict[str, str], was: dict[str, object]
) -> None:
    made = plan_release(row("E", BADGE_NUMBER="300"), row(CY, **cy), of=agency(C=was))
    assert outcomes(made) == ["added", "updated"]
    assert badges(made) == {"C": f"300{UNTIL}", "E": "300"}
    assert made.updated["vacates"].to_list() == [True]


@pytest.mark.parametrize("cy", [{"STATUS": "Active"}, {"STATUS": "Inactive", "ROLE": "Pope"}])
def test_m13_a_holder_whose_row_does_not_make_them_inactive_keeps_the_badge(cy: dict[str, str]) -> None:
    made = plan_release(row("E", BADGE_NUMBER="300"), row(CY, **cy), of=agency())
    assert outcomes(made)[0] == "errored"
    assert made.released.is_empty()


def test_m13_a_user_who_becomes_inactive_because_the_file_does_not_mention_them_gives_up_the_badge() -> None:
    rows = [row(ADA), row(BEN), row(DEE), row("E", BADGE_NUMBER="300")]
    made = plan_release(*rows, of=agency(), mode=Mode.SYNC)
    assert cast.ids(made.leavers.deactivated) == ["C"]
    assert badges(made) == {"C": f"300{UNTIL}", "E": "300"}


def test_m13_a_user_who_is_protected_keeps_the_badge_and_is_mentioned_by_the_row_that_wants_it() -> None:
    rows = [row(ADA), row(BEN), row(DEE), row("E", BADGE_NUMBER="300")]
    made = plan_release(*rows, of=agency(C={"exempt": True}), mode=Mode.SYNC)
    assert outcomes(made)[3] == "errored"
    assert made.leavers.protected["code"].to_list() == ["exempt"]
    assert made.released.is_empty()


def test_m13_a_row_that_fails_releases_nothing() -> None:
    made = plan_release(row("E", BADGE_NUMBER="300", EMAIL="ada@a.example"), row("F", ROLE="Pope", BADGE_NUMBER="300"))
    assert outcomes(made) == ["errored", "errored"]
    assert badges(made) == {}


def test_m13_users_whom_files_leave_unchanged_or_whom_the_operator_may_not_change_keep_their_badges() -> None:
    marks = pl.DataFrame([(3, "", True, None, 0)], schema=MARKS, orient="row")
    left_alone = replace(agency(C=LEFT), marks=marks)
    assert outcomes(plan_release(row("E", BADGE_NUMBER="300"), of=left_alone)) == ["errored"]
    officer = Operator(4, "D", frozenset({"view"}))
    above = agency(C={**LEFT, "role_id": CHIEF.id})
    assert outcomes(plan_release(row("E", BADGE_NUMBER="300"), of=above, operator=officer)) == ["errored"]


def first_load(*statuses: str) -> Plan:
    """The plan of a first load, in which users with these states have one badge."""
    rows = [row("E", STATUS="Active")] + [
        row(f"F{number}", STATUS=status, BADGE_NUMBER="7") for number, status in enumerate(statuses)
    ]
    return plan_release(*rows, of=Snapshot(pl.DataFrame(schema=SCHEMA), cast.WORDS))


def test_m13_in_a_first_load_the_active_user_gets_the_badge_and_the_inactive_ones_keep_its_day() -> None:
    made = first_load("Inactive", "Active", "Inactive")
    assert outcomes(made) == ["added"] * 4
    expected = {"F0": f"7{UNTIL}", "F1": "7", "F2": f"7{UNTIL}, F2"}
    assert {who: badge for who, badge in badges(made).items() if who != "E"} == expected
    assert made.counts["released"] == 2


@pytest.mark.parametrize("statuses", [("Active", "Active", "Inactive"), ("Inactive", "Inactive")])
def test_m13_in_a_first_load_a_badge_of_no_or_two_active_users_is_a_duplicate(statuses: tuple[str, ...]) -> None:
    made = first_load(*statuses)
    assert outcomes(made) == ["added", *["errored"] * len(statuses)]
    assert set(codes(made.problems)) == {"duplicate-in-file"}


def test_m13_if_the_active_user_of_a_first_load_fails_the_badge_is_a_duplicate_as_always() -> None:
    empty = Snapshot(pl.DataFrame(schema=SCHEMA), cast.WORDS)
    rows = [row("E", BADGE_NUMBER="7"), row("F", BADGE_NUMBER="7", STATUS="Inactive"), row("G", USERNAME="new E")]
    made = plan_release(*rows, of=empty)
    assert outcomes(made) == ["errored", "errored", "errored"]
    assert made.released.is_empty()


def test_m13_a_badge_that_is_released_twice_on_one_day_is_still_unique() -> None:
    old = user(5, "Old", cast.OFFICER, None, active=False, badge_number=f"300{UNTIL}")
    made = plan_release(row("E", BADGE_NUMBER="300"), of=agency(old, C=LEFT))
    assert badges(made)["C"] == f"300{UNTIL}, C"


def test_m13_a_long_badge_still_fits() -> None:
    long = "b" * 255
    made = plan_release(row("E", BADGE_NUMBER=long), of=agency(C={**LEFT, "badge_number": long}))
    assert made.released["badge_number"].str.len_chars().to_list() == [200 + len(UNTIL)]


@pytest.mark.parametrize("released", [f"300{UNTIL}", "300 (until 2025-01-31), C"])
def test_m13_the_next_night_the_file_still_lists_the_former_holder_and_nothing_changes(released: str) -> None:
    new = user(5, "Eve", cast.OFFICER, None, badge_number="300")
    of = agency(new, C={**LEFT, "badge_number": released})
    made = plan_release(row(CY, STATUS="Inactive"), of=of, decisions=Decisions())
    assert outcomes(made) == ["unchanged"]
    back = plan_release(row(CY), of=of)
    assert codes(back.problems) == ["taken"]
    with_status = plan_release(*cast.without("LOCATION", row(CY, STATUS="Inactive")), of=of)
    assert outcomes(with_status) == ["unchanged"]


def test_m4_another_form_of_a_badge_is_an_update_of_an_inactive_user_whose_badge_was_not_released() -> None:
    released = user(5, "Eve", cast.OFFICER, None, active=False, badge_number=f"b-9{UNTIL}")
    of = agency(released, C={**LEFT, "badge_number": "b-3"})
    file = row(CY, STATUS="Inactive", BADGE_NUMBER="B-3")
    eve = {**row("E", STATUS="Inactive", BADGE_NUMBER="B-9"), "EMAIL": "eve@a.example", "USERNAME": "eve"}
    made = plan_release(file, {**eve, "FIRST_NAME": "Eve", "LAST_NAME": "Ruiz"}, of=of)
    assert get_written(made, CY)["badge_number"] == "B-3"
    assert outcomes(made) == ["updated", "unchanged"]


def test_m13_the_plan_of_the_next_day_is_the_same_plan() -> None:
    rows = cast.make_table([row("E", BADGE_NUMBER="300"), row(DEE, STATUS="Inactive"), row("F", BADGE_NUMBER="400")])
    plans = [
        plan.make_plan(rows, agency(C=LEFT), Policy(decisions=ALL, today=day, limits=policy.DEFAULT_LIMITS))
        for day in (TODAY, date(2026, 11, 29))
    ]
    assert plans[0].digest == plans[1].digest
    assert plans[0].released["badge_number"].to_list() != plans[1].released["badge_number"].to_list()
    other = plan.make_plan(rows, agency(C={**LEFT, "external_id": "Z"}), Policy(decisions=ALL, today=TODAY))
    assert other.digest != plans[0].digest


def test_m13_the_changes_of_a_former_holder_have_both_badges() -> None:
    made = plan_release(row("E", BADGE_NUMBER="300"), row(CY, STATUS="Inactive"), of=agency(C=LEFT))
    assert json.loads(get_written(made, CY)["changes"]) == {"BADGE_NUMBER": ["300", f"300{UNTIL}"]}
    described = changes.describe_released(
        pl.DataFrame({"badge_number": ['a"(until)', "b"], "was_badge_number": ['a"', "c"], "leaves": [False, True]})
    )
    assert [json.loads(text) for text in described] == [
        {"BADGE_NUMBER": ['a"', 'a"(until)']},
        {"BADGE_NUMBER": ["c", "b"], "STATUS": ["Active", "Inactive"]},
    ]
