"""Uniqueness on the final state (M4–M8): swaps succeed, clashes fail, and what depends on a failed row fails with it."""

import random
from dataclasses import replace

import polars as pl
import pytest

from musterbook.core.domain.snapshot import RESTING
from tests.core.cast import (
    ADA,
    BEN,
    CY,
    DEE,
    agency,
    codes,
    get_written,
    locate_problems,
    messages,
    outcomes,
    plan_rows,
    row,
    user,
)
from tests.core.cast import OFFICER as ROLE

UNIQUE = ["EMAIL", "BADGE_NUMBER", "USERNAME"]


@pytest.mark.parametrize("column", UNIQUE)
def test_two_users_swap_a_unique_value(column: str) -> None:
    made = plan_rows(row(CY, **{column: row(DEE)[column]}), row(DEE, **{column: row(CY)[column]}))
    assert outcomes(made) == ["updated", "updated"]
    assert made.updated["vacates"].to_list() == [True, True]


@pytest.mark.parametrize("column", UNIQUE)
def test_a_unique_value_goes_round_among_four(column: str) -> None:
    ring = [ADA, BEN, CY, DEE]
    rows = [row(who, **{column: row(other)[column]}) for who, other in zip(ring, [*ring[1:], ADA], strict=True)]
    random.Random(1).shuffle(rows)
    assert outcomes(plan_rows(*rows)) == ["updated"] * 4


def test_a_chain_of_values_may_end_in_a_new_one_or_begin_with_a_new_user() -> None:
    made = plan_rows(row("E", BADGE_NUMBER="300"), row(CY, BADGE_NUMBER="400"), row(DEE, BADGE_NUMBER="new"))
    assert outcomes(made) == ["added", "updated", "updated"]


def test_who_gives_up_a_value_that_nobody_takes_vacates_nothing() -> None:
    assert plan_rows(row(CY, BADGE_NUMBER="new")).updated["vacates"].to_list() == [False]


def test_values_are_compared_without_regard_to_case_and_to_ways_of_writing_one_letter() -> None:
    of = agency(D={"username": "Straße", "badge_number": "①"})
    made = plan_rows(row(CY, EMAIL="DEE@a.example", USERNAME="STRASSE", BADGE_NUMBER="1"), of=of)
    assert codes(made.problems) == ["taken", "taken", "taken"]


def test_external_ids_are_compared_exactly() -> None:
    assert outcomes(plan_rows(row("E"), row("e", EMAIL="x@a.example", BADGE_NUMBER="x", USERNAME="x"))) == [
        "added",
        "added",
    ]


def test_a_value_that_an_inactive_user_has_is_taken() -> None:
    made = plan_rows(row(CY, EMAIL="dee@a.example"), of=agency(D={"active": False}))
    assert messages(made.problems) == [
        "EMAIL “dee@a.example” belongs to Dee Ruiz (D, Inactive). Use another value, or change that user's value as well."
    ]


def test_the_same_external_id_twice_makes_all_those_rows_errors_each_naming_the_others() -> None:
    made = plan_rows(row(CY), row(DEE), row(CY, FIRST_NAME="Cyrus"), row(CY, ROLE="Pope"))
    assert outcomes(made) == ["errored", "unchanged", "errored", "errored"]
    assert [message for message in messages(made.problems) if "also" in message] == [
        "EXTERNAL_ID “C” is also in other rows: 4, 5. Keep it in only one row.",
        "EXTERNAL_ID “C” is also in other rows: 2, 5. Keep it in only one row.",
        "EXTERNAL_ID “C” is also in other rows: 2, 4. Keep it in only one row.",
    ]


def test_of_many_rows_with_one_id_a_few_are_named_and_the_rest_counted() -> None:
    made = plan_rows(*(row("E", FIRST_NAME=f"Ann{number}") for number in range(9)))
    assert messages(made.problems.filter(made.problems["column"] == "EXTERNAL_ID"))[0] == (
        "EXTERNAL_ID “E” is also in other rows: 3, 4, 5, 6, 7 and 3 more. Keep it in only one row."
    )


def test_a_blank_external_id_is_no_id_that_stands_twice() -> None:
    blank = {"EXTERNAL_ID": ""}
    made = plan_rows(row("E", **blank), row("F", **blank))
    assert codes(made.problems) == ["required", "required"]


