"""The file's own values: what they are read as, and what is noted (F13)."""

import pytest

from musterbook.core.checking import meanings
from musterbook.core.domain.columns import EVIDENCE_GROUP_EXT_ID, RANK, ROLE, STATUS, Column
from musterbook.core.domain.file_values import FileValues, Meanings
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from tests.core.cast import make_table

WORDS = Vocabulary(
    (Role(1, "Admin"), Role(2, "Officer")),
    (Rank(1, "Sergeant", "Sgt"), Rank(2, "Lieutenant", "Lt")),
    (Group(1, "PATROL-1"), Group(2, "West"), Group(3, "OLD", active=False)),
)


def read_cells(
    column: Column, *cells: str, given: Meanings | None = None, remembered: Meanings | None = None
) -> tuple[list[str], list[str]]:
    """What the cells of the column are read as, and the sentences of the notes."""
    values = FileValues(given=given or {}, remembered=remembered or {})
    table = make_table([{"EXTERNAL_ID": str(number), column.heading: cell} for number, cell in enumerate(cells)])
    read, notes = meanings.translate_cells(table, values, WORDS)
    return read.cells[column.field].to_list(), [note.message for note in notes]


@pytest.mark.parametrize("cell", ["Terminated", "TERMINATED", "  terminated ", "Ｔerminated", "Terminated\u200b"])
def test_a_value_is_found_in_any_case_and_with_spaces_around_it(cell: str) -> None:
    """F13: trimmed and without regard to case, like the values of the column."""
    read, notes = read_cells(STATUS, cell, "Active", given={"STATUS": {" terminated": "inactive"}})
    assert read == ["Inactive", "Active"]
    assert notes == [
        "Values of STATUS were read as they are mapped, with the number of rows: “ terminated” → “Inactive” (1)."
    ]


def test_runs_of_white_space_do_not_matter() -> None:
    assert read_cells(STATUS, "leave  of absence", given={"STATUS": {"Leave of Absence": "Inactive"}})[0] == [
        "Inactive"
    ]


def test_each_column_gets_the_text_that_the_directory_has() -> None:
    """The text is that of the unchanged fast path: a rank that is given by its abbreviation has its name."""
    assert read_cells(RANK, "Sarge", given={"RANK": {"Sarge": "SGT"}})[0] == ["Sergeant"]
    assert read_cells(ROLE, "PO", given={"ROLE": {"PO": "officer"}})[0] == ["Officer"]
    assert read_cells(EVIDENCE_GROUP_EXT_ID, "P1", given={"EVIDENCE_GROUP_EXT_ID": {"P1": "PATROL-1"}})[0] == [
        "PATROL-1"
    ]


def test_a_value_can_mean_a_blank_cell_in_an_optional_column() -> None:
    read, notes = read_cells(RANK, "Civilian", "", given={"RANK": {"Civilian": ""}})
    assert read == ["", ""]
    assert notes == ["Values of RANK were read as they are mapped, with the number of rows: “Civilian” → “” (1)."]


def test_a_blank_cell_is_never_mapped() -> None:
    """C2: a blank cell of a required column stays `required`."""
    assert read_cells(STATUS, "", " ", given={"STATUS": {"": "Active", " ": "Active"}})[0] == ["", " "]


def test_without_mapped_values_the_table_is_the_same_object() -> None:
    table = make_table([{"EXTERNAL_ID": "1", "STATUS": "T"}])
    assert meanings.translate_cells(table, FileValues(), WORDS) == (table, [])
    assert meanings.translate_cells(table, FileValues(given={"RANK": {"T": "Sgt"}}), WORDS) == (table, [])
    assert meanings.translate_cells(table, FileValues(given={"STATUS": {"X": "Inactive"}}), WORDS) == (table, [])


def test_a_given_entry_takes_precedence_over_a_remembered_one() -> None:
    remembered = {"STATUS": {"T": "Inactive", "L": "Inactive"}, "RANK": {"Sarge": "Sgt"}}
    given = {"STATUS": {"t": "Active"}}
    assert meanings.merge_meanings(remembered, given) == {
        "STATUS": {"L": "Inactive", "t": "Active"}, "RANK": {"Sarge": "Sgt"},
    }  # fmt: skip
    assert read_cells(STATUS, "T", "L", given=given, remembered=remembered)[0] == ["Active", "Inactive"]


