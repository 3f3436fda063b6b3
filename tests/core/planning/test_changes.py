"""What a row changes is told field by field, as text before and after."""

import json

from musterbook.core.planning import changes
from tests.core.cast import CY, DEE, get_written, plan_rows, row


def test_the_event_of_an_added_user_has_every_value_that_is_not_blank() -> None:
    made = plan_rows(row("E", SUPERVISOR_EMAIL="ben@a.example", RANK="sgt"))
    assert json.loads(get_written(made, "E")["changes"]) == {
        "EMAIL": ["", "e@new.example"], "BADGE_NUMBER": ["", "new E"], "FIRST_NAME": ["", "First E"],
        "LAST_NAME": ["", "Last E"], "STATUS": ["", "Active"], "USERNAME": ["", "new E"], "ROLE": ["", "Officer"],
        "SUPERVISOR_EMAIL": ["", "ben@a.example (B)"], "X_SUPERVISOR_EXTERNAL_ID": ["", "B"], "RANK": ["", "Sergeant"],
    }  # fmt: skip


def test_the_event_of_an_updated_user_has_the_differences_by_name_and_not_by_id() -> None:
    made = plan_rows(row(CY, ROLE="Chief", STATUS="Inactive", EVIDENCE_GROUP_EXT_ID="G-1", RANK=""))
    assert json.loads(get_written(made, CY)["changes"]) == {
        "STATUS": ["Active", "Inactive"], "ROLE": ["Officer", "Chief"], "RANK": ["Sergeant", ""],
        "EVIDENCE_GROUP_EXT_ID": ["", "G-1"],
    }  # fmt: skip


def test_a_user_who_is_deactivated_by_a_synchronize_import_is_notified_too() -> None:
    assert json.loads(changes.DEACTIVATED) == json.loads(
        get_written(plan_rows(row(DEE, STATUS="Inactive")), DEE)["changes"]
    )
