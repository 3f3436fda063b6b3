"""The generated cases reach every rule that the oracle knows: otherwise the laws would say nothing about it."""

from collections import Counter

import pytest

from tests.laws import cases, choosing, model
from tests.laws.model_rows import Expected
from tests.laws.world import Case

_CASES = 1000
"""The number of cases. They are the same in every run, so the rarest code does not depend on chance."""

PROBLEMS = (
    "above-your-role", "address-changed-hands", "cell-count", "duplicate-in-file", "identity-change", "illegal-character",
    "inactive-group", "invalid-email", "invalid-phone", "invalid-status", "last-administrator", "looks-damaged",
    "own-account", "registered-address", "required", "spreadsheet-damage", "taken", "unknown-group", "unknown-rank",
    "unknown-role", "unknown-supervisor",
)  # fmt: skip
NOTES = (
    "address-changed-hands", "another-person", "badge-released", "inactive-group-kept", "inactive-supervisor",
    "not-by-files", "other-source", "own-supervisor", "replaced-supervisor-address", "same-person", "supervisor-circle",
    "unknown-supervisor", "zeros-missing",
)  # fmt: skip
FILE_NOTES = ("blank-column", "most-users-change", "repeated-row")
PROTECTIONS = (
    "above-your-role", "exempt", "last-administrator", "leaving", "named-by-faulty-row", "not-by-files", "other-source",
    "own-account",
)  # fmt: skip
HOLDS = ("additions", "cleared", "deactivations", "handovers", "privileges", "unreadable-rows", "updates")
REFUSALS = ("no-good-row", "no-rows", "not-strict")

EXPECTED = {
    *(("problem", code) for code in PROBLEMS),
    *(("note", code) for code in NOTES),
    *(("file note", code) for code in FILE_NOTES),
    *(("protected", code) for code in PROTECTIONS),
    *(("held", kind) for kind in HOLDS),
    *(("refused", code) for code in REFUSALS),
    ("held", "the limit of a role or a group"),
    ("taken", "EXTERNAL_ID"),
    ("duplicate-in-file", "EXTERNAL_ID"),
    ("mark", "a source"),
    ("mark", "no longer missing"),
    ("mark", "missing"),
}


def _list_codes(expected: Expected) -> set[tuple[str, str]]:
    found = {("problem", code) for _, code, _ in expected.problems} | {("note", code) for _, code in expected.notes}
    found |= {("file note", code) for code, _ in expected.file_notes}
    found |= {("protected", code) for code in expected.protected.values()} | {("refused", expected.refused)}
    found |= {(code, column) for _, code, column in expected.problems if column == "EXTERNAL_ID"}
    held = {("held", "the limit of a role or a group") for _, _, scope in expected.holds if scope}
    return found | held | {("held", kind) for kind, _, _ in expected.holds}


def _list_marked(case: Case, expected: Expected) -> set[tuple[str, str]]:
    found = set[tuple[str, str]]()
    for person in case.people if expected.marks else ():
        source, missing = expected.marks[person.external_id]
        changed = {
            "a source": source != person.source,
            "no longer missing": bool(person.missing and not missing),
            "missing": bool(missing and missing != person.missing),
        }
        found |= {("mark", name) for name, is_new in changed.items() if is_new}
    return found


@pytest.fixture(scope="module")
def reached() -> Counter[tuple[str, str]]:
    """In how many cases each code occurs."""
    counter = Counter[tuple[str, str]]()
    for seed in range(_CASES):
        case = choosing.make_seeded(cases.make_case, seed)
        expected = model.expected(case)
        counter.update(_list_codes(expected) | _list_marked(case, expected))
    return counter


def test_the_cases_reach_every_code(reached: Counter[tuple[str, str]]) -> None:
    assert EXPECTED - reached.keys() == set()


def test_most_cases_change_the_directory(reached: Counter[tuple[str, str]]) -> None:
    assert reached["refused", ""] > _CASES / 2
