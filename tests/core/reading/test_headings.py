"""Headings: which names mean which columns, and which are near enough to ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.domain.columns import BY_HEADING, COLUMNS, REQUIRED
from musterbook.core.reading.headings import (
    edit_distance,
    format_position,
    merge_mappings,
    normalize_heading,
    resolve_headings,
)

NAMES = [column.heading for column in REQUIRED]


def codes(*headings: str) -> list[tuple[str, str]]:
    return [(p.code, p.column) for p in resolve_headings([*NAMES, *headings], {}, {}).problems]


@pytest.mark.parametrize(
    "heading",
    [
        "BADGE_NUMBER",
        "badge number",
        " Badge-Number\u00a0",
        "Badge  Number",
        "\u200bBADGE\u00a0NUMBER",
        "'BADGE_NUMBER"[1:],
    ],
)
def test_headings_match_without_regard_to_case_spaces_and_hyphens(heading: str) -> None:
    assert normalize_heading(heading) == "BADGE_NUMBER"


def test_the_order_of_columns_is_free() -> None:
    names = [column.heading for column in reversed(COLUMNS)]
    found = resolve_headings(names, {}, {})
    assert [found.columns[index] for index in range(13)] == list(reversed(COLUMNS))
    assert found.complete
    assert not found.problems


@pytest.mark.parametrize(
    ("heading", "column"),
    [("RANKS", "RANK"), ("SUPERVISER_EMAIL", "SUPERVISOR_EMAIL"), ("Locaton", "LOCATION"), ("Phones", "PHONE")],
)
def test_a_misspelt_optional_column_refuses_the_file_with_the_suggestion(heading: str, column: str) -> None:
    assert codes(heading) == [("misspelt-column", column)]


def test_a_heading_like_a_column_that_is_there_is_only_ignored() -> None:
    assert codes("RANK", "RANKS") == []
    assert resolve_headings([*NAMES, "RANK", "RANKS"], {}, {}).ignored == (9,)


def test_our_own_headings_are_ignored_quietly() -> None:
    found = resolve_headings([*NAMES, "X_RANK", "x_row"], {}, {})
    assert (found.own_columns, found.ignored, found.problems) == ((8, 9), (), ())


def test_a_duplicate_column_is_reported_with_both_positions() -> None:
    (problem,) = resolve_headings([*NAMES, "Email"], {}, {}).problems
    assert (problem.code, problem.column) == ("duplicate-column", "EMAIL")
    assert "column 2 (B), “EMAIL” and column 9 (I), “Email”" in problem.message


def test_what_is_given_and_what_is_remembered_hold_together_and_the_given_goes_first() -> None:
    names = [name for name in NAMES if name not in ("BADGE_NUMBER", "USERNAME")]
    remembered = {"Shield": "BADGE_NUMBER", "Login": "USERNAME"}
    found = resolve_headings([*names, "Badge no", "Login", "Shield"], {"Badge no": "BADGE_NUMBER"}, remembered)
    assert {6: "BADGE_NUMBER", 7: "USERNAME"}.items() <= {i: c.heading for i, c in found.columns.items()}.items()
    assert (found.ignored, found.problems) == ((8,), ())
    assert merge_mappings(remembered, {"LOGIN": ""}) == {"Shield": "BADGE_NUMBER", "LOGIN": ""}


def test_a_remembered_mapping_gives_way_to_the_column_itself() -> None:
    found = resolve_headings([*NAMES, "Shield"], {}, {"Shield": "BADGE_NUMBER"})
    assert (found.ignored, found.problems) == ((8,), ())
    assert [p.code for p in resolve_headings([*NAMES, "Shield"], {"Shield": "BADGE_NUMBER"}, {}).problems] == [
        "duplicate-column"
    ]


@pytest.mark.parametrize(
    ("heading", "column"),
    [("BADGE_NO", "BADGE_NUMBER"), ("E-Mail Address", "EMAIL"), ("Surname / LAST NAME", "LAST_NAME"), ("Emp ID", "")],
)
def test_the_nearest_heading_is_named_for_a_missing_column(heading: str, column: str) -> None:
    names = [name for name in NAMES if name != column]
    problems = resolve_headings([*names, heading], {}, {}).problems
    assert [(p.code, p.column, heading in p.message) for p in problems] == (
        [("missing-column", column, True)] if column else []
    )


def test_places_are_counted_as_a_spreadsheet_does() -> None:
    assert [format_position(index) for index in (0, 25, 26, 701, 702)] == [
        "1 (A)",
        "26 (Z)",
        "27 (AA)",
        "702 (ZZ)",
        "703 (AAA)",
    ]


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_distance_is_symmetric_and_nought_only_for_the_same_word(one: str, other: str) -> None:
    assert edit_distance(one, other) == edit_distance(other, one)
    assert (edit_distance(one, other) == 0) == (one == other)


@given(st.lists(st.one_of(st.sampled_from(list(BY_HEADING)), st.text(max_size=20)), max_size=20))
def test_every_heading_has_one_meaning(headings: list[str]) -> None:
    found = resolve_headings(headings, {}, {})
    places = [*found.columns, *found.own_columns, *found.ignored, *found.blank]
    misspelt = [p for p in found.problems if p.code == "misspelt-column"]
    assert len(places) == len(set(places)) == len(headings) - len(misspelt)
