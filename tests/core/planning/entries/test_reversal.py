"""The undo: what is as the import left it goes back, what was changed since stays."""

from typing import Any

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Operator, Policy
from musterbook.core.planning.entries import reversal
from musterbook.core.planning.entries.reversal import Undone
from musterbook.core.planning.entries.state import StoredGroup, StoredRole
from musterbook.core.planning.entry_changes import EntryChange, EntryKind
from musterbook.core.planning.plan import Plan
from tests.core.planning.entries.entry_cast import ALL, CHIEF, GROUPS, agency, outcomes, shown

MOVED = {"id": pl.Int64, **dict.fromkeys(("external_id", "was_group", "group"), pl.String)}
MONITORED = {"id": pl.Int64, "external_id": pl.String, "group": pl.String, "added": pl.Boolean}


def undo(
    *changes: EntryChange, moves: Any = (), monitors: Any = (), used: Any = None, by: Operator | None = None, **state: Any
) -> Plan:  # fmt: skip
    """The plan that takes these changes back."""
    undone = Undone(
        changes, pl.DataFrame(moves, schema=MOVED, orient="row"), pl.DataFrame(monitors, schema=MONITORED, orient="row"),
        used or {},
    )  # fmt: skip
    return reversal.make_plan(undone, agency(**state), Policy(operator=by))


def group(key: str, before: Any, after: Any) -> EntryChange:
    """A change of a group: name, whether it is active, and what it is part of."""
    values = [
        None if one is None else dict(zip(("name", "active", "parent"), one, strict=True)) for one in (before, after)
    ]
    return EntryChange(EntryKind.GROUP, key, values[0], values[1])


def role(key: str, before: Any, after: Any) -> EntryChange:
    """A change of the permissions of a role."""
    values = [
        None if one is None else {"name": key.title(), "permissions": sorted(one), "second_factor": False}
        for one in (before, after)
    ]
    return EntryChange(EntryKind.ROLE, key, values[0], values[1])


def codes(made: Plan) -> list[tuple[int, str]]:
    """Row and code of each problem."""
    return [(one.row, one.code) for one in problems.list_problems(made.problems)]


def test_changes_go_back_and_stay_if_they_were_changed_since() -> None:
    made = undo(
        group("PATROL", ("Patrols", True, ""), ("Patrol", True, "HQ")),
        group("HQ", ("Headquarters", True, ""), ("HQ", True, "")),
        group("NIGHT", ("Nights", True, "PATROL"), ("Night", True, "PATROL")),
        group("GONE", ("Gone", True, ""), ("Gone", False, "")),
    )
    assert outcomes(made) == ["updated", "unchanged", "errored", "errored"]
    assert codes(made) == [(4, "changed-since"), (5, "changed-since")]
    assert shown(made) == [(2, "PATROL", "updated", '{"NAME": ["Patrol", "Patrols"], "PARENT_EXT_ID": ["HQ", ""]}')]


def test_what_was_added_is_deleted_unless_it_is_in_use() -> None:
    made = undo(
        group("NIGHT", None, ("Night shift", True, "PATROL")),
        group("PATROL", None, ("Patrol", True, "HQ")),
        used={EntryKind.GROUP: frozenset({"PATROL"})},
    )
    assert codes(made) == [(3, "entry-in-use")]
    assert [one[2] for one in shown(made)] == ["removed"]
    assert outcomes(made) == ["updated", "errored"]


def test_a_group_that_others_are_part_of_stays() -> None:
    assert codes(undo(group("PATROL", None, ("Patrol", True, "HQ")))) == [(2, "entry-in-use")]
    made = undo(
        group("PATROL", None, ("Patrol", True, "HQ")),
        group("NIGHT", ("Night shift", True, ""), ("Night shift", True, "PATROL")),
    )
    assert codes(made) == []


