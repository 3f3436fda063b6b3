"""Checking: what each cell comes to, and every problem of every row (rules C1–C11)."""

import unicodedata
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musterbook.core.checking.check import check
from musterbook.core.domain import problems
from musterbook.core.domain.columns import (
    COLUMNS,
    EXTERNAL_ID,
    LOCATION,
    NEW_EXTERNAL_ID,
    OPTIONAL,
    PHONE,
    REQUIRED,
    Column,
)
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import CheckedTable, Table
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.core.values import phones
from musterbook.core.values.text import TRIMMED
from tests.core.cast import make_table
from tests.examples import examples

WORDS = Vocabulary(
    roles=(Role(1, "Officer"), Role(2, "Evidence Technician")),
    ranks=(Rank(11, "Sergeant", "Sgt"), Rank(12, "Captain"), Rank(13, "Sgt", "S")),
    groups=(Group(21, "GRP-1"), Group(22, "GRP-OLD", active=False)),
)
ANN = {
    "EXTERNAL_ID": "0300", "EMAIL": "Ann@agency.example", "BADGE_NUMBER": "7", "FIRST_NAME": "Ann", "LAST_NAME": "Ray",
    "STATUS": "Active", "USERNAME": "Ann.Ray", "ROLE": "Officer", "SUPERVISOR_EMAIL": "Bo@agency.example",
    "LOCATION": "HQ", "RANK": "Captain", "EVIDENCE_GROUP_EXT_ID": "GRP-1", "PHONE": "+1 202 555 0143",
}  # fmt: skip
TEXTS = ("FIRST_NAME", "LAST_NAME", "LOCATION", "EXTERNAL_ID", "BADGE_NUMBER")


def of(*rows: dict[str, str], words: Vocabulary = WORDS) -> CheckedTable:
    return check(make_table([ANN | row for row in rows]), words)


@pytest.mark.parametrize("present", [COLUMNS, REQUIRED, (EXTERNAL_ID, NEW_EXTERNAL_ID)])
def test_a_table_without_rows_gets_the_same_columns_as_any_other(present: tuple[Column, ...]) -> None:
    cells = pl.DataFrame({"row": [2], **{column.field: ["x"] for column in present}}).cast({"row": pl.UInt32})
    checked, none = check(Table(cells), WORDS), check(Table(cells.clear()), WORDS)
    assert none.rows.schema == checked.rows.schema
    assert none.problems.schema == checked.problems.schema


def value(heading: str, cell: str, name: str = "", words: Vocabulary = WORDS) -> object:
    """What one cell comes to, without a problem."""
    checked = of({heading: cell}, words=words)
    assert checked.problems.is_empty(), problems.list_problems(checked.problems)
    return checked.rows[name or heading.lower()].item()


def locate_problems(checked: CheckedTable) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.code, problem.column) for problem in problems.list_problems(checked.problems)]


def problem(heading: str, cell: str, words: Vocabulary = WORDS) -> Problem:
    """The one problem of one cell, whose values are null."""
    checked = of({heading: cell}, words=words)
    (found,) = problems.list_problems(checked.problems)
    assert found.column == heading
    names = {"STATUS": "status", "ROLE": "role_id", "RANK": "rank_id", "EVIDENCE_GROUP_EXT_ID": "group_id"}
    assert checked.rows[names.get(heading, heading.lower())].item() is None
    return found


@given(
    st.sampled_from(COLUMNS), st.text(st.sampled_from("a1'=+-@\"é\u0301\u200b \t"), max_size=8) | st.text(max_size=8)
)
@example(LOCATION, "'=1")
@example(LOCATION, ' ="00123"')
@example(PHONE, "'+1 202 555 0143")
def test_the_check_of_a_table_of_values_sees_exactly_these_values(column: Column, written: str) -> None:
    table = Table.of_values(pl.DataFrame({"row": [2], column.field: [written]}).cast({"row": pl.UInt32}))
    checked = check(table, Vocabulary())
    value = unicodedata.normalize("NFC", written.strip(TRIMMED))
    read = phones.parse_number(value) if column is PHONE and value else value
    # A blank rank or group has no problem, and no value that is text.
    values = checked.rows.get_column(column.field, default=pl.Series([value]))
    seen = {problem.value for problem in problems.list_problems(checked.problems)}
    assert seen == {value} if seen else values.to_list() == [read]


