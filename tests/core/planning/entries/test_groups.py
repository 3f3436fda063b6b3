"""Files of groups: names, states, parents and circles."""

import pytest

from musterbook.core.planning.entries import groups as planning
from musterbook.core.planning.entries.state import StoredGroup
from musterbook.core.reading import budget
from tests.core.planning.entries.entry_cast import agency, found, outcomes, plan, shown


def test_a_file_adds_and_changes_groups() -> None:
    made = plan("groups", "HQ,Head office,Active,", "NEW,New unit,active,HQ", "NIGHT,Night shift,Active,PATROL")
    assert outcomes(made) == ["updated", "added", "unchanged"]
    assert shown(made) == [
        (2, "HQ", "updated", '{"NAME": ["Headquarters", "Head office"]}'),
        (3, "NEW", "added", '{"NAME": ["", "New unit"], "STATUS": ["", "Active"], "PARENT_EXT_ID": ["", "HQ"]}'),
    ]
    assert found(made) == []


def test_a_missing_column_changes_nothing_unless_the_groups_are_synchronized() -> None:
    rows = ("PATROL,Patrol", "OLD,Old unit")
    assert outcomes(plan("groups", *rows, head="EXTERNAL_ID,NAME")) == ["unchanged", "unchanged"]
    made = plan("groups", *rows, head="EXTERNAL_ID,NAME", sync=True)
    assert shown(made) == [
        (2, "PATROL", "updated", '{"PARENT_EXT_ID": ["HQ", ""]}'),
        (3, "OLD", "updated", '{"STATUS": ["Deleted", "Active"]}'),
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("N,ab,Active,", (2, "name-length", "NAME")),
        (f"N,{'x' * 129},Active,", (2, "name-length", "NAME")),
        ("N,New unit,,", (2, "required", "STATUS")),
        ("N,New unit,Inactive,", (2, "invalid-choice", "STATUS")),
        ("N,New unit,Active,NOPE", (2, "no-such-group", "PARENT_EXT_ID")),
        ("N,New unit,Active,N", (2, "group-circle", "PARENT_EXT_ID")),
        ("HQ,Headquarters,Active,NIGHT", (2, "group-circle", "PARENT_EXT_ID")),
        (",New unit,Active,", (2, "required", "EXTERNAL_ID")),
        ("#REF!,New unit,Active,", (2, "spreadsheet-damage", "EXTERNAL_ID")),
        ("1.5E+15,New unit,Active,", (2, "spreadsheet-damage", "EXTERNAL_ID")),
        ("N,New unit,Active", (2, "cell-count", "")),
    ],
)
def test_a_row_with_a_problem_changes_nothing(row: str, problem: tuple[int, str, str]) -> None:
    made = plan("groups", row)
    assert found(made) == [problem]
    assert outcomes(made) == ["errored"]
    assert made.entries is not None
    assert made.entries.changes == ()


def test_a_name_has_three_to_128_characters() -> None:
    made = plan("groups", "N,abc,Active,", f"M,{'x' * 128},Active,")
    assert (outcomes(made), found(made)) == (["added", "added"], [])


def test_a_stored_name_outside_the_rules_stays() -> None:
    state = agency(groups={"X": StoredGroup(1, "X", "ab")})
    assert outcomes(plan("groups", "X,ab,Active,", state=state)) == ["unchanged"]


def test_the_circle_is_named() -> None:
    made = plan("groups", "HQ,Headquarters,Active,NIGHT")
    assert made.problems["detail"].to_list() == ["HQ → NIGHT → PATROL → HQ"]


def test_a_group_in_two_rows_is_a_problem_of_both() -> None:
    made = plan("groups", "N,New unit,Active,", "N,Other unit,Active,", "N,xx,Active,", "M,More units,Active,N")
    assert found(made) == [
        (2, "duplicate-in-file", "EXTERNAL_ID"),
        (3, "duplicate-in-file", "EXTERNAL_ID"),
        (4, "duplicate-in-file", "EXTERNAL_ID"),
        (4, "name-length", "NAME"),
        (5, "no-such-group", "PARENT_EXT_ID"),
    ]