@pytest.mark.parametrize("column", UNIQUE)
def test_two_rows_that_newly_ask_for_one_value_are_both_errors(column: str) -> None:
    made = plan_rows(row(CY, **{column: "n@n.example"}), row("E", **{column: "N@n.example"}))
    assert locate_problems(made.problems) == [(2, "duplicate-in-file", column), (3, "duplicate-in-file", column)]


def test_the_row_of_the_user_who_has_a_value_and_keeps_it_is_fine() -> None:
    made = plan_rows(row(CY), row(DEE, BADGE_NUMBER="300"), row("E", BADGE_NUMBER="300"))
    assert outcomes(made) == ["unchanged", "errored", "errored"]
    assert codes(made.problems) == ["duplicate-in-file", "taken", "duplicate-in-file", "taken"]


def test_a_value_that_its_holder_gives_up_goes_to_nobody_if_two_ask_for_it() -> None:
    made = plan_rows(row(CY, BADGE_NUMBER="new"), row(DEE, BADGE_NUMBER="300"), row("E", BADGE_NUMBER="300"))
    assert outcomes(made) == ["updated", "errored", "errored"]


def test_taken_names_the_holder() -> None:
    made = plan_rows(row(CY, USERNAME="ada"))
    assert messages(made.problems) == [
        "USERNAME “ada” belongs to Ada Ruiz (A, Active). Use another value, or change that user's value as well."
    ]


@pytest.mark.parametrize(("stored", "written_id"), [("00123", "123"), ("123", "0123"), ("ab", "AB")])
def test_an_id_that_differs_by_leading_zeros_or_case_is_asked_after(stored: str, written_id: str) -> None:
    of = agency(user(9, "Eve", ROLE, None, external_id=stored))
    made = plan_rows(row(written_id, EMAIL="eve@a.example"), of=of)
    assert messages(made.problems) == [
        (
            f"EMAIL “eve@a.example” belongs to Eve Ruiz ({stored}, Active). "
            "Use another value, or change that user's value as well. "
            f"An import cannot change an external ID: did you mean {stored}?"
        )
    ]


def test_a_holder_of_the_same_name_may_be_the_same_person() -> None:
    made = plan_rows(row("E", FIRST_NAME="CY", LAST_NAME="Ruiz", USERNAME="cy"))
    assert messages(made.problems)[0].endswith(
        "An import cannot change an external ID: if this is the same person, write C."
    )


def test_a_row_of_another_known_user_is_not_taken_for_the_holder() -> None:
    made = plan_rows(row(CY, FIRST_NAME="Dee", EMAIL="dee@a.example"))
    assert "external ID" not in messages(made.problems)[0]


def test_a_row_that_wanted_what_a_faulty_row_did_not_give_up_is_an_error_too() -> None:
    made = plan_rows(
        row(BEN, BADGE_NUMBER="300"), row(CY, BADGE_NUMBER="400"), row(DEE, BADGE_NUMBER="new", RANK="Pope")
    )
    assert outcomes(made) == ["errored"] * 3
    assert locate_problems(made.problems) == [
        (2, "taken", "BADGE_NUMBER"),
        (3, "taken", "BADGE_NUMBER"),
        (4, "unknown-rank", "RANK"),
    ]


def test_one_clash_in_one_column_undoes_a_swap_in_another() -> None:
    made = plan_rows(row(CY, EMAIL="dee@a.example", USERNAME="ada"), row(DEE, EMAIL="cy@a.example"))
    assert locate_problems(made.problems) == [(2, "taken", "EMAIL"), (2, "taken", "USERNAME"), (3, "taken", "EMAIL")]


def test_rows_with_problems_of_their_own_claim_nothing_but_report_the_conflict() -> None:
    made = plan_rows(row(CY, BADGE_NUMBER="new"), row("E", BADGE_NUMBER="new", RANK="Pope"))
    assert outcomes(made) == ["updated", "errored"]
    assert locate_problems(made.problems) == [(3, "duplicate-in-file", "BADGE_NUMBER"), (3, "unknown-rank", "RANK")]


def test_a_long_chain_fails_as_one_from_its_end() -> None:
    crowd = [user(100 + n, f"U{n}", ROLE, None, external_id=f"U{n}") for n in range(50)]
    rows = [{**row(f"U{n}", EMAIL=f"u{n + 1}@a.example"), "LAST_NAME": "Ruiz"} for n in range(49)]
    rows.append({**row("U49", EMAIL="ada@a.example"), "LAST_NAME": "Ruiz"})
    made = plan_rows(*rows, of=agency(*crowd))
    assert outcomes(made) == ["errored"] * 50 and set(codes(made.problems)) == {"taken"}