def test_a_good_row_comes_to_its_values_and_has_no_problem() -> None:
    checked = of({})
    assert checked.problems.is_empty()
    assert checked.present == COLUMNS
    assert checked.rows.rows(named=True) == [
        {
            "row": 2, "external_id": "0300", "email": "Ann@agency.example", "email_key": "ann@agency.example",
            "badge_number": "7", "badge_number_key": "7", "first_name": "Ann", "last_name": "Ray", "status": True,
            "username": "Ann.Ray", "username_key": "ann.ray", "role_id": 1, "supervisor_email": "Bo@agency.example",
            "supervisor_email_key": "bo@agency.example", "location": "HQ", "rank_id": 12, "rank_blank": False,
            "group_id": 21, "group_blank": False, "group_inactive": False, "phone": "+12025550143",
        }
    ]  # fmt: skip


def test_a_table_without_rows_has_the_columns_and_types_of_any_other() -> None:
    table = make_table([ANN])
    empty = check(replace(table, cells=table.cells.clear()), WORDS)
    assert empty.rows.schema == of({}).rows.schema
    assert empty.problems.is_empty()


@pytest.mark.parametrize("heading", TEXTS)
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" \t\u00a0\u200b\ufeffAnn \u2003", "Ann"),
        ("Ann  Lee", "Ann  Lee"),
        ("Jose\u0301", "José"),
        ('="00123"', "00123"),
        ('="say ""so"""', 'say "so"'),
        ('="12"&"34"', '="12"&"34"'),
        ('="""', '="""'),
        ("'=1+1", "=1+1"),
        ("'-", "-"),
        ("''@x", "'@x"),
        ("O'Neil", "O'Neil"),
        ("'t Hooft", "'t Hooft"),
        ("ab\u200dc", "ab\u200dc"),
    ],
)
def test_c1_a_cell_is_trimmed_composed_and_taken_out_of_a_spreadsheets_guards(
    heading: str, cell: str, text: str
) -> None:
    assert value(heading, cell) == text


@pytest.mark.parametrize("heading", ["EMAIL", "USERNAME", *TEXTS])
@pytest.mark.parametrize(
    ("character", "words"),
    [
        ("\n", "a line break"),
        ("\x85", "a line break"),
        ("\t", "a tab"),
        ("\x07", "U+0007, a control character"),
        ("\u202e", "U+202E, right-to-left override"),
        ("\u2066", "U+2066, left-to-right isolate"),
    ],
)
def test_c1_control_characters_line_breaks_and_overrides_of_direction_are_illegal(
    heading: str, character: str, words: str
) -> None:
    found = problem(heading, f"abc{character}d")
    assert found.code == "illegal-character"
    assert found.detail == f"{words}, after “abc”"


@pytest.mark.parametrize("heading", ["EMAIL", "USERNAME"])
@pytest.mark.parametrize(
    "character", ["\u200b", "\u200d", "\u2060", "\u00ad", "\u034f", "\u061c", "\u3164", "\ufe0f", "\U000e0061"]
)
def test_c1_characters_that_nobody_sees_are_illegal_in_an_email_and_a_username(heading: str, character: str) -> None:
    assert problem(heading, f"ann{character}@agency.example").code == "illegal-character"


@pytest.mark.parametrize("blank", ["", " ", "\u00a0\u200b", '=""'])
def test_c2_a_blank_in_a_required_column_is_a_problem_and_in_another_clears(blank: str) -> None:
    checked = of({column.heading: blank for column in COLUMNS})
    assert locate_problems(checked) == [(2, "required", column.heading) for column in REQUIRED]
    kept = checked.rows.row(0, named=True)
    assert [kept[c.field] for c in OPTIONAL if c.field in kept] == ["", "", ""]
    assert kept["rank_blank"]
    assert kept["group_blank"]


@pytest.mark.parametrize("heading", [*TEXTS, "USERNAME", "SUPERVISOR_EMAIL"])
def test_c3_a_text_has_at_most_255_characters(heading: str) -> None:
    assert value(heading, "é" * 255) == "é" * 255
    assert value(heading, "e" * 255) == "e" * 255
    found = problem(heading, "e" * 256)
    assert found.code == "too-long"
    assert (found.detail, found.hint) == ("256", "255")


def test_c3_an_email_has_at_most_254_characters() -> None:
    domain = f"{'b' * 60}.{'c' * 60}.{'d' * 60}.example"
    assert value("EMAIL", f"{'a' * 63}@{domain}") == f"{'a' * 63}@{domain}"
    found = problem("EMAIL", f"{'a' * 64}@{domain}")
    assert (found.code, found.detail, found.hint) == ("too-long", "255", "254")


def test_c4_an_email_is_stored_as_typed_and_compared_without_regard_to_case() -> None:
    assert value("EMAIL", "Ann.Ray@Agency.Example") == "Ann.Ray@Agency.Example"
    assert value("EMAIL", "Änn@x.example".replace("Ä", "A"), "email_key") == "ann@x.example"
    assert value("EMAIL", "ann@bücher.example") == "ann@bücher.example"
    assert (
        problem("EMAIL", "ann.agency.example").message == "“ann.agency.example” is not an email address. It has no @."
    )


