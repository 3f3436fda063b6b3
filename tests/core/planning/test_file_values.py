"""Mapped values and defaults in a plan: what users get, and what nobody loses by them (F13, F14)."""

from typing import Any

import polars as pl
import pytest

from musterbook.core.domain.file_values import FileValues
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.planning import plan, unchanged
from musterbook.core.planning.plan import Plan
from tests.core.cast import (
    ADA,
    BEN,
    BEN_ACTS,
    CY,
    DEE,
    agency,
    codes,
    get_written,
    make_table,
    messages,
    outcomes,
    row,
    without,
)

T = {"STATUS": {"T": "Inactive"}}


def plan_with(
    *rows: dict[str, str], mode: Mode = Mode.UPDATE, policy: dict[str, Any] | None = None, **values: Any
) -> Plan:
    """The plan of the rows with mapped values and defaults."""
    return plan.make_plan(make_table(rows), agency(), Policy(mode, file_values=FileValues(**values), **(policy or {})))


def sentences(made: Plan) -> list[str]:
    return [note.message for note in made.table.notes]


def test_a_mapped_status_deactivates_and_a_remembered_one_too() -> None:
    """F13: without the mapping the row is an error."""
    assert codes(plan_with(row(CY, STATUS="T")).problems) == ["invalid-status"]
    for made in (plan_with(row(CY, STATUS="t "), given=T), plan_with(row(CY, STATUS="t "), remembered=T)):
        assert outcomes(made) == ["updated"]
        assert get_written(made, CY)["changes"] == '{"STATUS":["Active","Inactive"]}'
        assert sentences(made) == [
            "Values of STATUS were read as they are mapped, with the number of rows: “T” → “Inactive” (1)."
        ]


