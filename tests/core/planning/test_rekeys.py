"""New external IDs (M14): each row names a user by their id, and gives them another, judged on the final state."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind, Mode, Operator, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import FORMER, MARKS, Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import rekeys
from musterbook.core.planning.plan import REKEYED, Plan
from musterbook.core.reporting.report import RowFilter, list_rows
from tests.core.cast import ADA_ACTS, BEN_ACTS, SYSTEM, WORDS, agency, codes, locate_problems, messages, outcomes, user
from tests.core.cast import OFFICER as ROLE

Pair = tuple[str, str]


def rekey(
    *pairs: Pair, of: Snapshot | None = None, by: Operator | None = SYSTEM, strict: bool = False, **policy: Any
) -> Plan:
    """The plan of the pairs (EXTERNAL_ID, NEW_EXTERNAL_ID), the first of which is row 2."""
    cells = pl.DataFrame(pairs, schema={"external_id": pl.String, "new_external_id": pl.String}, orient="row")
    table = Table(cells.with_row_index("row", offset=2))
    return rekeys.make_plan(table, of or agency(), Policy(Mode.REKEY, strict, by, **policy))


def after(made: Plan) -> dict[str, str]:
    """The ids of the users whom the plan changes, before and after."""
    return dict(made.rekeyed.select("external_id", "new_external_id").iter_rows())


def with_former(of: Snapshot, had: Iterable[tuple[int, str]]) -> Snapshot:
    """The agency, whose users of these numbers had those external IDs before."""
    return Snapshot(of.users, of.vocabulary, former=pl.DataFrame(list(had), schema=FORMER, orient="row"))


def test_a_user_gets_a_new_external_id_and_nothing_else_changes() -> None:
    made = rekey(("C", "N-3"))
    assert outcomes(made) == ["updated"]
    assert after(made) == {"C": "N-3"}
    assert dict(made.rekeyed.schema) == REKEYED
    assert made.updated.is_empty()
    assert made.counts["updated"] == 1
    assert list_rows(made, RowFilter.CHANGED)[0].as_json() == {
        "row": 2, "external_id": "C", "outcome": "updated", "changes": {"EXTERNAL_ID": ["C", "N-3"]}, "problems": [], "notes": [],
    }  # fmt: skip


def test_the_id_that_a_user_has_already_changes_nothing() -> None:
    made = rekey(("C", "C"))
    assert (outcomes(made), after(made)) == (["unchanged"], {})


def test_two_users_swap_their_ids() -> None:
    made = rekey(("C", "D"), ("D", "C"))
    assert outcomes(made) == ["updated", "updated"]
    assert made.rekeyed["vacates"].to_list() == [True, True]


def test_ids_go_round_and_along_chains_in_any_order_of_the_rows() -> None:
    for pairs in ([("A", "B"), ("B", "C"), ("C", "D"), ("D", "A")], [("A", "B"), ("B", "C"), ("C", "D"), ("D", "E")]):
        for seed in range(6):
            random.Random(seed).shuffle(pairs)
            made = rekey(*pairs)
            assert outcomes(made) == ["updated"] * 4
            assert after(made) == dict(pairs)


def test_only_a_user_whose_old_id_another_takes_vacates_it() -> None:
    made = rekey(("C", "D"), ("D", "N"))
    assert dict(made.rekeyed.select("external_id", "vacates").iter_rows()) == {"C": False, "D": True}


def test_an_id_that_its_holder_keeps_is_taken() -> None:
    made = rekey(("C", "D"))
    assert locate_problems(made.problems) == [(2, "taken", "NEW_EXTERNAL_ID")]
    assert messages(made.problems)[0].startswith("NEW_EXTERNAL_ID “D” belongs to Dee Ruiz (D, Active).")


def test_an_id_is_taken_by_an_inactive_user_as_well() -> None:
    assert "(D, Inactive)" in messages(rekey(("C", "D"), of=agency(D={"active": False})).problems)[0]


def test_a_row_that_needs_an_id_which_a_failed_row_keeps_fails_too() -> None:
    made = rekey(("B", "C"), ("C", "D"), ("D", ""))
    assert locate_problems(made.problems) == [
        (2, "taken", "NEW_EXTERNAL_ID"), (3, "taken", "NEW_EXTERNAL_ID"), (4, "required", "NEW_EXTERNAL_ID"),
    ]  # fmt: skip


def test_two_rows_that_ask_for_one_new_id_fail_both() -> None:
    made = rekey(("C", "N"), ("D", "N"))
    assert locate_problems(made.problems) == [
        (2, "duplicate-in-file", "NEW_EXTERNAL_ID"), (3, "duplicate-in-file", "NEW_EXTERNAL_ID"),
    ]  # fmt: skip


def test_two_rows_of_one_user_fail_both() -> None:
    made = rekey(("C", "N"), ("C", "M"))
    assert locate_problems(made.problems) == [
        (2, "duplicate-in-file", "EXTERNAL_ID"), (3, "duplicate-in-file", "EXTERNAL_ID"),
    ]  # fmt: skip


def test_rows_that_are_the_same_are_one_row() -> None:
    """M6."""
    made = rekey(("C", "N"), ("D", "M"), ("C", "N"))
    assert (outcomes(made), made.counts["skipped"]) == (["updated", "updated"], 1)
    assert [(note.code, note.detail) for note in made.table.notes] == [("repeated-row", "4")]


def test_an_id_that_equals_another_after_nfkc_is_taken() -> None:
    of = agency(D={"external_id": "①"})
    made = rekey(("C", "1"), of=of)
    assert locate_problems(made.problems) == [(2, "taken", "NEW_EXTERNAL_ID")]
    assert "Character 1 of “①” is U+2460" in messages(made.problems)[0]
    assert locate_problems(rekey(("C", "１"), ("B", "1")).problems) == [
        (2, "duplicate-in-file", "NEW_EXTERNAL_ID"), (3, "duplicate-in-file", "NEW_EXTERNAL_ID"),
    ]  # fmt: skip


def test_a_user_may_get_another_form_of_their_own_id_but_does_not_release_it_by_that() -> None:
    of = agency(C={"external_id": "①"})
    assert after(rekey(("①", "1"), of=of)) == {"①": "1"}
    assert locate_problems(rekey(("①", "1"), ("D", "①"), of=of).problems) == [
        (2, "duplicate-in-file", "NEW_EXTERNAL_ID"), (3, "duplicate-in-file", "NEW_EXTERNAL_ID"),
        (3, "taken", "NEW_EXTERNAL_ID"),
    ]  # fmt: skip


def test_ids_differ_by_case() -> None:
    assert outcomes(rekey(("C", "d"))) == ["updated"]


def test_an_unknown_id_is_a_problem_that_names_the_id_which_is_probably_meant() -> None:
    of = agency(C={"external_id": "00123"})
    made = rekey(("123", "N"), ("nobody", "M"), of=of)
    assert locate_problems(made.problems) == [(2, "unknown-user", "EXTERNAL_ID"), (3, "unknown-user", "EXTERNAL_ID")]
    assert [text.split(" Write")[0].strip() for text in messages(made.problems)] == [
        "There is no user with the external ID “123”. Did you mean 00123?", "There is no user with the external ID “nobody”.",
    ]  # fmt: skip


def test_an_id_that_a_user_had_before_is_named_with_that_user() -> None:
    made = rekey(("old", "N"), of=with_former(agency(), [(3, "old")]))
    assert messages(made.problems)[0].startswith(
        "There is no user with the external ID “old”. Cy Ruiz (C) had it before."
    )


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("", "required"),
        ("x" * 256, "too-long"),
        ("a\x07b", "illegal-character"),
        ("1.23457E+15", "spreadsheet-damage"),
        ("#N/A", "spreadsheet-damage"),
    ],
)
def test_a_new_id_is_checked_like_any_external_id(new: str, code: str) -> None:
    made = rekey(("C", new), ("D", "N"))
    assert locate_problems(made.problems) == [(2, code, "NEW_EXTERNAL_ID")]
    assert outcomes(made) == ["errored", "updated"]


@pytest.mark.parametrize("new", ["123", "00123.0", "NULL", "n/a"])
def test_a_new_id_that_looks_damaged_is_an_error_until_someone_says_that_it_is_meant(new: str) -> None:
    """C12: a spreadsheet that drops the zeros of a column of new ids must not pass unseen."""
    of = agency(C={"external_id": "00123"})
    assert locate_problems(rekey(("00123", new), of=of).problems) == [(2, "looks-damaged", "NEW_EXTERNAL_ID")]
    accepted = Decisions(accepted={"looks-damaged": ""})
    assert after(rekey(("00123", new), of=of, decisions=accepted)) == {"00123": new}
    kept = Decisions(by_row={2: {"looks-damaged": "NEW_EXTERNAL_ID"}})
    assert after(rekey(("00123", new), of=of, decisions=kept)) == {"00123": new}


def test_a_blank_or_damaged_old_id_is_a_problem_of_its_own_and_not_an_unknown_user() -> None:
    made = rekey(("", "N"), ("#REF!", "M"))
    assert locate_problems(made.problems) == [(2, "required", "EXTERNAL_ID"), (3, "spreadsheet-damage", "EXTERNAL_ID")]


def test_an_operator_changes_no_user_above_their_role() -> None:
    made = rekey(("A", "N"), ("C", "M"), by=BEN_ACTS)
    assert locate_problems(made.problems) == [(2, "above-your-role", "EXTERNAL_ID")]
    assert outcomes(made) == ["errored", "updated"]


def test_a_row_that_changes_nothing_of_a_user_above_the_operator_is_fine() -> None:
    assert outcomes(rekey(("A", "A"), by=BEN_ACTS)) == ["unchanged"]


def test_an_operator_may_change_their_own_id_and_the_last_administrator_theirs() -> None:
    assert outcomes(rekey(("A", "N"), ("B", "M"), by=ADA_ACTS)) == ["updated", "updated"]


def matched_by_id(of: Snapshot) -> Snapshot:
    words = Vocabulary(WORDS.roles, WORDS.ranks, WORDS.groups, matched_by_id=True)
    return Snapshot(of.users, words)


def test_a_new_id_that_an_identity_provider_must_know_is_noted_for_registered_users() -> None:
    of = matched_by_id(agency(C={"registered": True}))
    made = rekey(("C", "N"), ("D", "M"), of=of)
    assert locate_problems(made.notes) == [(2, "sign-on-id", "NEW_EXTERNAL_ID")]


def test_where_ids_decide_who_signs_in_a_new_id_needs_the_permission_for_credentials() -> None:
    of = matched_by_id(agency(C={"registered": True}))
    made = rekey(("C", "N"), ("D", "M"), of=of, by=BEN_ACTS)
    assert locate_problems(made.problems) == [(2, "registered-id", "NEW_EXTERNAL_ID")]
    may = Operator(2, "B", BEN_ACTS.permissions | {"credentials.manage"})
    assert codes(rekey(("C", "N"), of=of, by=may).problems) == []


def test_the_same_file_again_changes_nothing() -> None:
    """Law 1, also for swaps, which would be undone, and for chains, whose ids are others' by now."""
    swapped = with_former(agency(C={"external_id": "D"}, D={"external_id": "C"}), [(3, "C"), (4, "D")])
    made = rekey(("C", "D"), ("D", "C"), of=swapped)
    assert outcomes(made) == ["unchanged", "unchanged"]
    assert codes(made.notes) == ["already-changed", "already-changed"]
    moved = with_former(agency(C={"external_id": "D"}, D={"external_id": "N"}), [(3, "C"), (4, "D")])
    assert outcomes(rekey(("C", "D"), ("D", "N"), of=moved)) == ["unchanged", "unchanged"]