@pytest.mark.parametrize(
    ("cell", "active"),
    [
        ("Active", True),
        ("INACTIVE", False),
        ("inActive ", False),
        ("Invited", True),
        ("locked", True),
        ("Password reset", True),
    ],
)
def test_c5_a_status_is_read_in_any_case_and_the_states_of_an_export_are_active(cell: str, active: bool) -> None:
    assert value("STATUS", cell) is active


@pytest.mark.parametrize("cell", ["Aktiv", "TRUE", "1", "deleted", "activ"])
def test_c5_another_status_is_a_problem(cell: str) -> None:
    assert problem("STATUS", cell).code == "invalid-status"


@pytest.mark.parametrize(
    ("heading", "cell", "known"),
    [
        ("ROLE", "evidence   TECHNICIAN", 2),
        ("RANK", "captain", 12),
        ("RANK", "Sgt", 13),
        ("RANK", "s", 13),
        ("RANK", "", None),
    ],
)
def test_c6_a_role_and_a_rank_are_known_in_any_case_and_with_any_white_space(
    heading: str, cell: str, known: int | None
) -> None:
    assert value(heading, cell, f"{heading.lower()}_id") == known


def test_c6_an_unknown_role_or_rank_is_a_problem_that_names_the_closest() -> None:
    role, rank = problem("ROLE", "Oficer"), problem("RANK", "Capitain")
    assert (role.code, role.remedy) == ("unknown-role", "Use one of the agency's roles. Did you mean Officer?")
    assert (rank.code, rank.remedy) == ("unknown-rank", "Use one of the agency's ranks. Did you mean Captain?")
    assert problem("ROLE", "Wizard").hint == ""
    assert problem("ROLE", "Officer", Vocabulary(ranks=WORDS.ranks, groups=WORDS.groups)).code == "unknown-role"


def test_c7_a_group_is_named_by_its_external_id_exactly() -> None:
    assert value("EVIDENCE_GROUP_EXT_ID", "GRP-1", "group_id") == 21
    found = problem("EVIDENCE_GROUP_EXT_ID", "grp-1")
    assert (found.code, found.hint) == ("unknown-group", "Did you mean GRP-1 or GRP-OLD?")


def test_c7_an_inactive_group_is_marked_and_left_to_the_plan() -> None:
    assert value("EVIDENCE_GROUP_EXT_ID", "GRP-OLD", "group_inactive") is True
    assert value("EVIDENCE_GROUP_EXT_ID", "GRP-OLD", "group_id") == 22


@pytest.mark.parametrize(
    ("cell", "stored"),
    [
        ("+1 (202) 555-0143", "+12025550143"),
        ("0044 20.7946.0958", "+442079460958"),
        ("12025550143", "+12025550143"),
        ("+1 202 555 0143 ext. 12", "+12025550143;ext=12"),
        ("+12025550143;ext=12", "+12025550143;ext=12"),
        ("'+12025550143", "+12025550143"),
        ("", ""),
    ],
)
def test_c8_a_phone_with_a_country_code_is_stored_as_e164(cell: str, stored: str) -> None:
    assert value("PHONE", cell) == stored


@pytest.mark.parametrize("cell", ["(202) 555-0143", "555-0143", "+1 555 0143", "+999 12345", "ask Bo", "="])
def test_c8_a_phone_without_a_country_code_or_impossible_is_a_problem(cell: str) -> None:
    assert problem("PHONE", cell).code == "invalid-phone"


def test_c8_a_default_country_reads_national_numbers() -> None:
    words = replace(WORDS, country="US")
    assert value("PHONE", "(202) 555-0143", words=words) == "+12025550143"
    assert value("PHONE", "+442079460958", words=words) == "+442079460958"
    assert problem("PHONE", "55-0143", words).code == "invalid-phone"


def test_c9_a_location_is_kept_as_it_is() -> None:
    assert value("LOCATION", 'HQ, "Floor 3"; 1/2') == 'HQ, "Floor 3"; 1/2'


def test_c10_ids_are_text() -> None:
    ids = ["0300", "300", "1E5", "3-1", "TRUE", "2026-03-01", "1.50"]
    checked = of(*({"EXTERNAL_ID": id_, "BADGE_NUMBER": id_} for id_ in ids))
    assert checked.problems.is_empty()
    assert checked.rows["external_id"].to_list() == checked.rows["badge_number"].to_list() == ids


@pytest.mark.parametrize("column", [column.heading for column in COLUMNS])
@pytest.mark.parametrize("cell", ["#REF!", "#N/A", "#NAME?", "########"])
def test_c10_a_spreadsheets_error_in_any_column_is_damage(column: str, cell: str) -> None:
    assert problem(column, cell).code == "spreadsheet-damage"


