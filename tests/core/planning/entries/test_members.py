"""Files of members: who is in a group, who monitors it, and who leaves when groups are synchronized."""

import polars as pl
import pytest

from musterbook.core.domain.policy import Operator
from musterbook.core.domain.snapshot import HEADCOUNT
from musterbook.core.planning.entries.state import USERS
from tests.core.planning.entries.entry_cast import CHIEF, agency, found, outcomes, plan, shown


def test_rows_move_users_and_groups_and_add_monitors() -> None:
    made = plan(
        "members", "NIGHT,User,B,Member", "PATROL,user,A,member", "HQ,User,D,Monitor", "HQ,User,A,Monitor",
        "HQ,Group,NIGHT,Member", "PATROL,Group,HQ,Monitor", "HQ,Group,NIGHT,Monitor", "HQ,User,D,Member",
        "HQ,Group,OLD,Member",
    )  # fmt: skip
    assert found(made) == []
    assert outcomes(made) == [
        "updated", "unchanged", "added", "unchanged", "updated", "added", "unchanged", "added", "added",
    ]  # fmt: skip
    assert shown(made) == [
        (2, "B", "updated", '{"EVIDENCE_GROUP_EXT_ID":["PATROL","NIGHT"]}'),
        (4, "D", "added", '{"MONITOR_OF":["","HQ"]}'),
        (6, "NIGHT", "updated", '{"PARENT_EXT_ID": ["PATROL", "HQ"]}'),
        (7, "HQ", "added", '{"MONITOR_OF": ["", "PATROL"]}'),
        (9, "D", "added", '{"EVIDENCE_GROUP_EXT_ID":["","HQ"]}'),
        (10, "OLD", "added", '{"PARENT_EXT_ID": ["", "HQ"]}'),
    ]
    assert made.counts["losses"] == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("NOPE,User,A,Member", (2, "no-such-group", "GROUP_EXT_ID")),
        ("HQ,User,NOPE,Member", (2, "unknown-user", "MEMBER_EXT_ID")),
        ("HQ,Group,A,Member", (2, "no-such-group", "MEMBER_EXT_ID")),
        ("HQ,Usr,A,Member", (2, "invalid-choice", "MEMBER_TYPE")),
        ("HQ,User,A,Members", (2, "invalid-choice", "RELATION")),
        ("HQ,User,,Member", (2, "required", "MEMBER_EXT_ID")),
        (",User,A,Member", (2, "required", "GROUP_EXT_ID")),
        ("OLD,User,A,Member", (2, "inactive-group", "GROUP_EXT_ID")),
        ("NIGHT,Group,HQ,Member", (2, "group-circle", "GROUP_EXT_ID")),
        ("HQ,Group,HQ,Member", (2, "group-circle", "GROUP_EXT_ID")),
    ],
)
def test_a_row_with_a_problem_changes_nothing(row: str, problem: tuple[int, str, str]) -> None:
    made = plan("members", row)
    assert problem in found(made)
    assert outcomes(made) == ["errored"]
    assert shown(made) == []


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    made = plan("members", "PATROLS,User,a,Member", "HQ,User,0B,Member", "HQ,Usre,B,Monitr")
    hints = made.problems.select("code", "detail", "hint").rows()
    assert ("no-such-group", "", "Did you mean PATROL?") in hints
    assert ("unknown-user", "Did you mean A?", "") in hints
    assert ("unknown-user", "Did you mean B?", "") in hints
    assert ("invalid-choice", "User, Group", "Did you mean User?") in hints


def test_one_member_in_two_groups_is_a_problem_of_all_rows() -> None:
    made = plan("members", "HQ,User,D,Member", "NIGHT,User,D,Member", "HQ,User,D,Monitor", "NIGHT,User,D,Monitor")
    assert found(made) == [(2, "two-groups", "MEMBER_EXT_ID"), (3, "two-groups", "MEMBER_EXT_ID")]


def test_the_same_row_in_other_words_is_a_problem_of_both() -> None:
    made = plan("members", "HQ,User,D,Member", "HQ,USER,D,member")
    assert [code for _, code, _ in found(made)] == ["duplicate-in-file", "duplicate-in-file"]


def test_a_file_does_not_move_users_that_files_leave_unchanged() -> None:
    made = plan("members", "HQ,User,M,Member", by=CHIEF)
    assert (outcomes(made), made.notes["code"].to_list()) == (["unchanged"], ["not-by-files"])


