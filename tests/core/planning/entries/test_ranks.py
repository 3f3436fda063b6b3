"""Files of ranks: names, abbreviations and their order."""

import pytest

from musterbook.core.planning.plan import Plan
from tests.core.planning.entries.entry_cast import RANKS, found, outcomes, plan, shown


def order(made: Plan) -> list[str]:
    """The ranks in their order, as the plan makes it."""
    assert made.entries is not None
    places = {rank.key: place for place, rank in enumerate(RANKS)}
    places |= {one.key: one.after["position"] for one in made.entries.changes if one.after}
    return sorted(places, key=lambda key: places[key])


def test_a_file_adds_changes_and_orders_ranks() -> None:
    made = plan("ranks", "Chief,Ch,1", "sergeant,,", "Major,Maj,")
    assert found(made) == []
    assert order(made) == ["chief", "captain", "sergeant", "officer", "major"]
    assert shown(made) == [
        (2, "Chief", "added", '{"NAME": ["", "Chief"], "ABBREVIATION": ["", "Ch"], "ORDER": ["", "1"]}'),
        (3, "sergeant", "updated",
         '{"NAME": ["Sergeant", "sergeant"], "ABBREVIATION": ["Sgt", ""], "ORDER": ["2", "3"]}'),
        (4, "Major", "added", '{"NAME": ["", "Major"], "ABBREVIATION": ["", "Maj"], "ORDER": ["", "5"]}'),
    ]  # fmt: skip


def test_a_rank_that_moves_because_of_others_is_changed_by_no_row() -> None:
    made = plan("ranks", "Chief,Ch,1", "sergeant,,")
    assert made.entries is not None
    rows = {one.key: one.row for one in made.entries.changes}
    assert rows == {"chief": 2, "captain": 0, "sergeant": 3, "officer": 0}


def test_a_file_that_names_what_is_changes_nothing() -> None:
    made = plan("ranks", "Captain,Cpt,1", "Sergeant,Sgt,", "Officer,,3")
    assert outcomes(made) == ["unchanged"] * 3
    assert outcomes(plan("ranks", "Officer", head="NAME")) == ["unchanged"]


def test_places_beyond_the_last_are_the_last() -> None:
    assert order(plan("ranks", "Captain,Cpt,9")) == ["sergeant", "officer", "captain"]


@pytest.mark.parametrize("place", ["0", "-1", "x", "1.5", "1234567", "²"])
def test_only_whole_numbers_are_places(place: str) -> None:
    assert found(plan("ranks", f"Captain,Cpt,{place}")) == [(2, "invalid-order", "ORDER")]


def test_a_place_or_a_name_in_two_rows_is_a_problem_of_both() -> None:
    made = plan("ranks", "Captain,Cpt,1", "Sergeant,Sgt,1", "Major,,", "MAJOR,,2")
    assert [(row, code) for row, code, _ in found(made)] == [(row, "duplicate-in-file") for row in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (("Major,Sgt,",), [(2, "rank-taken", "ABBREVIATION")]),
        (("Sgt,,",), [(2, "rank-taken", "NAME")]),
        (("Major,officer,",), [(2, "rank-taken", "ABBREVIATION")]),
        (("Major,M,", "Master,m,"), [(2, "rank-taken", "ABBREVIATION"), (3, "rank-taken", "ABBREVIATION")]),
        (("Sergeant,,", "Major,Sgt,"), []),
        (("Sergeant,,x", "Major,Sgt,"), [(2, "invalid-order", "ORDER"), (3, "rank-taken", "ABBREVIATION")]),
        (("Captain,Captain,",), []),
    ],
)
def test_no_two_ranks_share_a_name_or_abbreviation(rows: tuple[str, ...], problems: list[tuple[int, str, str]]) -> None:
    assert found(plan("ranks", *rows)) == problems
