"""Damage by comparison (C12), and numbers without the usual zeros."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from musterbook.core.domain.decisions import DAMAGE, Decisions
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import list_problems
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan
from musterbook.core.values.damaged_text import NO_VALUE
from tests.core.cast import CY, DEE, agency, codes, make_table, outcomes, plan_rows, row, without

KEEP_ALL = Decisions(accepted={DAMAGE: ""})


def plan_with(decisions: Decisions, *rows: dict[str, str], **changed: Mapping[str, object]) -> Plan:
    return plan.make_plan(make_table(list(rows)), agency(**changed), Policy(decisions=decisions))


@pytest.mark.parametrize(
    ("column", "stored", "cell"),
    [("BADGE_NUMBER", "0302", "302"), ("BADGE_NUMBER", "1004", "1004.0"), ("BADGE_NUMBER", "3-1", "1-Mar"),
     ("USERNAME", "0302", "302"), ("FIRST_NAME", "Zoë", "Zo?"), ("LAST_NAME", "Farrów", "FarrÃ³w"),
     ("LOCATION", "HQ", "NULL"), ("LOCATION", "Records & Evidence", "Records &amp; Evidence"), ("LOCATION", "HQ", "“HQ”"),
     ("EMAIL", "jose@a.example", "jos?@a.example")],
)  # fmt: skip
def test_a_damaged_form_of_the_stored_value_is_an_error_that_shows_both(column: str, stored: str, cell: str) -> None:
    # C12
    changed = {column.lower(): stored}
    made = plan_with(Decisions(), row(CY, **{column: cell}), C=changed)
    assert outcomes(made) == ["errored"]
    [problem] = list_problems(made.problems)
    assert (problem.code, problem.column, problem.value) == (DAMAGE, column, cell)
    assert stored in problem.message and cell in problem.message
    assert outcomes(plan_with(KEEP_ALL, row(CY, **{column: cell}), C=changed)) == ["updated"]


def test_a_value_kept_as_written_on_its_cell_is_applied_and_others_of_the_row_are_not() -> None:
    damaged = row(CY, BADGE_NUMBER="1-Mar", LOCATION="n/a")
    keep = Decisions(by_row={2: {DAMAGE: "BADGE_NUMBER"}})
    made = plan_with(keep, damaged, C={"location": "HQ"})
    assert [problem.column for problem in list_problems(made.problems)] == ["LOCATION"]
    both = Decisions(by_row={2: {DAMAGE: "BADGE_NUMBER,LOCATION"}})
    assert outcomes(plan_with(both, damaged, C={"location": "HQ"})) == ["updated"]


def test_a_row_with_damage_changes_nothing_and_releases_nothing() -> None:
    # M8: the badge that Dee asks for is released only by a row that is applied.
    rows = (row(CY, BADGE_NUMBER="1-Mar"), row(DEE, BADGE_NUMBER="300"))
    assert outcomes(plan_with(Decisions(), *rows)) == ["errored", "errored"]
    assert outcomes(plan_with(KEEP_ALL, *rows)) == ["updated", "updated"]


@pytest.mark.parametrize("word", sorted({*NO_VALUE} - {"#N/A"}))
def test_a_word_for_no_value_is_an_error_of_a_new_user_too(word: str) -> None:
    made = plan_rows(row("E", LOCATION=word), row("F", LAST_NAME=word))
    assert outcomes(made) == ["errored", "errored"]
    assert set(codes(made.problems)) == {DAMAGE}


@pytest.mark.parametrize("text", ["Pier 5Â½", "Pier 5┬╜", "FarrÃ³w", "Farr√≥w"])
def test_text_that_was_decoded_once_too_often_is_an_error_of_a_new_user_too(text: str) -> None:
    assert codes(plan_rows(row("E", LOCATION=text)).problems) == [DAMAGE]


def test_an_id_that_is_a_word_for_no_value_is_an_error() -> None:
    assert codes(plan_rows(row("E", EXTERNAL_ID="NULL")).problems) == [DAMAGE]


def test_a_synchronize_import_is_held_for_such_an_id_unless_something_else_names_the_user() -> None:
    # S3
    rows = [row("A"), row("B"), row(CY), row(DEE), row("E", EXTERNAL_ID="NULL")]
    held = plan.make_plan(make_table(rows), agency(), Policy(Mode.SYNC)).held
    assert held is not None
    assert held["code"] == "unreadable-rows"
    named = [*rows[:4], row("E", EXTERNAL_ID="NULL", EMAIL="dee@a.example")]
    assert plan.make_plan(make_table(named), agency(), Policy(Mode.SYNC)).held is None


def test_a_word_for_no_value_where_the_user_has_none_is_an_error_too() -> None:
    assert codes(plan_rows(row(DEE, LOCATION="NULL")).problems) == [DAMAGE]


@pytest.mark.parametrize(
    ("column", "stored", "shown"),
    [("RANK", {"rank_id": 1}, "Captain"), ("EVIDENCE_GROUP_EXT_ID", {"group_id": 1}, "G-1"),
     ("PHONE", {"phone": "+4930123456"}, "+4930123456"), ("ROLE", {}, "Officer"), ("STATUS", {}, "Active"),
     ("STATUS", {"active": False}, "Inactive"), ("EMAIL", {}, "cy@a.example")],
)  # fmt: skip
def test_a_word_for_no_value_in_a_column_of_names_shows_what_the_user_has(
    column: str, stored: Mapping[str, object], shown: str
) -> None:
    # C12
    made = plan_with(Decisions(), row(CY, **{column: "NULL"}), row("E", **{column: "n/a"}), C=stored)
    assert outcomes(made) == ["errored", "errored"]
    found = [problem for problem in list_problems(made.problems) if problem.code == DAMAGE]
    assert [(problem.row, problem.column) for problem in found] == [(2, column), (3, column)]
    assert f"where the user has “{shown}”" in found[0].message
    assert DAMAGE not in codes(plan_with(KEEP_ALL, row(CY, **{column: "NULL"}), C=stored).problems)


def test_a_word_for_no_rank_where_the_user_has_none_is_an_unknown_rank() -> None:
    assert codes(plan_with(Decisions(), row(DEE, RANK="NULL"), D={"rank_id": None}).problems) == ["unknown-rank"]
    assert codes(plan_rows(row("E", RANK="#N/A")).problems) == ["spreadsheet-damage"]


def test_a_change_of_case_is_no_damage() -> None:
    assert outcomes(plan_with(Decisions(), row(CY, LAST_NAME="NULL"), C={"last_name": "Null"})) == ["updated"]


def test_a_word_in_place_of_a_supervisor_is_an_error_but_a_user_without_one_keeps_none() -> None:
    made = plan_rows(
        row(CY, SUPERVISOR_EMAIL="NULL"), row("E", SUPERVISOR_EMAIL="NULL"), row("A", SUPERVISOR_EMAIL="NULL")
    )
    assert outcomes(made) == ["errored", "errored", "unchanged"]
    assert "ben@a.example" in list_problems(made.problems)[0].message


def test_new_text_that_was_decoded_too_often_is_an_error() -> None:
    assert codes(plan_rows(row("E", FIRST_NAME="ClÃ©o")).problems) == [DAMAGE]
    assert outcomes(plan_rows(row("E", FIRST_NAME="Ângela", LAST_NAME="O’Neil"))) == ["added"]


def test_a_phone_number_that_became_a_decimal_is_an_error() -> None:
    known = {"phone": "+4930123456"}
    assert codes(plan_with(Decisions(), row(CY, PHONE="4930123456.0"), C=known).problems) == [DAMAGE]
    assert outcomes(plan_with(Decisions(), row(CY, PHONE="+49301234560"), C=known)) == ["updated"]


def test_columns_that_the_file_lacks_are_not_compared() -> None:
    lacking = without("PHONE", *without("LOCATION", *without("SUPERVISOR_EMAIL", row(CY, BADGE_NUMBER="30"))))
    assert outcomes(plan_rows(*lacking, of=agency(C={"badge_number": "0302"}))) == ["updated"]


def test_a_new_number_without_the_zeros_that_all_have_is_a_note() -> None:
    # Rule C12.
    padded = replace(agency(), padded={"badge_number": 4})
    rows = make_table([row("E", BADGE_NUMBER="41"), row("F", BADGE_NUMBER="0042"), row("G", BADGE_NUMBER="1043")])
    made = plan.make_plan(rows, padded, Policy())
    assert outcomes(made) == ["added", "added", "added"]
    assert [(note.code, note.row) for note in list_problems(made.notes)] == [("zeros-missing", 2)]


def test_only_rows_that_differ_are_compared() -> None:
    stored = {"last_name": "NULL", "location": "“HQ”"}
    made = plan_with(Decisions(), row(CY, LAST_NAME="NULL", LOCATION="“HQ”", RANK=""), C=stored)
    assert outcomes(made) == ["updated"]
    assert made.problems.schema["row"] == pl.UInt32
