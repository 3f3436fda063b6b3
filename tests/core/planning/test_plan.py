"""Whom a row means and what it does (M1–M3), strict mode (D4), inactive groups (C7), and what a plan says of itself."""

import json
from dataclasses import replace

import polars as pl
import pytest

from musterbook.core.domain import problems
from musterbook.core.domain.columns import REQUIRED
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Rank
from musterbook.core.planning import plan, unchanged
from musterbook.core.reading import budget, intake
from tests.core.cast import (
    ADA,
    BEN,
    CAST,
    CY,
    DEE,
    WORDS,
    agency,
    codes,
    get_written,
    ids,
    locate_problems,
    make_table,
    messages,
    outcomes,
    plan_rows,
    row,
    synchronize_rows,
    without,
)  # fmt: skip


def test_a_row_whose_external_id_is_known_updates_and_one_whose_is_not_adds() -> None:
    made = plan_rows(row(CY, FIRST_NAME="Cyrus"), row("E"))
    assert outcomes(made) == ["updated", "added"]
    assert (ids(made.updated), ids(made.added)) == ([CY], ["E"])


def test_a_row_is_matched_by_external_id_exactly_and_never_by_anything_else() -> None:
    made = plan_rows(row("c", EMAIL="cy@a.example"), row("0C"))
    assert outcomes(made) == ["errored", "added"]


def test_space_around_an_external_id_is_no_part_of_it() -> None:
    assert outcomes(plan_rows(row(CY, EXTERNAL_ID=" C\u00a0"))) == ["unchanged"]


def test_the_external_id_as_a_formula_or_with_a_leading_apostrophe_is_the_text_inside() -> None:
    of = agency(
        {**CAST[3], "id": 5, "external_id": "=E", "email": "e@a.example", "badge_number": "500", "username": "e"}
    )
    made = plan_rows(
        row(CY, EXTERNAL_ID='="C"'),
        row("E", EXTERNAL_ID="'=E", EMAIL="e@a.example", BADGE_NUMBER="500", USERNAME="e"),
        of=of,
    )
    assert outcomes(made) == ["unchanged", "updated"]


def test_a_row_of_values_that_repeats_a_stored_apostrophe_is_unchanged_at_once() -> None:
    stored = agency(C={"location": "'=North"}, D={"location": "=South"})
    rows = make_table([row(CY, LOCATION="'=North"), row(DEE, LOCATION="=South")]).cells
    same, others = unchanged.split(Table.of_values(rows), stored)
    assert (same["external_id"].to_list(), others.height) == ([CY, DEE], 0)
    assert unchanged.split(Table(rows), stored)[1].height == 2


def test_a_stored_apostrophe_that_the_file_writes_without_its_guard_is_a_change() -> None:
    of = agency(C={"first_name": "'=Cy"})
    made = plan_rows(row(CY, FIRST_NAME="'=Cy"), row(DEE), of=of)
    assert outcomes(made) == ["updated", "unchanged"]
    assert get_written(made, CY)["first_name"] == "=Cy"
    assert outcomes(plan_rows(row(CY, FIRST_NAME="''=Cy"), of=of)) == ["unchanged"]


def test_an_absent_column_leaves_the_attribute_and_a_blank_cell_clears_it() -> None:
    made = plan_rows(*without("PHONE", row(CY, LOCATION="", RANK="")))
    after = get_written(made, CY)
    assert (after["phone"], after["location"], after["rank_id"]) == ("+12025550143", "", None)
    assert json.loads(after["changes"]) == {"LOCATION": ["North", ""], "RANK": ["Sergeant", ""]}


@pytest.mark.parametrize("column", ["LOCATION", "RANK", "PHONE", "EVIDENCE_GROUP_EXT_ID", "SUPERVISOR_EMAIL"])
def test_any_optional_column_may_be_absent(column: str) -> None:
    assert outcomes(plan_rows(*without(column, row(CY), row(DEE, FIRST_NAME="Di")))) == ["unchanged", "updated"]


def test_for_a_new_user_absent_means_blank() -> None:
    rows = [row("E")]
    for column in ("LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE", "SUPERVISOR_EMAIL"):
        rows = without(column, *rows)
    added = get_written(plan_rows(*rows), "E")
    assert [added[name] for name in ("location", "rank_id", "group_id", "phone", "supervisor_id", "supervisor_row")] == [
        "", None, None, "", None, None,
    ]  # fmt: skip


