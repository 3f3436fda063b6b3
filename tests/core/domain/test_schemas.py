"""The frames between the steps of an import: each has the columns and types that its SCHEMA names."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from musterbook.core.checking.check import check
from musterbook.core.domain import problems, snapshot, table
from musterbook.core.domain.columns import OPTIONAL
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.planning import deactivations, evaluate, matching, plan, unchanged
from musterbook.core.reading import intake
from tests.core.cast import ADA, ADA_ACTS, BEN, CY, DEE, WORDS, agency, make_table, row


def _make_changes() -> Table:
    return make_table(
        [row(ADA), row(BEN, FIRST_NAME="Benno"), row(CY, ROLE="Pope"), row("E", SUPERVISOR_EMAIL="nobody@a.example")]
    )


def _make_required() -> Table:
    return Table(_make_changes().cells.drop(column.field for column in OPTIONAL))


TABLES: dict[str, Callable[[], Table]] = {
    "changes": _make_changes,
    "no rows": lambda: Table(_make_changes().cells.clear()),
    "nothing but changes of values": lambda: make_table([row(CY, LOCATION="=1"), row(DEE, RANK="", STATUS="Inactive")]),
    "unchanged": lambda: make_table([row(who) for who in (ADA, BEN, CY, DEE)]),
    "new users": lambda: make_table([row("E"), row("F", EVIDENCE_GROUP_EXT_ID="G-1", PHONE="+12025550143")]),
    "required columns": _make_required,
    "required columns, no rows": lambda: Table(_make_required().cells.clear()),
}
SNAPSHOTS: dict[str, Callable[[], Snapshot]] = {
    "agency": agency, "empty agency": lambda: Snapshot(vocabulary=WORDS), "no words": Snapshot,
}  # fmt: skip
"""Names and what makes them: Polars starts threads, so nothing is made while tests are collected (`scripts.warm_tests`)."""
OF_OPTIONAL = (
    "supervisor_email", "supervisor_email_key", "location", "rank_id", "rank_blank", "group_id", "group_blank",
    "group_inactive", "phone",
)  # fmt: skip

modes = pytest.mark.parametrize("mode", list(Mode))


@pytest.fixture(params=TABLES)
def rows(request: pytest.FixtureRequest) -> Table:
    return TABLES[request.param]()


@pytest.fixture(params=SNAPSHOTS)
def known(request: pytest.FixtureRequest) -> Snapshot:
    return SNAPSHOTS[request.param]()


def schema(frame: pl.DataFrame) -> Mapping[str, Any]:
    return dict(frame.schema)


def but(columns: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return {name: kind for name, kind in columns.items() if name not in names}


@pytest.mark.parametrize("number", [0, 2])
def test_reading_returns_cells(number: int) -> None:
    lines = [",".join(one) for one in (row(CY), *[row(CY).values()] * number)]
    read = intake.read("\n".join(lines).encode())
    assert schema(read.cells) == table.CELLS
    assert schema(read.faults) == problems.SCHEMA


def test_checking_returns_checked_rows_and_problems(rows: Table, known: Snapshot) -> None:
    checked = check(rows, known.vocabulary)
    absent = () if "phone" in rows.cells.columns else OF_OPTIONAL
    assert schema(checked.rows) == but(table.CHECKED, *absent)
    assert schema(checked.problems) == problems.SCHEMA


def test_matching_returns_rows_with_their_users(rows: Table, known: Snapshot) -> None:
    matched = matching.match_table(rows, known)
    absent = () if "phone" in rows.cells.columns else ("supervisor_email", "supervisor_email_key")
    assert schema(known.users) == snapshot.SCHEMA
    assert schema(matched.users) == matching.USERS
    assert schema(matched.unchanged_rows) == unchanged.SCHEMA
    assert schema(matched.rows) == but(matching.SCHEMA, *absent)
    assert schema(matched.problems) == problems.SCHEMA


@modes
def test_evaluation_returns_judged_rows(rows: Table, known: Snapshot, mode: Mode) -> None:
    judged = evaluate.judge_rows(rows, matching.match_table(rows, known), known.vocabulary, Policy(mode))
    assert schema(judged.rows) == evaluate.SCHEMA
    assert schema(judged.problems) == schema(judged.notes) == problems.SCHEMA
    assert schema(judged.leavers.deactivated) == deactivations.DEACTIVATED
    assert schema(judged.leavers.protected) == deactivations.PROTECTED


def test_a_plan_has_the_frames_that_writing_and_reporting_take(rows: Table, known: Snapshot) -> None:
    made = plan.make_plan(rows, known, Policy(operator=ADA_ACTS))
    assert schema(made.rows) == plan.ROWS
    assert schema(made.added) == plan.ADDED
    assert schema(made.updated) == plan.UPDATED
    assert schema(made.problems) == schema(made.notes) == problems.SCHEMA
    assert schema(made.leavers.deactivated) == deactivations.DEACTIVATED


def test_a_refused_plan_has_no_users_to_write() -> None:
    made = plan.make_plan(Table.refused([problems.Problem("empty-file")]), agency(), Policy())
    assert (made.added.width, made.updated.width) == (0, 0)
    assert schema(made.rows) == plan.ROWS
    assert schema(made.problems) == schema(made.notes) == problems.SCHEMA
