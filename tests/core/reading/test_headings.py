"""Headings: which names mean which columns, and which are near enough to ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterbook.core.domain.columns import BY_HEADING, COLUMNS, REQUIRED
from musterbook.core.reading.headings import (
    count_known,
    edit_distance,
    format_position,
    merge_mappings,
    normalize_heading,
    quote_text,
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
    assert found.pairs == tuple(enumerate(reversed(COLUMNS)))
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
    assert {(6, "BADGE_NUMBER"), (7, "USERNAME")} <= {(index, column.heading) for index, column in found.pairs}
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
    places = [*(index for index, _ in found.pairs), *found.own_columns, *found.ignored, *found.blank]
    misspelt = [p for p in found.problems if p.code == "misspelt-column"]
    assert len(places) == len(set(places)) == len(headings) - len(misspelt)


def _distance(one: str, other: str) -> int:
    """The distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        _distance(one[1:], other) + 1,
        _distance(one, other[1:]) + 1,
        _distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_a_distance_above_two_is_three(one: str, other: str) -> None:
    assert edit_distance(one, other) == min(_distance(one, other), 3)


@pytest.mark.parametrize(
    ("heading", "named"),
    [
        ("E", False),
        ("EM", True),
        ("X" * 35 + "EMAIL", True),
        ("X" * 36 + "EMAIL", False),
        ("EIMAX", True),
        ("EXXXX", False),
    ],
)
def test_a_heading_is_near_to_a_missing_column_if_one_contains_the_other_or_most_letters_agree(
    heading: str, named: bool
) -> None:
    names = [name for name in NAMES if name != "EMAIL"]
    [problem] = [p for p in resolve_headings([*names, heading], {}, {}).problems if p.code == "missing-column"]
    assert ("did you mean EMAIL?" in problem.message) is named


def test_of_several_headings_the_nearest_is_named() -> None:
    names = [name for name in NAMES if name != "EMAIL"]
    [problem] = resolve_headings([*names, "MAILBOX", "E-MAILS", "OTHER"], {}, {}).problems
    assert "“E-MAILS”: did you mean EMAIL?" in problem.message


def test_a_heading_is_shown_with_forty_characters_at_most() -> None:
    assert quote_text(f" {'x' * 40} ") == f"“{'x' * 40}”"
    assert quote_text("x" * 41) == f"“{'x' * 39}…”"


def test_five_places_of_a_column_that_stands_more_often_are_named() -> None:
    [problem] = resolve_headings([*NAMES, *["Email"] * 6], {}, {}).problems
    assert (problem.message.count("“EMAIL”") + problem.message.count("“Email”"), "6 (F)" in problem.message) == (
        5,
        False,
    )


@pytest.mark.parametrize("mark", "=+-@")
def test_the_guard_of_a_heading_is_no_part_of_it(mark: str) -> None:
    assert normalize_heading(f"'{mark}RANK") == f"{mark}RANK".replace("-", "_")
    assert normalize_heading("'RANK") == "'RANK"


def test_headings_that_name_a_column_are_counted_once_with_those_that_are_mapped() -> None:
    assert count_known(["EMAIL", "e-mail", "email", "Shield", "x", ""], {"shield": "BADGE_NUMBER"}) == 2
