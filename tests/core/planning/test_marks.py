"""The marks of users: named by a row with problems (S2), sources (S9), the grace period (S10), not changed by files (S11)."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from musterbook.core.domain import problems
from musterbook.core.domain.labels import PROTECTIONS, describe_protection
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import MARKS, Snapshot
from musterbook.core.planning import plan
from musterbook.core.planning.plan import Plan
from tests.core.cast import (
    ADA,
    BEN,
    BEN_ACTS,
    CY,
    DEE,
    OFFICER,
    agency,
    codes,
    get_written,
    ids,
    locate_problems,
    make_table,
    messages,
    outcomes,
    row,
    user,
    without,
)  # fmt: skip

DAY = date(2026, 3, 2)
ALL = [row(who) for who in (ADA, BEN, CY, DEE)]
NUMBERS = {ADA: 1, BEN: 2, CY: 3, DEE: 4}
NONE = {"source": "", "no_files": False, "missing_since": None, "missing_imports": 0}


def mark(of: Snapshot | None = None, **marks: dict[str, object]) -> Snapshot:
    """The cast's agency with marks: `mark(D={"no_files": True})`."""
    entries = [{"id": NUMBERS[who], **NONE, **values} for who, values in marks.items()]
    return replace(of or agency(), marks=pl.DataFrame(entries, schema=MARKS))


def missing(days: int, imports: int, **more: object) -> dict[str, object]:
    return {"missing_since": DAY - timedelta(days=days), "missing_imports": imports, **more}


def make(*rows: dict[str, str], of: Snapshot | None = None, mode: Mode = Mode.SYNC, **policy: Any) -> Plan:
    return plan.make_plan(make_table(rows), of or agency(), Policy(mode, today=DAY, **policy))


def protections(made: Plan) -> dict[str, str]:
    return dict(made.leavers.protected.select("external_id", "code").iter_rows())


def changed(made: Plan) -> dict[int, tuple[object, ...]]:
    """The marks that the plan writes: id → source, missing since, in how many imports."""
    return {one["id"]: (one["source"], one["missing_since"], one["missing_imports"]) for one in made.marks.to_dicts()}


# S2


@pytest.mark.parametrize("column", ["EMAIL", "USERNAME", "BADGE_NUMBER"])
def test_a_user_kept_only_by_a_row_with_problems_is_listed_with_that_row(column: str) -> None:
    made = make(*ALL[:3], row("E", **{column: row(DEE)[column].upper()}))
    assert protections(made) == {DEE: "named-by-faulty-row"}
    assert made.leavers.protected["named_by"].to_list() == [5] and made.counts["protected"] == 1
    assert made.leavers.deactivated.is_empty()


def test_the_first_of_several_such_rows_is_shown() -> None:
    taken = row(DEE)
    rows = (row("F", EMAIL=taken["EMAIL"]), row("E", USERNAME=taken["USERNAME"], EMAIL=taken["EMAIL"]))
    made = make(*ALL[:3], *rows)
    assert made.leavers.protected["named_by"].to_list() == [5]


def test_m4_an_external_id_that_looks_like_theirs_names_them() -> None:
    alike = [{**row("E"), "EXTERNAL_ID": "\uff24"}, {**row("F"), "EXTERNAL_ID": "D\u00ad"}]
    made = make(*ALL[:3], *alike)
    assert protections(made) == {DEE: "named-by-faulty-row"}
    assert made.leavers.protected["named_by"].to_list() == [5]
    assert made.leavers.deactivated.is_empty()
    other = make(*ALL[:3], {**row("E", RANK="Pope"), "EXTERNAL_ID": "\u00c9"})
    assert protections(other) == {}


def test_a_user_who_has_a_row_of_their_own_is_not_listed() -> None:
    assert protections(make(*ALL, row("E", EMAIL=row(DEE)["EMAIL"]))) == {}
    assert protections(make(*ALL[:3], row(DEE, ROLE="Pope"), row("E", EMAIL=row(DEE)["EMAIL"]))) == {}


def test_inactive_users_are_not_listed() -> None:
    made = make(*ALL[:3], row("E", EMAIL=row(DEE)["EMAIL"]), of=agency(D={"active": False}))
    assert protections(made) == {}


