"""The report of an import: its rows with their changes."""

from musterbook.core.planning import changes
from musterbook.core.reporting.report import RowFilter, list_removed, list_rows
from tests.core.cast import CY, get_written, plan_rows, row
from tests.core.planning.entries import entry_cast


def test_a_report_shows_changes_without_the_link_that_the_audit_trail_keeps() -> None:
    made = plan_rows(row(CY, SUPERVISOR_EMAIL="ada@a.example"))
    assert changes.LINK in get_written(made, CY)["changes"]
    [listed] = list_rows(made, RowFilter.CHANGED)
    assert listed.changes == {"SUPERVISOR_EMAIL": ["ben@a.example (B)", "ada@a.example (A)"]}


def test_what_is_removed_because_the_file_does_not_list_it_has_no_row() -> None:
    made = entry_cast.plan("members", "NIGHT,User,D,Member", sync=True)
    [listed] = list_removed(made)
    assert (listed.row, listed.external_id, listed.outcome) == (0, "C", "removed")
    assert listed.changes == {"EVIDENCE_GROUP_EXT_ID": ["NIGHT", ""]}
    assert list_removed(plan_rows(row(CY))) == []