def test_where_nothing_differs_the_row_is_unchanged_and_nothing_is_written() -> None:
    made = plan_rows(row(CY), row(DEE, STATUS="active", ROLE=" OFFICER", RANK=""), row(BEN, EMAIL=" ben@a.example"))
    assert outcomes(made) == ["unchanged"] * 3
    assert made.added.is_empty() and made.updated.is_empty() and made.problems.is_empty() and made.notes.is_empty()


def test_a_change_of_case_alone_is_an_update() -> None:
    made = plan_rows(row(CY, EMAIL="Cy@A.example"))
    assert json.loads(get_written(made, CY)["changes"]) == {"EMAIL": ["cy@a.example", "Cy@A.example"]}


def test_a_cell_that_cannot_be_read_clears_nothing() -> None:
    made = plan_rows(row(CY, RANK="Pope", PHONE="12"))
    assert outcomes(made) == ["errored"] and made.updated.is_empty()
    assert codes(made.problems) == ["invalid-phone", "unknown-rank"]


def test_a_user_who_becomes_active_again_is_reactivated() -> None:
    made = plan_rows(row(CY), row(DEE), of=agency(C={"active": False}))
    assert outcomes(made) == ["updated", "unchanged"]
    assert made.counts["reactivated"] == 1


def test_one_problem_keeps_the_whole_row_from_changing_anything() -> None:
    made = plan_rows(row(CY, FIRST_NAME="Cyrus", STATUS="Away"), row(DEE, FIRST_NAME="Di"))
    assert outcomes(made) == ["errored", "updated"] and ids(made.updated) == [DEE]


def test_every_problem_of_a_row_is_reported_at_once_with_its_conflicts() -> None:
    made = plan_rows(row("E", STATUS="Away", RANK="Pope", BADGE_NUMBER="100"), row("F", EMAIL="e@new.example"))
    assert locate_problems(made.problems) == [
        (2, "duplicate-in-file", "EMAIL"), (2, "invalid-status", "STATUS"), (2, "taken", "BADGE_NUMBER"),
        (2, "unknown-rank", "RANK"),
    ]  # fmt: skip
    assert outcomes(made) == ["errored", "added"]


def test_nobody_is_put_into_an_inactive_group() -> None:
    made = plan_rows(
        row(CY, EVIDENCE_GROUP_EXT_ID="G-OLD"),
        row("E", EVIDENCE_GROUP_EXT_ID="G-OLD"),
        row(DEE, EVIDENCE_GROUP_EXT_ID="G-1"),
    )
    assert outcomes(made) == ["errored", "errored", "updated"]
    assert messages(made.problems)[0] == "The group “G-OLD” is not active. Use an active group, or activate this one."


@pytest.mark.parametrize("changed", [{}, {"FIRST_NAME": "Cyrus"}])
def test_who_is_in_a_group_that_was_made_inactive_stays_with_a_note(changed: dict[str, str]) -> None:
    made = plan_rows(row(CY, EVIDENCE_GROUP_EXT_ID="G-OLD", **changed), of=agency(C={"group_id": 2}))
    assert outcomes(made) == ["updated" if changed else "unchanged"]
    assert locate_problems(made.notes) == [(2, "inactive-group-kept", "EVIDENCE_GROUP_EXT_ID")]


def test_nothing_is_said_of_groups_where_the_file_does_not_name_them() -> None:
    made = plan_rows(
        *without("EVIDENCE_GROUP_EXT_ID", row(CY), row(DEE, FIRST_NAME="Di")),
        of=agency(C={"group_id": 2}, D={"group_id": 2}),
    )
    assert made.notes.is_empty() and outcomes(made) == ["unchanged", "updated"]


def test_a_plan_is_not_strict_unless_its_policy_is() -> None:
    made = plan.make_plan(make_table([row(CY, ROLE="Pope"), row("E")]), agency(), Policy())
    assert (made.refusals, ids(made.added)) == ((), ["E"])


def test_strict_mode_writes_nothing_while_any_row_has_a_problem() -> None:
    made = plan_rows(row(CY, FIRST_NAME="Cyrus"), row(DEE, ROLE="Pope"), strict=True)
    assert [problem.message for problem in made.refusals] == [
        "In strict mode, nothing is written if a row has a problem. Rows with problems: 1 of 2."
    ]