def test_a_repeated_row_with_an_unreadable_name_names_the_others() -> None:
    made = plan("groups", "N,New unit,Active,", "N,,Active,")
    assert found(made) == [
        (2, "duplicate-in-file", "EXTERNAL_ID"),
        (3, "duplicate-in-file", "EXTERNAL_ID"),
        (3, "required", "NAME"),
    ]


def test_rows_that_are_the_same_are_one() -> None:
    made = plan("groups", "N,New unit,Active,", "N,New unit,Active,")
    assert outcomes(made) == ["added"]
    assert [note.code for note in made.table.notes] == ["repeated-row"]


def test_a_new_group_whose_row_fails_takes_those_in_it_along_in_any_order() -> None:
    rows = ["N1,Unit one,Active,N2", "N2,Unit two,Active,N3", "N3,Unit three,Active,NOPE"]
    codes = [(row, "no-such-group", "PARENT_EXT_ID") for row in (2, 3, 4)]
    assert found(plan("groups", *rows)) == codes
    assert found(plan("groups", *reversed(rows))) == codes


def test_a_new_group_on_a_circle_takes_those_in_it_along() -> None:
    made = plan("groups", "N1,Unit one,Active,N2", "N2,Unit two,Active,N1", "N3,Unit three,Active,N1")
    assert [(row, code) for row, code, _ in found(made)] == [
        (2, "group-circle"), (3, "group-circle"), (4, "no-such-group"),
    ]  # fmt: skip


def test_a_row_that_fails_can_close_another_circle() -> None:
    """HQ stays above PATROL because its new parent does not exist, so PATROL's swap with it closes a circle."""
    rows = ("NIGHT,Night shift,Active,HQ", "HQ,Headquarters,Active,NOPE", "PATROL,Patrol,Active,")
    assert outcomes(plan("groups", *rows)) == ["updated", "errored", "updated"]
    two = ("PATROL,Patrol,Active,NOPE", "HQ,Headquarters,Active,PATROL")
    assert found(plan("groups", *two)) == [
        (2, "no-such-group", "PARENT_EXT_ID"),
        (3, "group-circle", "PARENT_EXT_ID"),
    ]


def test_parents_settle_in_a_limited_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_MOST_ATTEMPTS", 1)
    made = plan("groups", "HQ,Headquarters,Active,NIGHT", "OLD,Old unit,Deleted,HQ", "X,Unit ex,Active,OLD")
    assert [(row, code) for row, code, _ in found(made)] == [
        (2, "group-circle"),
        (3, "group-circle"),
        (4, "group-circle"),
    ]


def test_users_of_a_deleted_group_count_as_losing_it() -> None:
    made = plan("groups", "PATROL,Patrol,Deleted,HQ", "OLD,Old unit,Deleted,")
    assert made.counts["losses"] == 3
    assert outcomes(made) == ["updated", "unchanged"]


def test_strict_writes_nothing_and_rows_are_counted() -> None:
    made = plan("groups", "N,ab,Active,", strict=True)
    assert [problem.code for problem in made.refusals] == ["not-strict"]
    assert [problem.code for problem in plan("groups", "N,New,Active,", expect_rows=2).refusals] == ["row-count"]


def test_a_file_without_its_columns_or_with_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.code for one in plan("groups", "x,y", head="EXTERNAL_ID,OTHER").refusals] == ["missing-column"]
    monkeypatch.setattr(planning, "MOST_ROWS", 1)
    assert [one.code for one in plan("groups", "N,New,Active,", "M,Moo,Active,").refusals] == ["too-many-rows"]


def test_a_file_without_rows_changes_nothing() -> None:
    for what in ("groups", "members", "roles", "ranks"):
        made = plan(what)
        assert (made.counts["rows"], shown(made), made.refusals) == (0, [], ())


def test_too_many_problems_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PROBLEMS", 10)
    monkeypatch.setattr(budget, "BYTES_OF_PROBLEM", 10_000)
    made = plan("groups", *(f"N{number},x,y,z" for number in range(20)))
    assert [one.code for one in made.refusals] == ["too-many-problems"]