def test_an_operator_moves_only_users_whose_permissions_they_have() -> None:
    made = plan("members", "HQ,User,A,Member", "HQ,User,B,Member", "PATROL,User,A,Monitor", by=CHIEF)
    assert found(made) == [(2, "above-your-role", "MEMBER_EXT_ID")]
    lacking = Operator(9, "Z", frozenset({"groups.manage"}))
    made = plan("members", "HQ,User,B,Member", "HQ,User,B,Monitor", "HQ,Group,OLD,Member", by=lacking)
    assert found(made) == [(2, "lacks-permission", "MEMBER_EXT_ID")]


def test_synchronized_groups_lose_all_that_the_file_does_not_list() -> None:
    made = plan("members", "PATROL,User,B,Member", "HQ,User,C,Monitor", sync=True)
    assert shown(made) == [
        (3, "C", "added", '{"MONITOR_OF":["","HQ"]}'),
        (None, "A", "removed", '{"EVIDENCE_GROUP_EXT_ID":["PATROL",""]}'),
        (None, "A", "removed", '{"MONITOR_OF":["HQ",""]}'),
        (None, "PATROL", "removed", '{"PARENT_EXT_ID": ["HQ", ""]}'),
        (None, "NIGHT", "removed", '{"PARENT_EXT_ID": ["PATROL", ""]}'),
        (None, "NIGHT", "removed", '{"MONITOR_OF": ["HQ", ""]}'),
    ]
    assert [(note.code, note.value) for note in made.table.notes] == [("members-kept", "1")]
    assert (made.counts["removed"], made.counts["losses"]) == (5, 1)
    assert made.entries is not None
    assert [one.row for one in made.entries.changes] == [0, 0, 0]


def test_synchronized_groups_keep_the_groups_that_the_file_lists() -> None:
    made = plan("members", "HQ,Group,PATROL,Member", "HQ,Group,NIGHT,Monitor", "HQ,User,A,Monitor", sync=True)
    assert shown(made) == []
    made = plan("members", "HQ,Group,PATROL,Monitor", "HQ,Group,NIGHT,Member", "HQ,User,A,Monitor", sync=True)
    assert [(row, key, outcome) for row, key, outcome, _ in shown(made)] == [
        (2, "PATROL", "added"), (3, "NIGHT", "updated"), (None, "PATROL", "removed"), (None, "NIGHT", "removed"),
    ]  # fmt: skip


def test_nobody_leaves_a_group_that_a_row_with_a_problem_names() -> None:
    made = plan("members", "PATROL,User,NOPE,Member", "NIGHT,User,B,Member", sync=True)
    assert shown(made) == [
        (3, "B", "updated", '{"EVIDENCE_GROUP_EXT_ID":["PATROL","NIGHT"]}'),
        (None, "C", "removed", '{"EVIDENCE_GROUP_EXT_ID":["NIGHT",""]}'),
    ]


def test_nobody_leaves_any_group_if_the_group_of_a_row_is_not_known() -> None:
    made = plan("members", "NOPE,User,D,Member", "NIGHT,User,D,Monitor", sync=True)
    assert shown(made) == [(3, "D", "added", '{"MONITOR_OF":["","NIGHT"]}')]
    assert [(note.value, note.detail) for note in made.table.notes] == [("1", "a row with a problem may name them")]


def test_users_that_the_operator_may_not_move_stay_in_a_synchronized_group() -> None:
    made = plan("members", "PATROL,User,B,Member", by=CHIEF, sync=True)
    assert sorted(note.detail for note in made.table.notes) == [
        "files do not change them", "their role has permissions that yours does not",
    ]  # fmt: skip
    lacking = Operator(9, "Z", frozenset({"groups.manage"}))
    made = plan("members", "NIGHT,User,D,Monitor", by=lacking, sync=True)
    assert [note.detail for note in made.table.notes] == ["your role does not have the permission users.edit"]


def test_other_groups_stay_as_they_are() -> None:
    made = plan("members", "OLD,User,D,Monitor", sync=True)
    assert [one[2] for one in shown(made)] == ["added"]


def test_many_losses_hold_the_import_until_their_number_is_confirmed() -> None:
    people = [(n, f"U{n}", f"User {n}", 3, 1, True, False) for n in range(10, 30)]
    state = agency(
        users=pl.DataFrame(people, schema=USERS, orient="row"),
        headcount=pl.DataFrame([(None, None, 20)], schema=HEADCOUNT, orient="row"),
    )
    made = plan("members", "HQ,User,U10,Member", state=state, sync=True)
    assert [(hold.key, hold.number, hold.limit) for hold in made.holds] == [("losses", 19, 5)]
    confirmed = plan("members", "HQ,User,U10,Member", state=state, sync=True, confirmed={"losses": 19})
    assert confirmed.holds == ()
    assert confirmed.digest == made.digest
