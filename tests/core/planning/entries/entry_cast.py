"""The agency of these tests: groups HQ ⊃ PATROL ⊃ NIGHT and OLD (deleted), four users, three roles and three ranks."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.planning.entries import groups, members, ranks, roles
from musterbook.core.planning.entries.state import (
    MONITORINGS,
    USERS,
    EntryState,
    StoredGroup,
    StoredRank,
    StoredRole,
)
from musterbook.core.planning.harms import HARMED
from musterbook.core.planning.plan import Plan
from musterbook.core.reading import intake

ALL = frozenset({"groups.manage", "roles.manage", "users.edit", "users.view"})
ROLES = (
    StoredRole(1, "Admin", "admin", ALL, administrator=True),
    StoredRole(2, "Chief", "chief", frozenset({"groups.manage", "roles.manage", "users.edit"})),
    StoredRole(3, "Officer", "officer", frozenset()),
)
RANKS = (
    StoredRank(1, "Captain", "captain", "Cpt"),
    StoredRank(2, "Sergeant", "sergeant", "Sgt"),
    StoredRank(3, "Officer", "officer"),
)
GROUPS = (
    StoredGroup(1, "HQ", "Headquarters"),
    StoredGroup(2, "PATROL", "Patrol", parent="HQ"),
    StoredGroup(3, "NIGHT", "Night shift", parent="PATROL"),
    StoredGroup(4, "OLD", "Old unit", active=False),
)
PEOPLE = (
    (1, "A", "Ada Ruiz", 1, 2, True, False),
    (2, "B", "Ben Ruiz", 3, 2, True, False),
    (3, "C", "Cy Ruiz", 3, 3, True, False),
    (4, "D", "Dee Ruiz", 3, None, True, False),
    (5, "M", "Mo Ruiz", 3, 2, True, True),
)
CHIEF = Operator(9, "Z", ROLES[1].permissions)
HEADS = {
    "groups": "EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID",
    "members": "GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION",
    "roles": "NAME,PERMISSIONS,SECOND_FACTOR",
    "ranks": "NAME,ABBREVIATION,ORDER",
}
_PLANS: dict[str, Any] = {"groups": groups, "members": members, "roles": roles, "ranks": ranks}


def find_users(noun: str, ids: Sequence[int]) -> pl.DataFrame:
    """The users of some roles or groups."""
    place = 3 if noun == "role" else 4
    found = [one for one in PEOPLE if one[place] in ids]
    rows = [(None, one[1], one[3], one[3], one[4], one[4]) for one in found]
    return pl.DataFrame(rows, schema=HARMED, orient="row")


def agency(**changed: Any) -> EntryState:
    """The agency. Ada monitors HQ, and so do the members of NIGHT."""
    usual: dict[str, Any] = {
        "groups": {group.external_id: group for group in GROUPS}, "roles": ROLES, "ranks": RANKS,
        "users": pl.DataFrame(PEOPLE, schema=USERS, orient="row"),
        "monitors": pl.DataFrame([(1, 1)], schema=MONITORINGS, orient="row"),
        "group_monitors": frozenset({("HQ", "NIGHT")}), "find_users": find_users, "permissions": ALL,
    }  # fmt: skip
    return EntryState(**usual | changed)


def plan(
    what: str, *rows: str, head: str = "", state: EntryState | None = None, by: Operator | None = None,
    sync: bool = False, **policy: Any,
) -> Plan:  # fmt: skip
    """The plan of a file of these rows, the first of which is row 2."""
    content = "\n".join([head or HEADS[what], *rows, ""]).encode()
    table = intake.read(content, intake.ReadOptions(layout=what))
    mode = Mode.SYNC if sync else Mode.UPDATE
    made: Plan = _PLANS[what].make_plan(table, state or agency(), Policy(mode, operator=by, **policy))
    return made


def found(made: Plan) -> list[tuple[int, str, str]]:
    """Row, code and column of each problem."""
    return [(one.row, one.code, one.column) for one in problems.list_problems(made.problems)]


def shown(made: Plan) -> list[tuple[int | None, str, str, str]]:
    """Row, key, outcome and changes of all that the plan shows."""
    assert made.entries is not None
    return list(made.entries.shown.select("row", "external_id", "outcome", "changes").iter_rows())


def outcomes(made: Plan) -> list[str]:
    """The outcome of each row."""
    return [str(one) for one in made.rows["outcome"]]