def test_the_outcome_does_not_depend_on_the_order_of_rows() -> None:
    rows = [row(CY, EMAIL="dee@a.example"), row(DEE, EMAIL="e@new.example"), row("E"), row("F", BADGE_NUMBER="300")]
    for seed in range(8):
        shuffled = random.Random(seed).sample(rows, len(rows))
        made = plan_rows(*shuffled)
        assert dict(zip(made.rows["external_id"], outcomes(made), strict=True)) == dict.fromkeys(
            ["C", "D", "E", "F"], "errored"
        )


def test_a_row_takes_over_what_a_user_of_this_file_gives_up() -> None:
    made = plan_rows(row(CY, EMAIL="c@a.example"), row("E", EMAIL="CY@a.example"))
    assert get_written(made, "E")["email"] == "CY@a.example" and made.updated["vacates"].to_list() == [True]


def test_a_username_that_is_anothers_email_is_taken_and_the_other_way_round() -> None:
    made = plan_rows(row(CY, USERNAME="DEE@a.example"))
    assert messages(made.problems) == [
        (
            "USERNAME “DEE@a.example” belongs to Dee Ruiz (D, Active). Use another value, or change that user's value as well."
            " It is their EMAIL, and users sign in with either, so two users cannot share one."
        )
    ]
    of = agency(D={"username": "boss@a.example"})
    assert locate_problems(plan_rows(row(CY, EMAIL="boss@A.example"), of=of).problems) == [(2, "taken", "EMAIL")]


def test_ones_own_email_may_be_ones_username() -> None:
    assert outcomes(
        plan_rows(row(CY, USERNAME="cy@a.example"), row("E", USERNAME="e@a.example", EMAIL="e@a.example"))
    ) == [
        "updated",
        "added",
    ]


def test_a_sign_in_name_that_its_holder_gives_up_in_the_same_file_may_be_taken_in_the_other_column() -> None:
    made = plan_rows(row(CY, USERNAME="dee@a.example"), row(DEE, EMAIL="dee2@a.example"))
    assert outcomes(made) == ["updated", "updated"]


def test_a_sign_in_name_that_its_holder_only_moves_to_the_other_column_is_not_given_up() -> None:
    made = plan_rows(row(CY, USERNAME="dee@a.example"), row(DEE, EMAIL="dee2@a.example", USERNAME="dee@a.example"))
    assert outcomes(made) == ["errored", "errored"]
    assert codes(made.problems) == ["duplicate-in-file", "taken", "duplicate-in-file"]


def test_two_rows_that_ask_for_one_sign_in_name_in_different_columns_are_both_errors() -> None:
    made = plan_rows(row(CY, USERNAME="n@n.example"), row("E", EMAIL="N@n.example"))
    assert locate_problems(made.problems) == [(2, "duplicate-in-file", "USERNAME"), (3, "duplicate-in-file", "EMAIL")]


def test_who_holds_a_name_in_both_columns_is_named_once() -> None:
    made = plan_rows(row(CY, USERNAME="dee@a.example"), of=agency(D={"username": "dee@a.example"}))
    assert locate_problems(made.problems) == [(2, "taken", "USERNAME")]


def test_a_name_that_rests_is_refused_to_others_and_open_to_who_had_it() -> None:
    resting = pl.DataFrame({"key": ["old", "old"], "user_id": [3, 3]}, schema=RESTING)
    of = replace(agency(), resting=resting)
    assert outcomes(plan_rows(row(CY, USERNAME="old"), of=of)) == ["updated"]
    made = plan_rows(row(DEE, USERNAME="Old"), row("E", EMAIL="e@a.example"), of=of)
    assert locate_problems(made.problems) == [(2, "resting-name", "USERNAME")]
    swapped = plan_rows(row(CY, USERNAME="dee"), row(DEE, USERNAME="cy"), of=replace(agency(), resting=resting.clear()))
    assert codes(swapped.problems) == ["taken", "taken"]


