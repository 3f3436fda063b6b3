"""Released badges: written with an event, found by the search, and given back by an undo (rule M13)."""

import json
from datetime import UTC, datetime

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit import cross_checks
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, undo
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.users import editing, user_list
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 28, 23, tzinfo=UTC)
UNTIL = "B-2 (until 2026-11-28)"
RELEASE = Options(release_badges=True)
CONTEXT = AuditContext(NOW, "", "cli")


@pytest.fixture
def agency() -> models.Agency:
    """An agency in which 2 has left, among many."""
    made = cast.agency()
    cast.apply_rows(made, [person(1, ROLE="Admin"), person(2, STATUS="Inactive"), *cast.people(*range(3, 50))])
    return made


def take(agency: models.Agency, number: int = 70, **cells: str) -> ImportResult:
    return cast.apply_rows(agency, [person(number, **{"BADGE_NUMBER": "B-2", **cells})], RELEASE, at=NOW)


def badge(agency: models.Agency, number: int) -> str:
    return cast.user(agency, number).badge_number


def test_a_released_badge_is_written_with_an_event_and_found_by_the_search(agency: models.Agency) -> None:
    done = take(agency)
    assert (badge(agency, 2), badge(agency, 70)) == (UNTIL, "B-2")
    assert done.record.counts["released"] == 1
    event = models.Event.objects.get(of=done.record, subject=cast.user(agency, 2))
    assert (event.kind, json.loads(event.changes)) == ("user.updated", {"BADGE_NUMBER": ["B-2", UNTIL]})
    assert cast.user(agency, 2).badge_number_key == UNTIL.lower()
    found = user_list.find_by_text(agency, "2026-11-28", at=NOW)
    assert [number for number, _ in found] == [cast.user(agency, 2).pk]
    assert cross_checks.find_error(agency) == ""


def test_a_user_who_leaves_by_the_same_import_gets_one_event_of_both_changes(agency: models.Agency) -> None:
    rows = [person(1, ROLE="Admin"), *cast.people(*range(4, 50)), person(70, BADGE_NUMBER="B-3")]
    done = cast.apply_rows(agency, rows, Options(mode=Mode.SYNC, release_badges=True), at=NOW)
    [event] = models.Event.objects.filter(of=done.record, subject=cast.user(agency, 3))
    assert event.kind == "user.deactivated"
    assert json.loads(event.changes) == {
        "BADGE_NUMBER": ["B-3", "B-3 (until 2026-11-28)"], "STATUS": ["Active", "Inactive"],
    }  # fmt: skip
    assert cross_checks.find_error(agency) == ""
    undo.run_undo(done.record, context=CONTEXT)
    assert (badge(agency, 3), cast.user(agency, 3).active) == ("B-3", True)


def test_a_badge_that_is_released_twice_on_one_day_is_unique_also_for_a_small_file(agency: models.Agency) -> None:
    take(agency)
    cast.apply_rows(agency, [person(70, BADGE_NUMBER="B-2", STATUS="Inactive")])
    take(agency, 71)
    assert [badge(agency, number) for number in (2, 70, 71)] == [UNTIL, f"{UNTIL}, E-70", "B-2"]


def test_undo_gives_the_badge_back_and_the_added_user_keeps_its_day(agency: models.Agency) -> None:
    done = take(agency)
    undone = undo.run_undo(done.record, context=CONTEXT)
    assert undone.record.counts["errored"] == 0
    assert [badge(agency, number) for number in (2, 70)] == ["B-2", UNTIL]
    assert not cast.user(agency, 70).active
    again = undo.run_undo(undone.record, context=CONTEXT)
    assert again.record.counts["errored"] == 0
    assert [badge(agency, number) for number in (2, 70)] == [UNTIL, "B-2"]
    assert cross_checks.find_error(agency) == ""


def test_undo_gives_back_no_badge_that_somebody_else_has_since(agency: models.Agency) -> None:
    done = take(agency)
    cast.apply_rows(agency, [person(70, BADGE_NUMBER="B-70"), person(3, BADGE_NUMBER="B-2", STATUS="Inactive")])
    assert undo.run_undo(done.record, context=CONTEXT).record.counts["errored"] == 1
    assert badge(agency, 2) == UNTIL


@pytest.mark.parametrize("allowed", [True, False])
def test_the_setting_of_the_agency_holds_for_files_and_forms(agency: models.Agency, allowed: bool) -> None:
    models.Agency.objects.update(release_badges=allowed)
    agency.refresh_from_db()
    three = cast.user(agency, 3)
    shown = editing.build_row(three)
    assert editing.edit(three, {**shown, "BADGE_NUMBER": "B-2"}, shown, CONTEXT).done == allowed
    cast.apply_rows(agency, [person(4, STATUS="Inactive")])
    done = cast.run(agency, [person(70, BADGE_NUMBER="B-4")])
    assert done.record.counts["errored"] == (not allowed)


def test_one_import_can_keep_badges_although_the_agency_releases_them(agency: models.Agency) -> None:
    models.Agency.objects.update(release_badges=True)
    agency.refresh_from_db()
    done = cast.run(agency, [person(70, BADGE_NUMBER="B-2")], Options(release_badges=False))
    assert done.record.counts["errored"] == 1
    assert Options.of_json(done.record.options).release_badges is False


def test_a_preview_of_a_released_badge_is_applied_the_next_day(agency: models.Agency) -> None:
    preview = cast.run(
        agency,
        [person(70, BADGE_NUMBER="B-2")],
        Options(preview=True, decided={"2": {"taken": "BADGE_NUMBER"}}),
        at=NOW,
    )
    done = file_import.apply_previewed(
        agency, preview.record.number, context=AuditContext(datetime(2026, 11, 29, 9, tzinfo=UTC), "", "cli")
    )
    assert done.record.state == "applied"
    assert badge(agency, 2) == "B-2 (until 2026-11-29)"