def test_another_reason_comes_first() -> None:
    faulty = row("E", EMAIL=row(DEE)["EMAIL"])
    assert protections(make(*ALL[:3], faulty, of=agency(D={"exempt": True}))) == {DEE: "exempt"}
    assert make(*ALL[:3], faulty, of=agency(D={"exempt": True})).leavers.protected["named_by"].to_list() == [None]


def test_it_keeps_the_last_administrator_without_that_reason() -> None:
    made = make(*ALL[1:], row("E", EMAIL=row(ADA)["EMAIL"]))
    assert protections(made) == {ADA: "named-by-faulty-row"}


def test_the_reason_is_shown_with_the_row() -> None:
    assert describe_protection("named-by-faulty-row", 1041).endswith("(row 1,041)")
    assert describe_protection("exempt") == PROTECTIONS["exempt"] and describe_protection("other") == "other"


# S9


def test_added_users_belong_to_the_source() -> None:
    assert make(*ALL, row("E"), source="hr").source == "hr"


def test_unmarked_users_of_rows_without_problems_are_marked_and_do_not_change() -> None:
    of = mark(A={}, B={}, C={}, D={})
    made = make(ALL[0], row(BEN, LOCATION="North"), row(CY, ROLE="Pope"), of=of, mode=Mode.UPDATE, source="hr")
    assert outcomes(made) == ["unchanged", "updated", "errored"]
    assert changed(made) == {1: ("hr", None, 0), 2: ("hr", None, 0)}
    assert codes(made.notes) == []
    assert get_written(made, BEN)["changes"] == '{"LOCATION":["","North"]}'


def test_users_of_another_source_are_updated_with_a_note_and_keep_their_source() -> None:
    of = mark(C={"source": "civil"}, D={"source": "civil"})
    made = make(*ALL[:2], row(CY, LOCATION="South"), ALL[3], of=of, source="hr")
    assert outcomes(made) == ["unchanged", "unchanged", "updated", "unchanged"]
    assert [(note.row, note.code, note.value) for note in problems.list_problems(made.notes)] == [
        (4, "other-source", "civil")
    ]
    assert "“civil”" in messages(made.notes)[0] and changed(made) == {}


def test_a_new_supervisor_is_an_update_of_a_user_of_another_source_too() -> None:
    of = mark(D={"source": "civil"})
    made = make(row(DEE, SUPERVISOR_EMAIL=row(CY)["EMAIL"]), of=of, mode=Mode.UPDATE, source="hr")
    assert codes(made.notes) == ["other-source"]


def test_a_row_with_problems_has_no_such_note() -> None:
    made = make(row(DEE, ROLE="Pope"), of=mark(D={"source": "civil"}), mode=Mode.UPDATE, source="hr")
    assert codes(made.notes) == []


def test_missing_users_are_looked_for_among_those_of_the_source() -> None:
    of = mark(A={"source": "civil"}, B={"source": "civil"}, D={})
    made = make(ALL[0], of=of, source="hr")
    assert ids(made.leavers.deactivated) == [CY]
    assert protections(made) == {BEN: "other-source", DEE: "other-source"}


def test_without_a_source_missing_users_are_looked_for_among_all() -> None:
    made = make(ALL[0], of=mark())
    assert ids(made.leavers.deactivated) == [BEN, CY, DEE] and protections(made) == {}


def test_without_a_source_nobody_is_marked() -> None:
    made = make(*ALL, row("E"), of=mark(D={"no_files": True, "source": "civil"}))
    assert (made.source, changed(made)) == ("", {}) and "other-source" not in codes(made.notes)


# S10


def test_a_missing_user_is_marked_leaving_and_stays_active() -> None:
    made = make(*ALL[:3], grace_days=3)
    assert made.leavers.deactivated.is_empty() and protections(made) == {DEE: "leaving"}
    assert made.leavers.protected["leaving_on"].to_list() == ["2026-03-05"]
    assert changed(made) == {4: ("", DAY, 1)}
    assert "2026-03-05 or later" in describe_protection("leaving", None, "2026-03-05")