def test_a_row_that_means_what_the_user_has_stays_on_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """F13: mapped values of unchanged rows cost no checks."""
    left: list[int] = []
    split = unchanged.split

    def watched(*args: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        same, rest = split(*args)
        left.append(rest.height)
        return same, rest

    monkeypatch.setattr(unchanged, "split", watched)
    made = plan_with(row(CY, RANK="S3", STATUS="A", ROLE="PO"), given={
        "RANK": {"S3": "sgt"}, "STATUS": {"A": "active"}, "ROLE": {"PO": "officer"},
    })  # fmt: skip
    assert (outcomes(made), left) == (["unchanged"], [0])


def test_in_synchronize_a_mapped_leaver_is_mentioned_and_deactivated_by_the_row() -> None:
    made = plan_with(row(ADA), row(BEN), row(CY), row(DEE, STATUS="T"), mode=Mode.SYNC, given=T)
    assert outcomes(made) == ["unchanged", "unchanged", "unchanged", "updated"]
    assert made.leavers.deactivated.is_empty()


def test_the_plan_keeps_the_cells_of_the_file() -> None:
    """A2: the results file and the page show what the file has."""
    made = plan_with(row(CY, STATUS="T", RANK="Pope"), given=T)
    assert made.table.cells["status"].to_list() == ["T"]


def test_wrong_values_and_defaults_refuse_the_file_all_at_once() -> None:
    """F10, F13, F14: nothing is planned, and all that is wrong is said."""
    made = plan_with(row(CY), given={"STATUS": {"T": "Gone"}}, defaults={"ROLE": "Pope"})
    assert [problem.code for problem in made.refusals] == ["unknown-meaning", "invalid-default"]
    assert made.rows.is_empty()


def test_a_default_is_for_new_users_only() -> None:
    """F14: existing users keep what they have."""
    rows = without("ROLE", row(ADA), row(BEN, FIRST_NAME="Benno"), row("E"), row("F"))
    made = plan_with(*rows, defaults={"ROLE": "officer"})
    assert outcomes(made) == ["unchanged", "updated", "added", "added"]
    assert [get_written(made, who)["role_id"] for who in (BEN, "E", "F")] == [2, 3, 3]
    assert get_written(made, BEN)["changes"] == '{"FIRST_NAME":["Ben","Benno"]}'
    assert sentences(made) == ["The file has no column ROLE. 2 new users get the default “officer”."]


def test_a_default_of_a_column_that_the_file_has_does_nothing() -> None:
    made = plan_with(row("E", ROLE="Chief"), row("F", ROLE=""), defaults={"ROLE": "Officer"})
    assert outcomes(made) == ["added", "errored"]
    assert get_written(made, "E")["role_id"] == 2
    assert not made.table.notes


def test_a_default_status_keeps_an_inactive_user_inactive() -> None:
    of = agency(C={"active": False})
    table = make_table(without("STATUS", row(CY, LOCATION="South"), row("E")))
    made = plan.make_plan(table, of, Policy(file_values=FileValues(agency_defaults={"STATUS": "Active"})))
    assert (get_written(made, CY)["active"], get_written(made, "E")["active"]) == (False, True)
    assert sentences(made) == ["The file has no column STATUS. 1 new user gets the default “Active”."]


@pytest.mark.parametrize(
    ("heading", "text", "name", "value"),
    [
        ("RANK", "Sgt", "rank_id", 2), ("EVIDENCE_GROUP_EXT_ID", "G-1", "group_id", 1), ("LOCATION", " HQ", "location", "HQ"),
        ("PHONE", "+1 202 555 0199", "phone", "+12025550199"),
    ],
)  # fmt: skip
def test_an_optional_column_can_have_a_default(heading: str, text: str, name: str, value: object) -> None:
    made = plan_with(*without(heading, row(CY, FIRST_NAME="Cyd"), row("E")), defaults={heading: text})
    assert (get_written(made, "E")[name], get_written(made, CY)[name]) == (
        value,
        agency().users.filter(external_id=CY)[name][0],
    )


def test_new_users_can_have_a_supervisor_by_default_and_others_keep_theirs() -> None:
    rows = without("SUPERVISOR_EMAIL", row(CY, FIRST_NAME="Cyd"), row(ADA, FIRST_NAME="Adah"), row("E"))
    made = plan_with(*rows, defaults={"SUPERVISOR_EMAIL": "ada@a.example"})
    assert [get_written(made, who)["supervisor_id"] for who in (CY, ADA, "E")] == [2, None, 1]
    assert made.notes.is_empty()
    unknown = plan_with(*rows, defaults={"SUPERVISOR_EMAIL": "nobody@a.example"})
    assert codes(unknown.notes) == ["unknown-supervisor"]


@pytest.mark.parametrize(
    ("heading", "text", "sentence"),
    [
        ("ROLE", "Pope", "cannot be used. There is no role “Pope”."), ("STATUS", "T", "“T” is not a status."),
        ("RANK", "  ", "cannot be used. It is blank."), ("PHONE", "12", "is not a phone number"),
        ("EVIDENCE_GROUP_EXT_ID", "G-OLD", "The group “G-OLD” is not active."),
    ],
)  # fmt: skip
def test_a_default_is_checked_like_a_cell(heading: str, text: str, sentence: str) -> None:
    """F14: one that is given for the file always, one of the agency's if the file needs it."""
    (problem,) = plan_with(row("E"), defaults={heading: text}).refusals
    assert sentence in problem.message
    assert not plan_with(row("E"), agency_defaults={heading: text}).refusals
    (problem,) = plan_with(*without(heading, row("E")), agency_defaults={heading: text}).refusals
    assert problem.code == "invalid-default"


def test_nobody_assigns_by_default_a_role_above_their_own() -> None:
    """M10."""
    rows = without("ROLE", row("E"))
    made = plan_with(*rows, defaults={"ROLE": "Admin"}, policy={"operator": BEN_ACTS})
    assert codes(made.problems) == ["above-your-role"]
    assert messages(made.problems)