def test_a_row_was_not_done_before_if_the_file_moves_that_user_on() -> None:
    of = with_former(agency(C={"external_id": "N"}), [(3, "C")])
    made = rekey(("C", "N"), ("N", "M"), of=Snapshot(
        pl.concat([of.users, pl.DataFrame([user(5, "Cleo", ROLE, 2)], schema=of.users.schema)]), of.vocabulary, former=of.former
    ))  # fmt: skip
    assert after(made) == {"C": "N", "N": "M"}


def test_a_user_that_files_do_not_change_keeps_their_id_with_a_note() -> None:
    """S11."""
    marks = pl.DataFrame(
        [{"id": 3, "source": "", "no_files": True, "missing_since": None, "missing_imports": 0}], schema=MARKS
    )
    of = replace(agency(), marks=marks)
    made = rekey(("C", "N"), ("D", "C"), of=of)
    assert outcomes(made) == ["unchanged", "errored"]
    assert locate_problems(made.notes) == [(2, "not-by-files", "")]
    assert locate_problems(made.problems) == [(3, "taken", "NEW_EXTERNAL_ID")]
    assert (outcomes(rekey(("C", ""), of=of)), codes(rekey(("C", "N"), ("C", "M"), of=of).problems)) == (
        ["unchanged"], ["duplicate-in-file", "duplicate-in-file"],
    )  # fmt: skip