def test_without_a_grace_period_a_missing_user_becomes_inactive_at_once() -> None:
    made = make(*ALL[:3], of=mark(D=missing(1, 1)))
    assert ids(made.leavers.deactivated) == [DEE] and changed(made) == {}


@pytest.mark.parametrize(
    ("days", "imports", "leaves"), [(3, 2, True), (9, 2, True), (2, 2, False), (3, 1, False), (9, 1, False)]
)
def test_they_become_inactive_after_that_many_days_and_that_many_imports(days: int, imports: int, leaves: bool) -> None:
    made = make(*ALL[:3], of=mark(D=missing(days, imports)), grace_days=3)
    assert ids(made.leavers.deactivated) == ([DEE] if leaves else [])
    since = DAY - timedelta(days=days)
    assert changed(made) == ({} if leaves else {4: ("", since, imports + 1)})


@pytest.mark.parametrize("mode", [Mode.UPDATE, Mode.SYNC])
@pytest.mark.parametrize(
    "again", [row(DEE), row(DEE, ROLE="Pope"), row(DEE, LOCATION="South"), row("E", EMAIL=row(DEE)["EMAIL"])]
)
def test_a_file_that_mentions_them_again_removes_the_mark(mode: Mode, again: dict[str, str]) -> None:
    made = make(*ALL[:3], again, of=mark(D=missing(1, 1)), mode=mode, grace_days=3)
    assert changed(made) == {4: ("", None, 0)}
    assert "leaving" not in protections(made).values()


def test_an_update_that_does_not_mention_them_leaves_the_mark() -> None:
    assert changed(make(ALL[0], of=mark(D=missing(1, 1)), mode=Mode.UPDATE, grace_days=3)) == {}


def test_users_who_are_exempt_now_are_no_longer_leaving() -> None:
    made = make(*ALL[:3], of=mark(agency(D={"exempt": True}), D=missing(1, 1)), grace_days=3)
    assert protections(made) == {DEE: "exempt"} and changed(made) == {4: ("", None, 0)}


def test_the_operator_and_users_above_their_role_keep_the_mark_of_other_imports() -> None:
    made = make(*ALL[1:], of=mark(A=missing(1, 1)), grace_days=3, operator=BEN_ACTS)
    assert protections(made) == {ADA: "above-your-role"} and changed(made) == {}


def test_users_of_another_source_are_not_missing() -> None:
    made = make(*ALL[:3], of=mark(D=missing(9, 9, source="civil")), grace_days=3, source="hr")
    assert protections(made) == {DEE: "other-source"} and changed(made) == {}


def test_the_mark_of_a_user_of_the_source_keeps_it() -> None:
    made = make(*ALL[:3], of=mark(D=missing(1, 1, source="hr")), grace_days=3, source="hr")
    assert changed(made) == {4: ("hr", DAY - timedelta(days=1), 2)}
    assert changed(make(*ALL[:3], of=mark(), grace_days=3, source="hr")) == {4: ("hr", DAY, 1)}


def test_the_last_administrator_stays_after_the_grace_period() -> None:
    assert protections(make(*ALL[1:], grace_days=1)) == {ADA: "leaving"}
    made = make(*ALL[1:], of=mark(A=missing(1, 1)), grace_days=1)
    assert protections(made) == {ADA: "last-administrator"} and changed(made) == {}


def test_leaving_users_do_not_count_towards_the_limit() -> None:
    crowd = [user(100 + n, f"Zoe{n}", OFFICER, None, external_id=f"Z{n:02}") for n in range(40)]
    made = make(*ALL, of=agency(*crowd), grace_days=1)
    assert made.held is None and made.counts["protected"] == 40


def test_another_day_makes_another_plan() -> None:
    of = mark(D=missing(1, 1))
    plans = [
        plan.make_plan(make_table(ALL[:3]), of, Policy(Mode.SYNC, grace_days=2, today=DAY + timedelta(days=n)))
        for n in (0, 0, 1)
    ]
    assert plans[0].digest == plans[1].digest != plans[2].digest


# S11

KEPT = mark(D={"no_files": True})