def test_rows_that_are_the_same_in_every_cell_are_one_row() -> None:
    """M6. Rows that differ in one cell are errors, even if one of them is as stored."""
    made = plan_rows(row(CY), row(CY), row(DEE), row(CY))
    assert outcomes(made) == ["unchanged", "unchanged"]
    assert (made.counts["skipped"], [note.code for note in made.table.notes]) == (2, ["repeated-row"])
    assert "(rows: 3, 5)" in made.table.notes[0].message
    made = plan_rows(row(CY), row(CY, LOCATION="Court"), row(DEE))
    assert outcomes(made) == ["errored", "errored", "unchanged"]
    assert {code for _, code, _ in locate_problems(made.problems)} == {"duplicate-in-file"}


@pytest.mark.parametrize(("guarded", "meant"), [('="North"', "North"), ("'=5", "=5")])
def test_a_guarded_cell_means_its_text_also_where_the_stored_text_looks_guarded(guarded: str, meant: str) -> None:
    made = plan_rows(row(CY, LOCATION=guarded), of=agency(C={"location": guarded}))
    assert outcomes(made) == ["updated"]
    assert made.updated["location"].to_list() == [meant]


@pytest.mark.parametrize(("mine", "theirs"), [("Ｚ１", "Z1"), ("Z1", "Ｚ１"), ("Z\u00ad1", "Z1"), ("Z\u20131", "Z-1")])
def test_m4_an_external_id_that_looks_like_another_is_taken_and_the_problem_names_the_character(
    mine: str, theirs: str
) -> None:
    made = plan_rows(row("Z", EXTERNAL_ID=mine), of=agency(user(5, "Eve", ROLE, None, external_id=theirs)))
    assert locate_problems(made.problems) == [(2, "taken", "EXTERNAL_ID")]
    [message] = messages(made.problems)
    assert f"Eve Ruiz ({theirs}, Active)" in message
    assert f"did you mean {theirs}?" in message
    assert message.count("is U+") == 1


def test_m4_ids_that_look_the_same_in_one_file_are_duplicates_and_neither_wins() -> None:
    made = plan_rows(row("Y", EXTERNAL_ID="03"), row("Z", EXTERNAL_ID="０３"), row("4"))
    assert outcomes(made) == ["errored", "errored", "added"]
    assert locate_problems(made.problems) == [
        (2, "duplicate-in-file", "EXTERNAL_ID"),
        (3, "duplicate-in-file", "EXTERNAL_ID"),
    ]
    assert "Character 1 of “０３” is U+FF10" in messages(made.problems)[0]


def test_m4_two_users_of_an_older_version_whose_ids_look_the_same_are_both_found_by_theirs() -> None:
    of = agency(user(5, "Eve", ROLE, None, external_id="03"), user(6, "Fay", ROLE, None, external_id="０３"))
    rows = (row("Y", EXTERNAL_ID="03", LAST_NAME="Ruiz"), row("Z", EXTERNAL_ID="０３", LAST_NAME="Ruiz"))
    assert outcomes(plan_rows(*rows, of=of)) == ["updated", "updated"]


def test_m4_a_supervisors_address_that_two_users_of_an_older_version_share_means_one_of_them() -> None:
    of = agency(
        user(5, "Eve", ROLE, None, email="i@müller.example"),
        user(6, "Fay", ROLE, None, email="i@xn--mller-kva.example"),
    )
    made = plan_rows(row(CY, SUPERVISOR_EMAIL="i@MÜLLER.example"), of=of)
    assert made.updated["supervisor_id"].to_list() == [5]


@pytest.mark.parametrize("column", ["EMAIL", "USERNAME"])
def test_m4_a_change_of_case_alone_is_an_update(column: str) -> None:
    made = plan_rows(row(CY, **{column: row(CY)[column].upper()}))
    assert outcomes(made) == ["updated"]


def test_c13_a_taken_badge_that_looks_like_the_holders_names_the_character() -> None:
    made = plan_rows(row("E", BADGE_NUMBER="４00"))
    assert "Character 1 of “４00” is U+FF14, fullwidth digit four." in messages(made.problems)[0]


def test_m7_an_id_with_an_invisible_character_is_recognized_as_the_same_person() -> None:
    made = plan_rows({**row(CY), "EXTERNAL_ID": "C\u00ad"}, row(DEE))
    assert "did you mean C?" in messages(made.problems)[0]
    assert "U+00AD, soft hyphen" in messages(made.problems)[0]
