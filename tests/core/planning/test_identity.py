"""The same account, another person (M12)."""

from collections.abc import Mapping

import pytest

from musterbook.core.domain.decisions import IDENTITY, OTHER, SAME, Decisions
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import list_problems
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import RowFilter
from tests.core.cast import BEN, CY, DEE, agency, codes, make_table, outcomes, plan_rows, row

NEW_CY = row(CY, FIRST_NAME="Nora", LAST_NAME="Nilsen", EMAIL="nora@a.example", USERNAME="nora", BADGE_NUMBER="48")


def plan_with(
    decisions: Decisions, *rows: dict[str, str], mode: Mode = Mode.UPDATE, **changed: Mapping[str, object]
) -> Plan:
    return plan.make_plan(make_table(list(rows)), agency(**changed), Policy(mode, decisions=decisions))


def choose(choice: str) -> Decisions:
    return Decisions(accepted={IDENTITY: choice})


def test_a_row_that_makes_an_account_another_persons_is_an_error_that_shows_both() -> None:
    # M12
    made = plan_rows(NEW_CY)
    assert outcomes(made) == ["errored"]
    [problem] = list_problems(made.problems)
    assert problem.code == IDENTITY
    assert "Cy Ruiz (cy@a.example, cy, badge 300)" in problem.message
    assert "Nora Nilsen (nora@a.example, nora, badge 48)" in problem.message
    assert report.list_rows(made, RowFilter.ERRORED)[0].as_json()["identity"] == {
        "was": "Cy Ruiz (cy@a.example, cy, badge 300)",
        "would_be": "Nora Nilsen (nora@a.example, nora, badge 48)",
    }


@pytest.mark.parametrize(
    "cells",
    [{"LAST_NAME": "Nilsen", "EMAIL": "x@a.example", "USERNAME": "x", "BADGE_NUMBER": "48"},
     {"FIRST_NAME": "Nora", "LAST_NAME": "Nilsen", "BADGE_NUMBER": "48"},
     {"FIRST_NAME": "CÝ", "LAST_NAME": "Nilsen", "EMAIL": "x@a.example", "USERNAME": "x"},
     {"FIRST_NAME": "Nora", "LAST_NAME": "Nilsen", "EMAIL": "CY@a.example", "USERNAME": "CY", "BADGE_NUMBER": "48"},
     {"EMAIL": "x@b.example", "USERNAME": "x", "BADGE_NUMBER": "48"}],
)  # fmt: skip
def test_a_marriage_a_new_badge_or_a_new_domain_is_not_an_identity_change(cells: dict[str, str]) -> None:
    assert outcomes(plan_rows(row(CY, **cells))) == ["updated"]


def test_names_without_letters_are_compared_as_they_are() -> None:
    made = plan_with(Decisions(), {**NEW_CY, "FIRST_NAME": "-", "LAST_NAME": "."}, C={"first_name": "--"})
    assert codes(made.problems) == [IDENTITY]


def test_the_same_person_is_an_update() -> None:
    made = plan_with(choose(SAME), NEW_CY, C={"registered": True})
    assert outcomes(made) == ["updated"]
    assert made.updated["replaced"].to_list() == [False]
    assert made.updated["was_registered"].to_list() == [True]
    assert codes(made.notes) == ["same-person"]
    assert made.counts["identity_changes"] == 1


def test_another_person_has_not_registered() -> None:
    made = plan_with(choose(OTHER), NEW_CY, C={"registered": True})
    assert made.updated["replaced"].to_list() == [True]
    assert made.updated["was_registered"].to_list() == [False]
    assert codes(made.notes) == ["another-person"]
    assert report.list_rows(made, RowFilter.CHANGED)[0].identity["was"].startswith("Cy Ruiz")
    assert made.digest != plan_with(choose(SAME), NEW_CY, C={"registered": True}).digest


def test_a_choice_for_one_row_leaves_the_others_open() -> None:
    other = row(DEE, FIRST_NAME="Max", LAST_NAME="Moe", EMAIL="max@a.example", USERNAME="max")
    made = plan_with(Decisions(by_row={3: {IDENTITY: SAME}}), NEW_CY, other)
    assert outcomes(made) == ["errored", "updated"]
    mixed = Decisions({IDENTITY: SAME}, {3: {IDENTITY: OTHER}})
    assert plan_with(mixed, NEW_CY, other).updated["replaced"].to_list() == [False, True]


def test_an_identity_change_releases_nothing_until_it_is_decided() -> None:
    # M8
    rows = (NEW_CY, row(DEE, EMAIL="cy@a.example"))
    assert outcomes(plan_rows(*rows)) == ["errored", "errored"]
    assert outcomes(plan_with(choose(SAME), *rows)) == ["updated", "updated"]


def test_two_ids_in_the_wrong_rows_are_two_errors_and_nobody_is_deactivated() -> None:
    swapped = [{**row(CY), "EXTERNAL_ID": DEE}, {**row(DEE), "EXTERNAL_ID": CY}, row("A"), row(BEN)]
    people = {"C": {"last_name": "Castro"}}
    swapped[0]["LAST_NAME"] = "Castro"
    made = plan_with(Decisions(), *swapped, mode=Mode.SYNC, **people)
    assert outcomes(made) == ["errored", "errored", "unchanged", "unchanged"]
    assert made.leavers.deactivated.is_empty()


def test_another_person_in_place_of_the_last_administrator_is_an_error() -> None:
    # M11: nobody can sign in as an administrator until the new person registers.
    new = row("A", FIRST_NAME="Nora", LAST_NAME="Nilsen", EMAIL="nora@a.example", USERNAME="nora")
    assert codes(plan_with(choose(OTHER), new).problems) == ["last-administrator"]