def test_a_remembered_entry_whose_value_no_longer_exists_is_skipped() -> None:
    assert read_cells(RANK, "Cap", remembered={"RANK": {"Cap": "Captain"}}) == (["Cap"], [])
    assert read_cells(STATUS, "T", remembered={"LOCATION": {"T": "HQ"}}) == (["T"], [])


def test_a_mapping_takes_precedence_over_a_name_of_the_agency_and_a_note_says_so() -> None:
    read, notes = read_cells(RANK, "Sgt", "Lt", given={"RANK": {"Sgt": "Lieutenant", "Lt": "Lieutenant"}})
    assert read == ["Lieutenant", "Lieutenant"]
    assert notes[1:] == [
        "The agency itself has the RANK “Sgt”. It was read as “Lieutenant”, as it is mapped (rows: 1)."
    ]


def test_the_external_id_of_a_group_is_not_taken_for_a_value_in_another_case() -> None:
    """C7: groups are matched exactly."""
    given = {"EVIDENCE_GROUP_EXT_ID": {"WEST": "PATROL-1"}}
    assert read_cells(EVIDENCE_GROUP_EXT_ID, "West", "WEST", "west", given=given)[0] == ["West", "PATROL-1", "PATROL-1"]


def test_the_note_lists_the_most_frequent_values_first_and_not_all_of_many() -> None:
    cells = [f"X{number}" for number in range(12)]
    _, (note, *rest) = read_cells(STATUS, *cells, "x3", given={"STATUS": dict.fromkeys(cells, "Inactive")})
    assert "rows: “X3” → “Inactive” (2), " in note
    assert note.endswith(", and 2 more.")
    assert not rest


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"RANK": {"Sarge": "Sergant"}}, "no rank “Sergant”. Map it to one of the agency's values. Did you mean Sergeant?"),
        ({"STATUS": {"T": "Gone"}}, "“STATUS:T=Gone” cannot be used: there is no status “Gone”."),
        ({"STATUS": {"T": ""}}, "“STATUS:T=” cannot be used: STATUS cannot be blank."),
        ({"ROLE": {"PO": " "}}, "“ROLE:PO= ” cannot be used: there is no role “ ”."),
        ({"EVIDENCE_GROUP_EXT_ID": {"P": "patrol-1"}}, "there is no group with the external ID “patrol-1”. Map it"),
    ],
)  # fmt: skip
def test_a_given_entry_for_something_that_the_agency_lacks_is_a_problem_of_the_file(
    given: Meanings, sentence: str
) -> None:
    (problem,) = meanings.find_unusable(given, WORDS)
    assert sentence in f"{problem.message} {problem.remedy}"


def test_what_the_agency_has_is_no_problem() -> None:
    given = {"STATUS": {"T": "inactive", "I": "Invited"}, "RANK": {"C": "", "S": "sgt"}, "ROLE": {"PO": "OFFICER"}}
    assert not list(meanings.find_unusable(given, WORDS))


@pytest.mark.parametrize(
    ("heading", "value", "suggestion"),
    [
        ("RANK", "Sargent", "Sergeant"), ("RANK", "Lt.", "Lieutenant"), ("ROLE", "Oficer", "Officer"), ("RANK", "Zzz", ""),
        ("STATUS", "Terminated", "Inactive"), ("STATUS", "T ", "Inactive"), ("STATUS", "Actve", "Active"),
        ("STATUS", "Current", "Active"), ("STATUS", "Leave of Absence", ""), ("EVIDENCE_GROUP_EXT_ID", "patrol1", "PATROL-1"),
        ("EVIDENCE_GROUP_EXT_ID", "OLD1", ""),
    ],
)  # fmt: skip
def test_the_nearest_value_of_the_agency_is_suggested(heading: str, value: str, suggestion: str) -> None:
    assert meanings.suggest_value(heading, value, WORDS) == suggestion
    assert meanings.list_near(heading, value, WORDS)[:1] == ([suggestion] if suggestion else [])