@pytest.mark.parametrize("column", ["EXTERNAL_ID", "BADGE_NUMBER", "PHONE"])
@pytest.mark.parametrize("cell", ["1.23457E+15", "1,23457E+15", "-1.2E15", "2E+15", "'00123"])
def test_c10_a_number_that_a_spreadsheet_has_shortened_or_marked_is_damage(column: str, cell: str) -> None:
    assert problem(column, cell).code == "spreadsheet-damage"


def test_c10_what_is_damage_in_an_id_is_a_name_elsewhere() -> None:
    assert problem("USERNAME", "1.5E+15").code == "spreadsheet-damage"
    assert value("LOCATION", "1.5E+15") == "1.5E+15"
    assert value("LAST_NAME", "#1") == "#1"


def test_c11_every_problem_of_a_row_is_said_at_once_and_every_row_with_a_problem() -> None:
    bad = {"EMAIL": "x", "STATUS": "x", "ROLE": "x", "FIRST_NAME": "", "PHONE": "x", "LAST_NAME": "a\n" + "b" * 300}
    checked = of(bad, {}, bad)
    row = [
        ("invalid-email", "EMAIL"), ("required", "FIRST_NAME"), ("illegal-character", "LAST_NAME"), ("too-long", "LAST_NAME"),
        ("invalid-status", "STATUS"), ("unknown-role", "ROLE"), ("invalid-phone", "PHONE"),
    ]  # fmt: skip
    assert sorted(locate_problems(checked)) == sorted((number, *one) for number in (2, 4) for one in row)
    assert checked.rows["first_name"].to_list() == [None, "Ann", None]


def test_the_same_fault_in_many_rows_is_said_of_each() -> None:
    checked = of(*({"ROLE": "Wizard", "EMAIL": "x"} for _ in range(3)))
    assert sorted(locate_problems(checked)) == sorted(
        (row, *one) for row in (2, 3, 4) for one in (("unknown-role", "ROLE"), ("invalid-email", "EMAIL"))
    )


def test_a_row_whose_cells_may_stand_in_the_wrong_columns_has_no_problem_but_that() -> None:
    faults = problems.build_frame([Problem("cell-count", row=2, value="12", detail="13")])
    table = replace(make_table([ANN | {"STATUS": "x"}, ANN | {"STATUS": "y"}]), faults=faults)
    assert locate_problems(check(table, WORDS)) == [(2, "cell-count", ""), (3, "invalid-status", "STATUS")]


def test_of_a_cell_that_could_not_be_read_nothing_more_is_said() -> None:
    found = [Problem("no-result", row=2, column=heading) for heading in ("EXTERNAL_ID", "RANK", "STATUS")]
    table = make_table([ANN | {"EXTERNAL_ID": "", "RANK": "", "STATUS": "x"}, ANN | {"STATUS": "x"}])
    checked = check(replace(table, faults=problems.build_frame(found)), WORDS)
    assert locate_problems(checked) == [*((2, "no-result", p.column) for p in found), (3, "invalid-status", "STATUS")]
    assert checked.rows.select("external_id", "rank_id", "rank_blank", "status").rows() == [
        (None, None, False, None),
        ("0300", 12, False, None),
    ]


ODD = st.sampled_from(["", " ", "Ann", "'=x", '="1"', "é", "e\u0301", "a\nb", "#REF!", "1.5E+9", "Officer", "x@y.example",
                       "+12025550143", "Sgt", "GRP-OLD", "inactive", "ann\u200b@x.example", "x" * 256, "K"])  # fmt: skip


@settings(max_examples=examples(20))
@given(st.lists(st.fixed_dictionaries({column.heading: ODD for column in COLUMNS}), min_size=1, max_size=6))
def test_a_row_comes_to_the_same_in_any_company(rows: list[dict[str, str]]) -> None:
    together = of(*rows)
    for number, row in enumerate(rows):
        alone = of(row)
        assert together.rows.drop("row").row(number) == alone.rows.drop("row").row(0)
        ours = together.problems.filter(pl.col("row") == number + 2).drop("row")
        assert ours.equals(alone.problems.drop("row"))


@settings(max_examples=examples(60))
@given(st.fixed_dictionaries({column.heading: ODD for column in COLUMNS}))
def test_a_value_is_null_exactly_where_its_cell_has_a_problem(row: dict[str, str]) -> None:
    checked = of(row)
    wrong = set(checked.problems["column"])
    kept = checked.rows.row(0, named=True)
    texts = [c for c in COLUMNS if c.field in kept]
    assert {c.heading for c in texts if kept[c.field] is None} == {c.heading for c in texts} & wrong