ALL = [("A", "N-1"), ("B", "N-2"), ("C", "N-3"), ("D", "N-4")]


def test_more_new_ids_than_the_limit_hold_the_import_until_their_exact_number_is_confirmed() -> None:
    """S4: the larger of 3 users and 1 %."""
    assert rekey(*ALL[:3]).holds == ()
    (hold,) = rekey(*ALL).holds
    assert (hold.code, hold.kind, hold.users, hold.active, hold.limit) == ("limit", "rekeys", 4, 4, 3)
    assert rekey(*ALL, confirmed={"rekeys": 4}).holds == ()
    assert [hold.users for hold in rekey(*ALL[:2], confirmed={"rekeys": 4}).holds] == [2]


def test_rows_that_change_no_id_do_not_count_toward_the_limit() -> None:
    assert rekey(*ALL[:3], ("D", "D"), ("nobody", "N-5")).holds == ()


def test_a_role_may_have_a_limit_of_its_own() -> None:
    officers = Limit(LimitKind.REKEYS, users=1, role="Officer")
    limits = (*DEFAULT_LIMITS, officers)
    assert rekey(*ALL[:3], limits=limits).holds == ()
    assert [(hold.role, hold.users) for hold in rekey(*ALL[1:], limits=limits).holds] == [("Officer", 2)]


