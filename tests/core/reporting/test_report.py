"""The report of an import: its rows with their changes."""

from musterbook.core.planning import changes
from musterbook.core.reporting.report import RowFilter, list_rows
from tests.core.cast import CY, get_written, plan_rows, row


def test_a_report_shows_changes_without_the_link_that_the_audit_trail_keeps() -> None:
    made = plan_rows(row(CY, SUPERVISOR_EMAIL="ada@a.example"))
    assert changes.LINK in get_written(made, CY)["changes"]
    [listed] = list_rows(made, RowFilter.CHANGED)
    assert listed.changes == {"SUPERVISOR_EMAIL": ["ben@a.example (B)", "ada@a.example (A)"]}