def test_a_former_parent_that_is_gone_or_closes_a_circle_is_a_problem() -> None:
    assert codes(undo(group("HQ", ("Headquarters", True, "GONE"), ("Headquarters", True, "")))) == [
        (2, "no-such-group")
    ]
    assert codes(undo(group("HQ", ("Headquarters", True, "NIGHT"), ("Headquarters", True, "")))) == [
        (2, "group-circle")
    ]


def test_groups_that_monitor_go_back() -> None:
    added = EntryChange(EntryKind.MONITOR, "HQ", None, {}, other="NIGHT")
    removed = EntryChange(EntryKind.MONITOR, "HQ", {}, None, other="OLD")
    done = EntryChange(EntryKind.MONITOR, "OLD", None, {}, other="HQ")
    made = undo(added, removed, done)
    assert outcomes(made) == ["updated", "added", "unchanged"]
    assert shown(made) == [
        (2, "NIGHT", "removed", '{"MONITOR_OF": ["HQ", ""]}'), (3, "OLD", "added", '{"MONITOR_OF": ["", "HQ"]}'),
    ]  # fmt: skip
    gone = {one.external_id: one for one in GROUPS if one.external_id != "OLD"}
    assert codes(undo(removed, groups=gone)) == [(2, "no-such-group")]


def test_permissions_go_back_only_by_who_has_them() -> None:
    change = role("officer", {"users.view"}, set())
    lost = role("chief", {"users.edit"}, {"groups.manage", "roles.manage", "users.edit"})
    made = undo(change, lost)
    assert (made.counts["privileges"], made.counts["losses"]) == (4, 0)
    assert codes(undo(change, by=CHIEF)) == [(2, "foreign-permission")]
    own = [StoredRole(9, "Chief", "chief", CHIEF.permissions)]
    assert codes(undo(lost, by=CHIEF, roles=own, own_role=9)) == [(2, "own-role")]
    assert codes(undo(role("clerk", None, ALL), roles=[StoredRole(9, "Clerk", "clerk", ALL)])) == []


def test_ranks_go_back() -> None:
    values = {"name": "Sergeant", "abbreviation": "Sgt", "position": 1}
    renamed = EntryChange(EntryKind.RANK, "sergeant", {**values, "abbreviation": ""}, values)
    missing = EntryChange(EntryKind.RANK, "major", {**values, "name": "Major"}, None)
    made = undo(renamed, missing)
    assert [one[1:3] for one in shown(made)] == [("Sergeant", "updated"), ("Major", "added")]


def test_users_go_back_to_groups_that_exist() -> None:
    made = undo(
        moves=[
            (1, "A", "NIGHT", "PATROL"), (3, "C", "", "NIGHT"), (4, "D", "HQ", "PATROL"), (2, "B", "GONE", "PATROL"),
            (5, "M", "PATROL", "HQ"),
        ],
        monitors=[(1, "A", "HQ", True), (2, "B", "HQ", False), (3, "C", "GONE", False), (4, "D", "HQ", True)],
    )  # fmt: skip
    assert codes(made) == [(4, "changed-since"), (5, "no-such-group"), (9, "no-such-group")]
    assert shown(made) == [
        (2, "A", "updated", '{"EVIDENCE_GROUP_EXT_ID":["PATROL","NIGHT"]}'),
        (3, "C", "removed", '{"EVIDENCE_GROUP_EXT_ID":["NIGHT",""]}'),
        (7, "A", "removed", '{"MONITOR_OF":["HQ",""]}'),
        (8, "B", "added", '{"MONITOR_OF":["","HQ"]}'),
    ]
    assert made.counts["losses"] == 2


def test_an_undo_moves_only_users_that_the_operator_may_move() -> None:
    made = undo(moves=[(1, "A", "NIGHT", "PATROL"), (2, "B", "NIGHT", "PATROL")], by=CHIEF)
    assert codes(made) == [(2, "above-your-role")]


def test_the_json_of_a_change_is_the_change() -> None:
    change = EntryChange(EntryKind.MONITOR, "HQ", None, {}, other="NIGHT", row=3)
    assert EntryChange.of_json(change.as_json()) == change
    assert StoredGroup(1, "A", "Alpha").parent == ""