def test_no_row_at_all_and_an_agency_without_users_are_fine() -> None:
    assert rekey().counts["rows"] == 0
    empty = Snapshot(vocabulary=WORDS)
    assert codes(rekey(("C", "N"), of=empty).problems) == ["unknown-user"]


def test_strict_mode_writes_nothing_if_a_row_has_a_problem() -> None:
    made = rekey(("C", "N"), ("nobody", "M"), strict=True)
    assert [problem.code for problem in made.refusals] == ["not-strict"]


def test_a_refused_file_makes_a_refused_plan() -> None:
    table = Table.refused([Problem.of("empty-file")])
    made = rekeys.make_plan(table, agency(), Policy(Mode.REKEY))
    assert [problem.code for problem in made.refusals] == ["empty-file"]


def test_a_file_with_another_number_of_rows_than_expected_is_refused() -> None:
    """F11."""
    assert [problem.code for problem in rekey(("C", "N"), expect_rows=2).refusals] == ["row-count"]


def test_too_many_problems_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musterbook.core.reading.budget.limit_problems", lambda _: 1)
    made = rekey(("nobody", "N"), ("no one", "M"))
    assert [problem.code for problem in made.refusals] == ["too-many-problems"]


def test_the_digest_covers_who_gets_which_id() -> None:
    assert rekey(("C", "N")).digest != rekey(("C", "M")).digest
    other = agency(C={"id": 30})
    assert rekey(("C", "N")).digest != rekey(("C", "N"), of=other).digest
