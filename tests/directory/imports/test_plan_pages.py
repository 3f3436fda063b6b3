"""The rows of an import, page by page: from its plan, and from the audit trail when the plan is no longer kept."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from musterbook.directory import models
from musterbook.directory.imports import plan_pages
from musterbook.directory.imports.options import Options
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def record() -> models.Import:
    """An import that adds three users on two pages, and has an error and a note."""
    made = cast.agency()
    rows = [person(1), person(2), person(3, SUPERVISOR_EMAIL="nobody@case.example"), person(4, STATUS="?")]
    record = cast.run(made, rows).record
    assert (record.counts["added"], record.counts["errored"]) == (3, 1)
    return record


@pytest.fixture(autouse=True)
def _two_rows_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_pages, "PAGE", 2)


@pytest.mark.parametrize("kept", [True, False], ids=["from the plan", "from the trail"])
@pytest.mark.parametrize(
    ("asked", "number", "ids"),
    [(-3, 1, ["E-1", "E-2"]), (0, 1, ["E-1", "E-2"]), (1, 1, ["E-1", "E-2"]), (2, 2, ["E-3"]), (9, 2, ["E-3"])],
)
def test_each_page_has_its_rows_and_a_number_out_of_range_is_the_nearest_page(
    record: models.Import, asked: int, number: int, ids: list[str], kept: bool
) -> None:
    if not kept:
        _forget_plan(record)
    page = plan_pages.read_page(record, "added", number=asked)
    assert (page.number, page.pages, page.total) == (number, 2, 3)
    assert (page.first, page.last) == {1: (1, 2), 2: (3, 3)}[number]
    assert [line.external_id for line in page.lines] == ids


@pytest.mark.parametrize("kept", [True, False], ids=["from the plan", "from the trail"])
def test_rows_with_problems_and_rows_with_notes_have_pages_of_their_own(record: models.Import, kept: bool) -> None:
    if not kept:
        _forget_plan(record)
    [errored], [noted] = (plan_pages.read_page(record, name).lines for name in ("errored", "noted"))
    problems = [problem.code for cell in errored.cells for problem in cell.problems] or [
        problem.code for problem in errored.problems
    ]
    assert (errored.external_id, problems) == ("E-4", ["invalid-status"])
    assert (noted.external_id, [note.code for note in noted.notes]) == ("E-3", ["unknown-supervisor"])


def test_a_row_that_nobody_has_become_yet_leads_to_no_user() -> None:
    made = cast.agency()
    cast.apply_rows(made, [person(1)])
    preview = cast.run(
        made, [person(1, LAST_NAME="New"), person(2), person(3, STATUS="?")], Options(preview=True)
    ).record
    lines = [line for name in ("updated", "added", "errored") for line in plan_pages.read_page(preview, name).lines]
    assert [(line.external_id, line.pk) for line in lines] == [("E-1", cast.user(made, 1).pk), ("E-2", 0), ("E-3", 0)]


def test_a_page_without_rows_is_the_first_of_one(record: models.Import) -> None:
    _forget_plan(record)
    page = plan_pages.read_page(record, "protected")
    assert (page.number, page.pages, page.total, page.lines, page.gone) == (1, 1, 0, [], False)


def test_rows_of_a_plan_that_is_no_longer_kept_are_gone_only_if_the_import_has_counted_some(
    record: models.Import,
) -> None:
    _forget_plan(record)
    record.counts = {"skipped": 1}
    assert plan_pages.read_page(record, "skipped").gone
    record.counts = {}  # an earlier version did not count them
    assert not plan_pages.read_page(record, "skipped").gone


def _forget_plan(record: models.Import) -> None:
    shutil.rmtree(Path(settings.MUSTER_HOME) / "plans" / record.number)


def test_the_emails_of_an_import_are_listed_without_its_plan_from_the_outbox(record: models.Import) -> None:
    """D8: who got which email is known as long as the outbox is."""
    kept = plan_pages.list_mails(record)
    assert [mail["external_id"] for mail in kept] == ["E-1", "E-2", "E-3"]
    page = plan_pages.read_page(record, "mailed", number=2)
    _forget_plan(record)
    assert plan_pages.list_mails(record) == kept
    assert plan_pages.list_mails(record, 1) == kept[:1]
    again = plan_pages.read_page(record, "mailed", number=2)
    assert [line.external_id for line in again.lines] == [line.external_id for line in page.lines] == ["E-3"]
    models.Mail.objects.all().delete()
    assert plan_pages.read_page(record, "mailed").gone
