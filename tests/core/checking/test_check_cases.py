"""Single values of the world: what checking makes of each of the shared ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from musterbook.core.checking.check import check
from musterbook.core.domain import problems
from musterbook.core.domain.vocabulary import Role, Vocabulary
from tests.core.cast import make_table

CASES = Path(__file__).parents[3].parent / "shared" / "cases"
WORDS = Vocabulary(roles=(Role(1, "Officer"),))

pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside the project")


def clear(name: str) -> list[Any]:
    """The cases of one file whose verdict is not ambiguous."""
    path = CASES / f"{name}.json"
    return [item for item in json.loads(path.read_text())["items"] if not item["ambiguous"]] if path.exists() else []


def check_cell(heading: str, value: str) -> tuple[object, list[str]]:
    """What one cell comes to, and the columns that have a problem."""
    result = check(make_table([{heading: value}]), WORDS)
    return result.rows[heading.lower()].item(), [found.column for found in problems.list_problems(result.problems)]


@pytest.mark.parametrize("case", clear("emails"), ids=lambda case: case["id"])
def test_an_address_of_the_world_is_a_mailbox_or_a_problem(case: dict[str, Any]) -> None:
    stored, wrong = check_cell("EMAIL", case["address"])
    assert wrong == ([] if case["verdict"] == "valid" else ["EMAIL"])
    if case["verdict"] == "valid":
        assert stored == case.get("stored_as", case["address"].strip())


@pytest.mark.parametrize("case", clear("phones"), ids=lambda case: case["id"])
def test_a_phone_of_the_world_is_a_number_or_a_problem(case: dict[str, Any]) -> None:
    expected = (case["e164"] or "", []) if case["verdict"] == "valid" else (None, ["PHONE"])
    assert check_cell("PHONE", case["value"]) == expected


@pytest.mark.parametrize("case", clear("strings"), ids=lambda case: case["id"])
@pytest.mark.parametrize("heading", ["FIRST_NAME", "LAST_NAME"])
def test_a_string_of_the_world_is_a_name_or_a_problem(case: dict[str, Any], heading: str) -> None:
    stored, wrong = check_cell(heading, case["value"])
    if case["as_name"] == "accept":
        assert (stored, wrong) == (case["stored_as"], [])
    elif case["as_name"] == "reject":
        assert wrong == [heading]
    assert set(wrong) <= {heading}
