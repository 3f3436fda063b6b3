"""Limits (S4, S3): what holds an import, and what confirms it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain.policy import DEFAULT_LIMITS, Confirmed, Limit, LimitKind, Mode, Policy
from musterbook.core.domain.snapshot import HEADCOUNT, Snapshot
from musterbook.core.domain.table import Doubt
from musterbook.core.planning import plan
from musterbook.core.planning.holds import Hold
from musterbook.core.planning.plan import Plan
from tests.core.cast import (
    ADA,
    BEN,
    CHIEF,
    CY,
    DEE,
    OFFICER,
    agency,
    make_table,
    plan_rows,
    row,
    synchronize_rows,
    user,
    without,
)

DEFAULTS = {limit.kind: limit for limit in DEFAULT_LIMITS}


def keys(made: Plan) -> list[str]:
    return [hold.key for hold in made.holds]


def no(kind: LimitKind, **more: Any) -> tuple[Limit, ...]:
    """A limit that allows nobody."""
    return (Limit(kind, **more),)


# Limits


@pytest.mark.parametrize(
    ("kind", "active", "allowed"),
    [
        ("deactivations", 40, 5), ("deactivations", 60, 6), ("deactivations", 9000, 500), ("deactivations", 6, 2),
        ("deactivations", 2, 1), ("deactivations", 0, 1), ("privileges", 40, 3), ("privileges", 400, 4),
        ("privileges", 9000, 20), ("handovers", 9000, 90), ("cleared", 40, 5), ("cleared", 9000, 900), ("rekeys", 900, 9),
        ("rekeys", 40, 3),
    ],
)  # fmt: skip
def test_the_defaults_are_those_of_the_rule(kind: str, active: int, allowed: int) -> None:
    """Rule S4, with the third that caps the default of deactivations."""
    limit = DEFAULTS[LimitKind(kind)]
    assert (limit.off, limit.allowed(active)) == (False, allowed)


def test_updates_and_additions_have_no_limit_by_default() -> None:
    assert DEFAULTS[LimitKind.UPDATES].off and DEFAULTS[LimitKind.ADDITIONS].off


def test_a_limit_that_the_agency_has_set_may_be_more_than_a_third() -> None:
    assert Limit(LimitKind.DEACTIVATIONS, 5, 10).allowed(6) == 5


# What is over them


def test_rows_that_say_inactive_count_with_those_who_are_missing() -> None:
    """Rule S4: everyone who loses access, in both modes."""
    made = synchronize_rows(row(ADA), row(CY, STATUS="Inactive"), limits=(Limit(LimitKind.DEACTIVATIONS, 2),))
    assert [(hold.kind, hold.users, hold.active, hold.limit) for hold in made.holds] == [("deactivations", 3, 4, 2)]
    assert made.holds[0].external_ids == ("C", "B", "D")
    assert keys(plan_rows(row(CY, STATUS="Inactive"), limits=no(LimitKind.DEACTIVATIONS))) == ["deactivations"]


def test_each_kind_is_confirmed_by_its_own_number() -> None:
    rows = [row(CY, STATUS="Inactive"), row(DEE, ROLE="Chief")]
    both = no(LimitKind.DEACTIVATIONS) + no(LimitKind.PRIVILEGES)
    assert keys(plan_rows(*rows, limits=both)) == ["deactivations", "privileges"]
    assert keys(plan_rows(*rows, limits=both, confirmed={"deactivations": 1})) == ["privileges"]
    assert keys(plan_rows(*rows, limits=both, confirmed={"deactivations": 1, "privileges": 2})) == ["privileges"]
    assert keys(plan_rows(*rows, limits=both, confirmed={"deactivations": 1, "privileges": 1})) == []


def test_a_number_that_has_changed_holds_again_even_within_the_limit() -> None:
    assert keys(plan_rows(row(CY, STATUS="Inactive"), confirmed={"deactivations": 2})) == ["deactivations"]


def test_a_limit_that_is_off_holds_nothing() -> None:
    limits = (Limit(LimitKind.DEACTIVATIONS, off=True),)
    assert synchronize_rows(row(ADA), limits=limits, confirmed={"deactivations": 9}).holds == ()


@pytest.mark.parametrize(("kind", "rows"), [("updates", [row(CY, FIRST_NAME="Cyrus")]), ("additions", [row("E")])])
def test_updates_and_additions_can_be_limited(kind: str, rows: Sequence[dict[str, str]]) -> None:
    made = plan_rows(*rows, limits=no(LimitKind(kind)))
    assert [(hold.kind, hold.users, hold.external_ids) for hold in made.holds] == [(kind, 1, ())]


def test_in_an_agency_without_users_nothing_is_held() -> None:
    limits = no(LimitKind.ADDITIONS) + no(LimitKind.PRIVILEGES)
    assert plan_rows(row("E", ROLE="Admin"), of=Snapshot(vocabulary=agency().vocabulary), limits=limits).holds == ()


def test_a_refused_plan_is_not_held() -> None:
    """Rule F10: a refusal reports nothing else."""
    made = synchronize_rows(row(ADA), row(CY, ROLE="Pope"), strict=True, limits=no(LimitKind.DEACTIVATIONS))
    assert made.refusals and made.holds == () and made.held is None


# Roles and groups


def test_a_role_has_a_limit_of_its_own_in_addition() -> None:
    """Rule S4: it counts the users of the role, and the total of the kind confirms it."""
    limits = no(LimitKind.DEACTIVATIONS, role=" chief")
    assert keys(synchronize_rows(row(ADA), row(BEN), row(CY), limits=limits)) == []
    made = synchronize_rows(row(ADA), row(CY), limits=limits)
    (hold,) = made.holds
    assert (hold.users, hold.active, hold.limit, hold.role, hold.number) == (1, 1, 0, " chief", 2)
    assert hold.as_json() == {
        "code": "limit", "kind": "deactivations", "users": 1, "active": 1, "limit": 0, "role": " chief", "total": 2,
        "external_ids": ["B"],
    }  # fmt: skip
    assert keys(synchronize_rows(row(ADA), row(CY), limits=limits, confirmed={"deactivations": 2})) == []


def test_the_limit_of_a_role_counts_who_gets_it_as_well() -> None:
    assert keys(plan_rows(row(DEE, ROLE="Chief"), limits=no(LimitKind.PRIVILEGES, role="Chief"))) == ["privileges"]


def test_a_group_has_a_limit_of_its_own() -> None:
    of = agency(D={"group_id": 1})
    limits = no(LimitKind.DEACTIVATIONS, group="G-1")
    assert keys(synchronize_rows(row(ADA), row(BEN), row(CY), of=of, limits=limits)) == ["deactivations"]
    assert keys(synchronize_rows(row(ADA), row(BEN), row(DEE, EVIDENCE_GROUP_EXT_ID="G-1"), of=of, limits=limits)) == []


def test_the_limit_of_a_role_that_does_not_exist_holds_nothing() -> None:
    assert keys(synchronize_rows(row(ADA), limits=no(LimitKind.DEACTIVATIONS, role="Pope"))) == []


def test_active_users_are_counted_where_the_snapshot_has_only_some() -> None:
    count = pl.DataFrame({"role_id": [2, 3], "group_id": [None, 1], "active": [7, 93]}, schema=HEADCOUNT)
    of = replace(agency(), headcount=count)
    whole, role = no(LimitKind.DEACTIVATIONS), no(LimitKind.DEACTIVATIONS, role="Officer")
    made = plan_rows(row(CY, STATUS="Inactive"), of=of, limits=whole + role)
    assert [(hold.active, hold.role) for hold in made.holds] == [(100, ""), (93, "Officer")]


# Other reasons


@pytest.mark.parametrize(
    ("doubt", "confirmed"),
    [
        (Doubt("cut-off", 4, "5"), {"cut-off": None}), (Doubt("row-count", 4, "40"), {"row-count": 4}),
        (Doubt("shrunk", 4, "40"), {"shrunk": 4}),
    ],
)  # fmt: skip
def test_doubts_about_the_file_hold_a_synchronize_import_until_they_are_confirmed(
    doubt: Doubt, confirmed: Confirmed
) -> None:
    """Rules F6 and F11."""
    table = replace(make_table([row(who) for who in (ADA, BEN, CY, DEE)]), doubts=(doubt,))
    (hold,) = plan.make_plan(table, agency(), Policy(Mode.SYNC)).holds
    assert (hold.key, hold.users, hold.total, hold.external_ids) == (doubt.code, 0, 0, ())
    assert keys(plan.make_plan(table, agency(), Policy(Mode.SYNC, confirmed=confirmed))) == []
    assert keys(plan.make_plan(table, agency(), Policy(Mode.UPDATE))) == []


def test_without_a_limit_of_deactivations_a_doubt_says_that_all_may_be_deactivated() -> None:
    count = pl.DataFrame({"role_id": [2], "group_id": [None], "active": [200]}, schema=HEADCOUNT)
    table = replace(make_table([row(who) for who in (ADA, BEN, CY, DEE)]), doubts=(Doubt("cut-off", 4, "5"),))
    made = plan.make_plan(table, replace(agency(), headcount=count), Policy(Mode.SYNC, limits=()))
    assert [(hold.active, hold.limit) for hold in made.holds] == [(200, 200)]


def test_unreadable_rows_are_confirmed_by_their_number() -> None:
    """Rule S3."""
    rows = [*(row(who) for who in (ADA, BEN, CY, DEE)), row("E", EXTERNAL_ID=""), row("F", EXTERNAL_ID="")]
    made = synchronize_rows(*rows, confirmed={"unreadable-rows": 1})
    assert [hold.as_json() for hold in made.holds] == [{"code": "unreadable-rows", "rows": 2}]
    assert made.held == {"code": "unreadable-rows", "deactivations": 0, "active": 4, "limit": 5}
    assert synchronize_rows(*rows, confirmed={"unreadable-rows": 2}).holds == ()
    off = (Limit(LimitKind.DEACTIVATIONS, off=True),)
    assert (synchronize_rows(*rows, limits=off).held or {})["limit"] == 4


# As JSON


def test_the_first_reason_is_in_the_format_that_has_only_one() -> None:
    made = plan_rows(row(DEE, ROLE="Chief"), limits=no(LimitKind.PRIVILEGES))
    assert made.held == {
        "code": "limit", "deactivations": 0, "active": 4, "limit": 0, "kind": "privileges", "users": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    "hold",
    [
        Hold("cut-off", fact="38"), Hold("row-count", rows=3, fact="40"),
        Hold("limit", "cleared", 1, 2, 0, group="G-1", total=3, external_ids=("A",)),
    ],
)  # fmt: skip
def test_a_stored_hold_is_the_same_again(hold: Hold) -> None:
    assert Hold.of_json(hold.as_json()) == hold


def test_the_digest_changes_when_a_role_gives_more_permissions() -> None:
    """Rule D2: what is confirmed is part of the plan."""
    of = agency(user(9, "Eve", OFFICER, None))
    lesser = replace(CHIEF, permissions=OFFICER.permissions)
    words = replace(of.vocabulary, roles=tuple(lesser if role == CHIEF else role for role in of.vocabulary.roles))
    one = plan_rows(row(DEE, ROLE="Chief"), of=of)
    other = plan_rows(row(DEE, ROLE="Chief"), of=replace(of, vocabulary=words))
    assert (one.counts["privileges"], other.counts["privileges"]) == (1, 0) and one.digest != other.digest


def test_a_column_that_is_not_in_the_file_clears_nothing() -> None:
    assert plan_rows(*without("PHONE", row(CY, PHONE="")), limits=no(LimitKind.CLEARED)).holds == ()