@pytest.mark.parametrize(
    "cells",
    [
        {}, {"LAST_NAME": "Reed", "STATUS": "Inactive"}, {"ROLE": "Pope", "EMAIL": ""}, {"EXTERNAL_ID": " D\u00a0"},
        {"SUPERVISOR_EMAIL": "nobody@a.example"}, {"EVIDENCE_GROUP_EXT_ID": "G-OLD"}, {"EMAIL": "cy@a.example"},
        {"LAST_NAME": "NULL", "BADGE_NUMBER": "#REF!"},
        {"FIRST_NAME": "New", "LAST_NAME": "Other", "EMAIL": "n@a.example", "USERNAME": "new"},
    ],
)  # fmt: skip
def test_rows_of_files_leave_the_user_unchanged_with_a_note(cells: dict[str, str]) -> None:
    made = make(*ALL[:3], row(DEE, **cells), of=KEPT)
    assert outcomes(made) == ["unchanged"] * 4
    assert codes(made.problems) == [] and codes(made.notes) == ["not-by-files"]
    assert made.updated.is_empty() and made.leavers.deactivated.is_empty() and protections(made) == {}


def test_what_the_user_has_is_not_free_for_others() -> None:
    rows = (row(DEE, BADGE_NUMBER="new"), row("E", BADGE_NUMBER=row(DEE)["BADGE_NUMBER"]))
    assert outcomes(make(*ALL[:3], *rows, of=KEPT)) == ["unchanged"] * 4 + ["errored"]


def test_a_row_of_theirs_that_may_mean_another_user_is_an_error_all_the_same() -> None:
    assert outcomes(make(*ALL, {**ALL[3], "LOCATION": "Court"}, of=KEPT)) == ["unchanged"] * 3 + ["errored"] * 2
    table = replace(make_table(ALL), faults=problems.build_frame([Problem("cell-count", 5)]))
    assert outcomes(plan.make_plan(table, KEPT, Policy())) == ["unchanged"] * 3 + ["errored"]


def test_a_supervisor_whose_address_changes_leaves_the_row_as_it_is() -> None:
    made = make(*ALL[:1], row(BEN, EMAIL="b2@a.example"), *ALL[2:], of=KEPT)
    assert outcomes(made) == ["unchanged", "updated", "unchanged", "unchanged"]
    assert codes(made.notes) == ["replaced-supervisor-address", "not-by-files"]


def test_a_user_that_the_file_does_not_mention_is_protected() -> None:
    made = make(*ALL[:3], of=KEPT)
    assert protections(made) == {DEE: "not-by-files"} and made.leavers.deactivated.is_empty()
    marked = make(*ALL[:3], of=mark(D=missing(1, 1, no_files=True)), grace_days=3)
    assert protections(marked) == {DEE: "not-by-files"} and changed(marked) == {4: ("", None, 0)}


def test_they_get_no_source() -> None:
    made = make(*without("LOCATION", *ALL), of=KEPT, source="hr")
    assert changed(made) == {} and codes(made.notes) == ["not-by-files"]


def test_a_file_that_names_only_them_is_no_file_of_faults() -> None:
    assert make(ALL[3], of=KEPT, mode=Mode.UPDATE).refusals == ()


def test_their_row_has_no_other_notes_and_is_no_error_in_strict_mode() -> None:
    of = agency(B={"active": False, "supervisor_id": 4, "group_id": 2}, D={"group_id": 2})
    rows = [
        row(ADA),
        row(BEN, STATUS="Inactive", SUPERVISOR_EMAIL="dee@a.example", EVIDENCE_GROUP_EXT_ID="G-OLD"),
        row(CY),
        row(DEE, EVIDENCE_GROUP_EXT_ID="G-OLD"),
    ]
    made = make(*rows, of=mark(of, B={"no_files": True}, D={"no_files": True}), strict=True, mode=Mode.UPDATE)
    assert outcomes(made) == ["unchanged"] * 4
    assert locate_problems(made.notes) == [
        (3, "not-by-files", ""), (4, "inactive-supervisor", "SUPERVISOR_EMAIL"), (5, "not-by-files", ""),
    ]  # fmt: skip
