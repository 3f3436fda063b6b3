"""The cast of the tests of planning: Ada the administrator, Ben the chief under her, Cy and Dee the officers under Ben."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.policy import DEFAULT_LIMITS, Confirmed, Limit, LimitKind, Mode, Operator, Policy
from musterbook.core.domain.snapshot import SCHEMA, Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan

ADMIN = Role(1, "Admin", frozenset({"view", "edit", "all"}), administrator=True)
CHIEF = Role(2, "Chief", frozenset({"view", "edit"}))
OFFICER = Role(3, "Officer", frozenset({"view"}))
WORDS = Vocabulary(
    (ADMIN, CHIEF, OFFICER),
    (Rank(1, "Captain"), Rank(2, "Sergeant", "Sgt")),
    (Group(1, "G-1"), Group(2, "G-OLD", active=False)),
)
SYSTEM = None
BEN_ACTS = Operator(2, "B", CHIEF.permissions)
ADA_ACTS = Operator(1, "A", ADMIN.permissions)

_NOTHING = {"location": "", "rank_id": None, "group_id": None, "phone": "", "registered": False, "exempt": False}


def user(number: int, name: str, role: Role, boss: int | None, **other: object) -> dict[str, object]:
    """A user as the directory holds them: the external ID is the name's first letter."""
    return {
        "id": number, "external_id": name[0], "email": f"{name.lower()}@a.example", "badge_number": f"{number}00",
        "first_name": name, "last_name": "Ruiz", "active": True, "username": name.lower(), "role_id": role.id,
        "supervisor_id": boss, **_NOTHING, **other,
    }  # fmt: skip


CAST = (
    user(1, "Ada", ADMIN, None, registered=True),
    user(2, "Ben", CHIEF, 1, registered=True),
    user(3, "Cy", OFFICER, 2, location="North", rank_id=2, phone="+12025550143"),
    user(4, "Dee", OFFICER, 2),
)
ADA, BEN, CY, DEE = "A", "B", "C", "D"


def agency(*others: dict[str, object], **changed: Mapping[str, object]) -> Snapshot:
    """The cast's agency, with others, and some of the cast changed: `agency(C={"active": False})`."""
    users = [{**one, **changed.get(str(one["external_id"]), {})} for one in (*CAST, *others)]
    return Snapshot(pl.DataFrame(users, schema=SCHEMA), WORDS)


def row(who: str, **cells: str) -> dict[str, str]:
    """A row that repeats one of the cast, but for some cells; whoever is not of the cast is new."""
    known: dict[str, Any] = {str(one["external_id"]): one for one in CAST}
    return {**(_repeated(known[who], known) if who in known else _new(who)), **cells}


def _repeated(one: dict[str, Any], known: dict[str, Any]) -> dict[str, str]:
    bosses = {boss["id"]: boss["email"] for boss in known.values()}
    return {
        "EXTERNAL_ID": one["external_id"], "EMAIL": one["email"], "BADGE_NUMBER": one["badge_number"],
        "FIRST_NAME": one["first_name"], "LAST_NAME": one["last_name"], "STATUS": "Active", "USERNAME": one["username"],
        "ROLE": {role.id: role.name for role in WORDS.roles}[one["role_id"]],
        "SUPERVISOR_EMAIL": bosses.get(one["supervisor_id"], ""), "LOCATION": one["location"],
        "RANK": {2: "Sergeant"}.get(one["rank_id"], ""), "EVIDENCE_GROUP_EXT_ID": "", "PHONE": one["phone"],
    }  # fmt: skip


def _new(who: str) -> dict[str, str]:
    return {
        "EXTERNAL_ID": who, "EMAIL": f"{who.lower()}@new.example", "BADGE_NUMBER": f"new {who}", "FIRST_NAME": f"First {who}",
        "LAST_NAME": f"Last {who}", "STATUS": "Active", "USERNAME": f"new {who}", "ROLE": "Officer", "SUPERVISOR_EMAIL": "",
        "LOCATION": "", "RANK": "", "EVIDENCE_GROUP_EXT_ID": "", "PHONE": "",
    }  # fmt: skip


def without(column: str, *rows: dict[str, str]) -> list[dict[str, str]]:
    """The rows of a file that does not bear the column."""
    return [{heading: cell for heading, cell in one.items() if heading != column} for one in rows]


def make_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """The table of a file with these rows (heading → cell), the first of which is row 2."""
    cells = pl.DataFrame([{heading.lower(): cell for heading, cell in one.items()} for one in rows])
    return Table(cells.with_row_index("row", offset=2))


FIVE_LEAVE = (Limit(LimitKind.DEACTIVATIONS, 5, 10, 500), *DEFAULT_LIMITS[1:])
"""The limits of an agency that lets five of its users go, although it is small."""


def plan_rows(
    *rows: dict[str, str], of: Snapshot | None = None, mode: Mode = Mode.UPDATE, strict: bool = False,
    by: Operator | None = SYSTEM, confirmed: Confirmed | None = None, limits: Sequence[Limit] = (),
) -> Plan:  # fmt: skip
    """The plan of the rows, the first of which is row 2. `limits`: those that are not as in FIVE_LEAVE."""
    kinds = {limit.kind for limit in limits if limit.whole}
    others = (limit for limit in FIVE_LEAVE if limit.kind not in kinds)
    policy = Policy(mode, strict, by, (*others, *limits), confirmed or {})
    return plan.make_plan(make_table(rows), of or agency(), policy)


def synchronize_rows(*rows: dict[str, str], of: Snapshot | None = None, **options: Any) -> Plan:
    """The plan of the rows in synchronize mode."""
    return plan_rows(*rows, of=of, mode=Mode.SYNC, **options)


def outcomes(made: Plan) -> list[str]:
    """What becomes of each row, in their order."""
    return [str(outcome) for outcome in made.rows["outcome"].to_list()]


def locate_problems(found: pl.DataFrame) -> list[tuple[int, str, str]]:
    """Row, code and column of problems or notes."""
    return [(problem.row, problem.code, problem.column) for problem in problems.list_problems(found)]


def codes(found: pl.DataFrame) -> list[str]:
    """The codes of problems or notes."""
    return [problem.code for problem in problems.list_problems(found)]


def messages(found: pl.DataFrame) -> list[str]:
    """The sentences of problems or notes, with what to do."""
    return [f"{problem.message} {problem.remedy}".strip() for problem in problems.list_problems(found)]


def get_written(made: Plan, who: str) -> dict[str, Any]:
    """The user as the plan would write them, with what changes."""
    for users in (made.added, made.updated):
        for one in made.with_changes(users.filter(pl.col("external_id") == who)).to_dicts():
            return one
    raise LookupError(who)


def ids(frame: pl.DataFrame) -> Sequence[str]:
    """The external IDs of some users."""
    return frame["external_id"].to_list()
