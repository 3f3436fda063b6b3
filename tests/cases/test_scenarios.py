"""The shared scenarios and files, through the whole product: no case fails, and what is settled comes out as preferred."""

import json
from pathlib import Path
from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from tests.cases import adapter

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not adapter.CASES.exists(), reason="the shared cases are not beside the project"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # the judge leaves its files open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # which is how that is told
]


BY_THE_SPECIFICATION = {
    "C008": "F8: a file without rows reports zero rows in update mode",
    "C012": "F6: a row that repeats the headings is skipped with a note",
    "C038": "F7: one blank cell too many in one row is an error of the row",
    "C085": "C1: a line break inside a cell is an error of its row",
    "C088": "C1: as C085; U+0085 is a line break",
    "C091": "C1: a control character inside a cell is an error of its row",
    "C108": "F2: a file that is neither UTF-8 nor Windows-1252 needs its encoding named",
    "C111": "F2: as C108",
    "C147": "C1, F4: zero-width characters are trimmed off headings",
    "C168": "F4: hyphens are underscores in headings",
    "C186": "F1: the kind of a file is told by its content",
    "C230": "F12: headings below other rows are found",
    "C235": "F1: the visible sheet that bears the headings is read",
    "S036": "S6: a file without a good row is refused",
    "S159": "C7: a group made inactive since, which the user has and keeps, is a note",
    "S185": "F5: a heading close to an optional column refuses the file",
    "S193": "F8: as C008",
}
"""Where a case prefers something other than the specification, and what the specification says."""


def loaded(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def scenarios() -> list[Any]:
    kept: dict[str, list[Any]] = loaded(adapter.CASES / "semantics.json") or {"scenarios": []}
    return kept["scenarios"]


def files() -> list[Any]:
    return [loaded(path) for path in sorted((adapter.CASES / "csv").glob("C*.json"))]


def get_level(case: dict[str, Any]) -> str:
    if case["id"] not in BY_THE_SPECIFICATION:
        return "preferred"
    assert case["basis"] == "policy"
    return "tolerated"


@pytest.mark.parametrize("case", scenarios(), ids=lambda case: case["id"])
def test_a_scenario_ends_as_it_should(case: dict[str, Any]) -> None:
    agency = adapter.agency(case["initial"], case["initial"]["users"])
    done = adapter.run(
        agency,
        case["file"]["text"].encode(),
        adapter.MODES[case["mode"]],
        case["file"]["name"],
        case["actor_external_id"] or "",
    )
    verdict, why = adapter.judge().judge_scenario(case, adapter.outcome(agency, done))
    assert verdict == get_level(case), why


@pytest.mark.parametrize("case", files(), ids=lambda case: case["file"])
def test_a_file_of_the_world_is_imported_or_refused_as_it_should(case: dict[str, Any]) -> None:
    agency = adapter.agency(loaded(adapter.CASES / "csv" / "context.json"))
    done = adapter.run(agency, (adapter.CASES / "csv" / case["file"]).read_bytes(), name=case["file"])
    verdict, why = adapter.judge().judge_csv(case, adapter.outcome(agency, done), adapter.CASES / "csv")
    assert verdict == get_level(case), why


@pytest.mark.parametrize("name", ["village", "county-a"])
def test_a_roster_is_imported_whole_and_unchanged_the_second_time(name: str) -> None:
    folder = adapter.CASES / "rosters"
    agency = adapter.agency(loaded(folder / f"{name}.json"))
    content = (folder / f"{name}.csv").read_bytes()
    rows = loaded(folder / f"{name}.json")["rows"]
    assert adapter.counts(adapter.run(agency, content)) == {"rows": rows, "added": rows}
    assert adapter.counts(adapter.run(agency, content)) == {"rows": rows, "unchanged": rows}
    assert adapter.counts(adapter.run(agency, content, Mode.SYNC)) == {"rows": rows, "unchanged": rows}
