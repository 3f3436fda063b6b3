"""The example files are what examples/make.py makes, and tell the story that they are there to tell."""

import csv
import tomllib
from collections import Counter
from pathlib import Path

import phonenumbers
import pytest

from examples import make
from musterbook.core.domain.columns import BY_HEADING, COLUMNS, REQUIRED

EXAMPLES = Path(make.__file__).parent
AGENCY = tomllib.loads((EXAMPLES / "agency.toml").read_text(encoding="utf-8"))
FIRST, SECOND = "first-night.csv", "second-night.csv"


def rows(name: str) -> dict[str, make.Row]:
    with (EXAMPLES / name).open(encoding="utf-8-sig", newline="") as file:
        return {row["EXTERNAL_ID"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_the_files_are_what_the_script_makes(tmp_path: Path, name: str) -> None:
    make.main(tmp_path)
    assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()


def test_the_headings_are_the_thirteen_columns() -> None:
    assert tuple(column.heading for column in COLUMNS) == make.HEADINGS


def test_nothing_hinders_any_row_of_the_first_night() -> None:
    people = rows(FIRST)
    assert {row["EXTERNAL_ID"]: found for row in people.values() if (found := mistakes(row, people))} == {}
    for column in ("EMAIL", "BADGE_NUMBER", "USERNAME"):
        assert max(Counter(row[column].casefold() for row in people.values()).values()) == 1


def test_the_second_night_has_seven_rows_with_a_mistake() -> None:
    before, after = rows(FIRST), rows(SECOND)
    wrong = {key: found for key, row in after.items() if (found := mistakes(row, {**before, **after}))}
    badges = Counter(row["BADGE_NUMBER"] for row in after.values())
    emails = Counter(row["EMAIL"] for row in after.values())
    assert sorted(column for found in wrong.values() for column in found) == [
        "LAST_NAME", "PHONE", "RANK", "STATUS", "SUPERVISOR_EMAIL"
    ]  # fmt: skip
    assert [badge for badge, times in badges.items() if times > 1] == ["4999"]
    assert [times for times in emails.values() if times > 1] == [2]


def test_the_second_night_deactivates_eight() -> None:
    before, after = rows(FIRST), rows(SECOND)
    assert sum(row["STATUS"] == "Active" for key, row in before.items() if key not in after) == make.LEAVERS
    assert max(5, sum(row["STATUS"] == "Active" for row in before.values()) // 10) >= make.LEAVERS


def test_one_report_has_the_address_that_the_file_replaces() -> None:
    before, after = rows(FIRST), rows(SECOND)
    replaced = {row["EMAIL"] for row in before.values()} - {row["EMAIL"] for row in after.values()}
    renamed = next(before[key]["EMAIL"] for key, row in after.items() if row["LAST_NAME"] == "Castellanos")
    assert renamed in replaced
    assert sum(row["SUPERVISOR_EMAIL"] == renamed for row in after.values()) == 1


def mistakes(row: make.Row, people: dict[str, make.Row]) -> list[str]:
    """The columns of a row that the agency's file, or the other rows, say are wrong."""
    names = {
        "ROLE": {role["name"] for role in AGENCY["roles"]},
        "RANK": {"", *(rank[key] for rank in AGENCY["ranks"] for key in ("name", "abbreviation"))},
        "EVIDENCE_GROUP_EXT_ID": {"", *(group["external_id"] for group in AGENCY["groups"] if group["active"])},
        "STATUS": {"Active", "Inactive"},
        "SUPERVISOR_EMAIL": {"", *(other["EMAIL"] for other in [*rows(FIRST).values(), *people.values()])}
        - {row["EMAIL"]},
    }
    found = {heading for heading, allowed in names.items() if row[heading] not in allowed}
    found |= {column.heading for column in REQUIRED if not row[column.heading]}
    found |= {heading for heading, value in row.items() if len(value) > BY_HEADING[heading].longest}
    if row["PHONE"] and not _reachable(row["PHONE"]):
        found.add("PHONE")
    return sorted(found)


def _reachable(phone: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(phone, AGENCY["default_country"]))