@pytest.mark.parametrize("supervisor", ["nobody@a.example", "cy@a.example", "dee@a.example"])
def test_strict_mode_makes_a_link_that_cannot_be_made_an_error(supervisor: str) -> None:
    rows = row(CY, SUPERVISOR_EMAIL=supervisor), row(DEE, SUPERVISOR_EMAIL="cy@a.example")
    assert codes(plan_rows(*rows).problems) == [] and plan_rows(*rows).refusals == ()
    made = plan_rows(*rows, strict=True)
    assert [problem.code for problem in made.refusals] == ["not-strict"]
    assert set(codes(made.problems)) <= {"unknown-supervisor", "own-supervisor", "supervisor-circle"}


def test_a_row_that_repeats_a_link_of_a_circle_errs_in_strict_mode() -> None:
    made = plan_rows(row(BEN, SUPERVISOR_EMAIL="cy@a.example"), row(CY), strict=True)
    assert outcomes(made) == ["errored", "errored"]
    assert locate_problems(made.problems) == [
        (2, "supervisor-circle", "SUPERVISOR_EMAIL"),
        (3, "supervisor-circle", "SUPERVISOR_EMAIL"),
    ]


def test_strict_mode_lets_other_notes_pass() -> None:
    made = plan_rows(row(DEE, SUPERVISOR_EMAIL="cy@a.example"), of=agency(C={"active": False}), strict=True)
    assert made.refusals == () and codes(made.notes) == ["inactive-supervisor"]


def test_a_file_that_was_refused_makes_a_plan_that_is_refused() -> None:
    made = plan.make_plan(intake.read(b"nothing"), agency(), Policy())
    assert [problem.code for problem in made.refusals] and set(made.counts.values()) == {0} and made.rows.is_empty()


def test_an_update_of_no_rows_does_nothing() -> None:
    heading = ",".join(row(CY))
    made = plan.make_plan(intake.read(heading.encode()), agency(), Policy())
    assert set(made.counts.values()) == {0} and made.refusals == () and made.updated.is_empty()


def test_the_first_import_of_an_agency_needs_nobody_to_be_there() -> None:
    made = plan_rows(row("E"), row("F", SUPERVISOR_EMAIL="e@new.example"), of=Snapshot(vocabulary=WORDS))
    assert outcomes(made) == ["added", "added"]
    assert get_written(made, "F")["supervisor_row"] == 2


def test_a_rank_of_an_agency_without_ranks_is_unknown() -> None:
    bare = replace(agency(), vocabulary=replace(WORDS, ranks=(), groups=()))
    assert codes(plan_rows(row(CY), of=bare).problems) == ["unknown-rank"]


def test_the_counts_are_those_of_the_summary() -> None:
    cells = make_table([row(CY), row(DEE, ROLE="Pope"), row("E")])
    table = replace(cells, skipped=pl.DataFrame({"row": [5]}, schema={"row": pl.UInt32}))
    made = plan.make_plan(table, agency(), Policy(Mode.SYNC))
    assert made.counts == {
        "rows": 4, "added": 1, "updated": 0, "reactivated": 0, "unchanged": 1, "errored": 1, "skipped": 1,
        "deactivated": 1, "protected": 1, "marked": 0, "losing_access": 1, "privileges": 1, "handovers": 0, "cleared": 0,
        "released": 0,
    }  # fmt: skip


def test_a_row_that_repeats_the_supervisor_whose_address_changes_is_looked_at_again() -> None:
    made = plan_rows(row(BEN, EMAIL="benny@a.example"), row(CY), row(DEE, SUPERVISOR_EMAIL="benny@a.example"))
    assert outcomes(made) == ["updated", "unchanged", "unchanged"]
    assert locate_problems(made.notes) == [(3, "replaced-supervisor-address", "SUPERVISOR_EMAIL")]


def test_two_rows_that_mean_one_user_are_both_errors_even_if_one_repeats_what_is_stored() -> None:
    made = plan_rows(row(CY), row(CY, EXTERNAL_ID=" C", FIRST_NAME="Cyrus"))
    assert outcomes(made) == ["errored", "errored"]


# The digest (D2)


def test_the_digest_is_the_same_where_the_same_would_be_done() -> None:
    rows = row(CY, FIRST_NAME="Cyrus"), row("E", SUPERVISOR_EMAIL="cy@a.example"), row(DEE, ROLE="Pope")
    assert plan_rows(*rows).digest == plan_rows(*rows).digest
    elsewhere = {**CAST[3], "id": 9, "external_id": "X", "email": "x@a.example", "badge_number": "900", "username": "x"}
    assert plan_rows(*rows, of=agency(elsewhere, A={"first_name": "Adah"})).digest == plan_rows(*rows).digest


