"""What the rows of all these files have in common."""

import pytest

from musterbook.core.domain.columns import RELATION
from musterbook.core.planning.entries import rows
from musterbook.core.planning.entries.state import EntryState


def test_the_nearest_name_is_looked_for_a_limited_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST_ADVISED", 2)
    advise = rows.make_adviser(["PATROL", "NIGHT"])
    assert [advise(name) for name in ("PATROLS", "xxxxx", "NIGHTS", "PATROLS")] == [
        "Did you mean PATROL?", "", "", "Did you mean PATROL?",
    ]  # fmt: skip


def test_a_word_that_is_like_none_has_no_advice() -> None:
    problem = rows.flag_choice(2, RELATION, "zzz", ["Member", "Monitor"])
    assert problem.remedy == "Write one of these: Member, Monitor."


def test_other_rows_are_listed_up_to_a_limit() -> None:
    assert rows.list_others([2, 3, 4], 3) == "2, 4"
    assert rows.list_others(list(range(2, 60)), 3).endswith("22, …")


def test_an_agency_without_users_has_none_to_find() -> None:
    assert EntryState().find_users("role", [1]).is_empty()
