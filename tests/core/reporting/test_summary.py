"""The sentences of a summary: what an import does, and why it waits."""

import pytest

from musterbook.core.planning.holds import Hold
from musterbook.core.reporting.summary import describe_hold, summarize


def test_one_sentence_sums_up_a_plan() -> None:
    """Rule A1."""
    counts = {"rows": 30, "added": 6, "updated": 11, "losing_access": 8, "skipped": 7}
    assert summarize(counts, {"invitation": 6, "reset": 0}) == (
        "6 users to add, 11 to update, 8 will lose access, 6 invitations, 7 rows to skip"
    )


@pytest.mark.parametrize(
    ("counts", "done", "sentence"),
    [
        ({}, False, "Nothing changes"),
        ({"updated": 1, "reactivated": 1, "errored": 1}, False,
         "1 user to update, 1 of these to reactivate, 1 row with problems"),
        ({"updated": 1200, "losing_access": 1}, True, "1,200 users updated, 1 lost access"),
        ({"privileges": 2, "handovers": 1, "cleared": 3}, False,
         "2 users will gain a permission, 1 will take another user's address or username, 3 will lose a value to a blank column"),
        ({"updated": 1, "released": 1}, True, "1 user updated, 1 lost their badge"),
        ({"errored": 2, "skipped": 1}, False, "2 rows with problems, 1 to skip"),
        ({"added": 2, "updated": 1, "reactivated": 1, "skipped": 4}, True,
         "2 users added, 1 updated, 1 of these reactivated, 4 rows skipped"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_said(counts: dict[str, int], done: bool, sentence: str) -> None:
    assert summarize(counts, done=done) == sentence


def test_the_rows_of_a_bulk_action_are_users() -> None:
    words = {"updated": "deactivated", "errored": "left out"}
    assert summarize({"updated": 3, "losing_access": 3, "errored": 1}, {"deactivated": 2}, words=words) == (
        "3 users to deactivate, 3 will lose access, 1 left out, 2 notices of a deactivation"
    )
    assert summarize({"updated": 3, "losing_access": 3}, done=True, words=words) == "3 users deactivated, 3 lost access"


@pytest.mark.parametrize(
    ("hold", "sentence"),
    [
        (Hold("limit", "deactivations", 9, 40, 5, total=9), "9 users would lose access. The limit is 5, with 40 active users."),
        (Hold("limit", "rekeys", 1, 1, 0, total=1), "1 user would get another external ID. The limit is 0, with 1 active user."),
        (Hold("limit", "privileges", 1, 2, 0, role="Officer", total=4),
         "1 user with the role Officer would gain a permission. The limit is 0, with 2 active users. All users of this kind: 4."),
        (Hold("limit", "updates", 3, 9, 2, group="P-1", total=3),
         "3 users of the group P-1 would change. The limit is 2, with 9 active users. All users of this kind: 3."),
        (Hold("cut-off", fact="38"), "The file ends in the middle of row 38, so it was cut off."),
        (Hold("row-count", rows=38, fact="40"), "The file says that it has 40 rows, but it has 38."),
        (Hold("shrunk", rows=3, fact="40"), "The file has 3 rows. The last one had 40."),
        (Hold("unreadable-rows", rows=1), "Rows that cannot be read well enough to identify their users: 1."),
    ],
)  # fmt: skip
def test_each_reason_has_its_sentence(hold: Hold, sentence: str) -> None:
    assert describe_hold(hold) == sentence