@pytest.mark.parametrize(
    "moved",
    [
        {"C": {"first_name": "Cyril"}},
        {"C": {"supervisor_id": 1}},
        {"D": {"email": "e@new.example"}},
        {"B": {"role_id": 3, "badge_number": "new E"}},
        {"B": {"email": "b@a.example"}, "A": {"email": "ben@a.example"}},
    ],
)
def test_the_digest_changes_if_another_effect_or_sentence_would_result(moved: dict[str, dict[str, object]]) -> None:
    rows = row(CY, FIRST_NAME="Cyrus"), row("E", SUPERVISOR_EMAIL="ben@a.example"), row("F", ROLE="Pope")
    assert plan_rows(*rows, of=agency(**moved)).digest != plan_rows(*rows).digest


def test_the_digest_depends_on_the_mode_and_on_the_deactivated_users() -> None:
    rows = [row(who) for who in (ADA, BEN, CY, DEE)]
    every = synchronize_rows(*rows)
    assert len({every.digest, plan_rows(*rows).digest, synchronize_rows(*rows[:3]).digest}) == 3


def test_the_operators_word_for_a_held_plan_does_not_change_the_digest() -> None:
    held = synchronize_rows(row(ADA), of=agency(), confirmed={"deactivations": 0})
    assert held.held is not None
    confirmed = synchronize_rows(row(ADA), confirmed={"deactivations": 3})
    assert confirmed.held is None and confirmed.digest == held.digest


def test_the_problems_of_a_plan_stand_by_row() -> None:
    made = plan_rows(row(DEE, ROLE="Pope", FIRST_NAME=""), row(CY, ROLE="Pope"))
    assert locate_problems(made.problems) == [
        (2, "required", "FIRST_NAME"),
        (2, "unknown-role", "ROLE"),
        (3, "unknown-role", "ROLE"),
    ]


def test_quotes_and_backslashes_survive_in_rendered_changes() -> None:
    made = plan_rows(row(CY, FIRST_NAME='C"y\\', LOCATION="{}"))
    assert json.loads(get_written(made, CY)["changes"]) == {"FIRST_NAME": ["Cy", 'C"y\\'], "LOCATION": ["North", "{}"]}


def test_a_fault_that_reading_found_keeps_a_row_from_being_settled() -> None:
    table = replace(make_table([row(CY), row(DEE)]), faults=problems.build_frame([Problem("cell-count", 2)]))
    assert outcomes(plan.make_plan(table, agency(), Policy())) == ["errored", "unchanged"]


def test_the_names_of_ranks_are_given_by_their_ids() -> None:
    words = replace(WORDS, ranks=(Rank(7, "Chief of =all"), *WORDS.ranks))
    made = plan_rows(row(CY, RANK="chief of =ALL"), of=replace(agency(), vocabulary=words))
    assert json.loads(get_written(made, CY)["changes"]) == {"RANK": ["Sergeant", "Chief of =all"]}


# More problems than anybody reads


def plan_csv(*rows: str) -> plan.Plan:
    """The plan of a CSV file of these rows below the required headings."""
    head = ",".join(column.heading for column in REQUIRED)
    return plan.make_plan(intake.read("\n".join([head, *rows]).encode()), agency(), Policy())


def test_a_file_whose_rows_have_too_many_problems_is_refused_with_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PROBLEMS", 10)
    assert outcomes(plan_csv("E,,,,,,,")) == ["errored"]
    made = plan_csv("E,,,,,,,", "F,,,,,,,")
    (refusal,) = made.refusals
    assert (refusal.code, refusal.value) == ("too-many-problems", "10")
    assert "Row 2: EMAIL is blank. Row 2: BADGE_NUMBER is blank. Row 2: FIRST_NAME is blank." in refusal.message
    assert (made.counts["rows"], made.rows.height, made.problems.height) == (2, 0, 0)


def test_problems_of_rows_among_each_other_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PROBLEMS", 10)
    rows = [f"E,e@a.example,9,Ann{number},Lee,Active,e,Officer" for number in range(12)]
    assert [problem.code for problem in plan_csv(*rows).refusals] == ["too-many-problems"]


def test_a_row_that_has_one_problem_alone_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PROBLEMS", 10)
    assert outcomes(plan_csv(*[f"E{number}," for number in range(10)])) == ["errored"] * 10


def test_large_files_may_have_more_problems_and_what_is_no_file_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PROBLEMS", 1)
    assert [budget.limit_problems(size) for size in (1, 800)] == [1, 10]
    assert outcomes(plan_rows(row("E", EMAIL=""), row("F", EMAIL=""))) == ["errored", "errored"]
