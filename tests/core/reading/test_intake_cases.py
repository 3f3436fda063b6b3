"""Files as spreadsheets, exports and accidents make them: what reading makes of each of the shared cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from musterbook.core.domain import problems
from musterbook.core.domain.table import Table
from musterbook.core.reading.intake import read
from musterbook.core.values.text import TRIMMED

CASES = Path(__file__).parents[3].parent / "shared" / "cases" / "csv"
BY_THE_SPECIFICATION = {
    "C008": "a file without rows is read, and only synchronize refuses it (F8)",
    "C038": "one blank cell too many in one row is a fault (F7)",
    "C108": "a file that is neither UTF-8 nor Windows-1252 needs its encoding named (F2)",
    "C111": "as C108",
    "C133": "the case of STATUS is for checking",
    "C147": "zero-width characters are trimmed off (C1, F4)",
    "C168": "hyphens are underscores in headings (F4)",
    "C186": "the kind of a file is told by its content (F1)",
    "C230": "headings below other rows are found (F12)",
    "C235": "the visible sheet that bears the headings is read (F1)",
}
LATER = {"C012", "C072", "C126", "C127", "C132"}
"""Cases whose rows are refused by checking, not by reading."""


def cases() -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(CASES.glob("C*.json"))]


pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside the project")


def expect_rows(reference: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads((CASES / reference).read_text())["rows"]
    return rows


def cells(table: Table) -> list[dict[str, str]]:
    """The cells as they are expected: trimmed, and a phone without its mark or spaces."""
    return [
        {name.upper(): _plain(name, value) for name, value in row.items() if name != "row"}
        for row in table.cells.iter_rows(named=True)
    ]


def _plain(name: str, value: str) -> str:
    value = value.strip(TRIMMED)
    return value.lstrip("+").replace(" ", "") if name.upper() == "PHONE" else value


def wrong(case: dict[str, Any], expected: dict[str, Any], table: Table) -> str:
    """What reading gets wrong of an expected outcome, "" for nothing."""
    said = " ".join(problem.message + problem.remedy for problem in table.problems).casefold()
    if expected["outcome"] == "reject_file":
        return "" if any(word.casefold() in said for word in expected["error_mentions_any"]) else f"it says: {said}"
    if table.problems:
        return f"refused: {said}"
    records = {row: record for record, row in enumerate(table.cells["row"].to_list(), 1)}
    faulty = {records[fault.row] for fault in problems.list_problems(table.faults)}
    if expected["outcome"] == "reject_rows":
        missed = {row["record"] for row in expected["rejected"]} - faulty
        return f"no fault in rows {missed}" if missed and case["id"] not in LATER else ""
    if expected["outcome"] == "import_all":
        rows = expect_rows(expected["rows_ref"])
        names = [column.heading for column in table.present]
        want = [{name: _plain(name, row[name]) for name in names} for row in rows]
        return "" if cells(table) == want and not faulty else f"other rows, or faults in {faulty}"
    return ""


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["file"])
def test_a_file_of_the_world_is_read_or_refused_as_it_should(case: dict[str, Any]) -> None:
    table = read((CASES / case["file"]).read_bytes())
    outcomes = [case["expect"], *case["also_acceptable"]]
    if case["id"] in BY_THE_SPECIFICATION:
        assert case["basis"] == "policy"
        if case["id"] not in ("C008", "C133"):
            assert "" in [wrong(case, outcome, table) for outcome in outcomes[1:]]
        return
    assert wrong(case, outcomes[0], table) == ""
