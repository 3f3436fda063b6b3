"""A search in the rows of a plan: in cells, in the sentences of problems and notes, and in fixes that are not planned yet."""

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import drafts, plan_pages
from musterbook.directory.imports.drafts import Edit
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, person, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def record() -> models.Import:
    """A preview of a new user, of one with a wrong role, and of one with a wrong status and a note."""
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin")])
    rows = [
        person(7), person(8, ROLE="Oficer"),
        person(9, STATUS="?", SUPERVISOR_EMAIL="nobody@case.example"), person(10, SUPERVISOR_EMAIL="nobody@case.example"),
    ]  # fmt: skip
    return run(made, rows, Options(preview=True), by="E-1").record


def search(record: models.Import, name: str, text: str) -> list[str]:
    return [line.external_id for line in plan_pages.read_page(record, name, text=text).lines]


def test_rows_are_found_by_a_part_of_any_cell_in_any_case(record: models.Import) -> None:
    assert search(record, "added", "FIRST 7") == ["E-7"]
    assert search(record, "added", "user.") == ["E-7", "E-10"]
    assert search(record, "added", ".*") == []


def test_rows_with_errors_are_found_by_what_their_problems_say(record: models.Import) -> None:
    assert search(record, "errored", "status") == ["E-9"]
    assert search(record, "errored", "there is no ROLE “Oficer”") == ["E-8"]
    assert search(record, "errored", "use Active or Inactive") == ["E-9"]
    assert search(record, "errored", "Oficer") == ["E-8"]
    assert search(record, "errored", "unknown-supervisor") == []
    assert search(record, "noted", "unknown-supervisor") == ["E-10"]


def test_rows_with_errors_are_found_by_their_fixes_and_rows_with_notes_are_not(record: models.Import) -> None:
    drafts.save_fixes(record, [Edit(3, "ROLE", "Oficer", "Quartermaster")], AuditContext(NOW, "E-1", "page"))
    assert search(record, "errored", "quarter") == ["E-8"]
    assert search(record, "noted", "quarter") == []
    drafts.save_fixes(record, [Edit(3, "ROLE", "Quartermaster", "Officer")], AuditContext(NOW, "E-1", "page"))
    assert search(record, "errored", "quarter") == []
