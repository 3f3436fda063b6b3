"""Replaced addresses: for some time, the former address of a supervisor in a file means the same person (rule M9)."""

from datetime import UTC, datetime, timedelta

import pytest

from musterbook.core.planning import changes
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.users import editing
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
CONTEXT = AuditContext(NOW, "", "cli")
OLD, NEW = "user2@agency.example", "two@agency.example"


@pytest.fixture
def agency() -> models.Agency:
    """An agency with the sergeants 2 and 3, whose officer is 4, and many others."""
    made = cast.agency()
    others = cast.people(*range(5, 60))
    rows = [person(1, ROLE="Admin"), person(2), person(3), person(4, SUPERVISOR_EMAIL=OLD), *others]
    cast.apply_rows(made, rows)
    return made


def notes(done: ImportResult) -> list[str]:
    return list(models.ImportProblem.objects.filter(of=done.record, note=True).values_list("code", flat=True))


def boss_of(agency: models.Agency, number: int) -> models.User | None:
    return cast.user(agency, number).supervisor


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_old_address_means_the_same_person_each_night_also_for_a_new_user(
    agency: models.Agency, by_hand: bool
) -> None:
    if by_hand:
        two = cast.user(agency, 2)
        shown = editing.build_row(two)
        assert editing.edit(two, {**shown, "EMAIL": NEW}, shown, CONTEXT).done
    else:
        cast.apply_rows(agency, [person(2, EMAIL=NEW)], at=NOW)
    for _ in range(2):
        done = cast.apply_rows(agency, [person(4, SUPERVISOR_EMAIL=OLD)])
        assert (done.record.counts["unchanged"], notes(done)) == (1, ["replaced-supervisor-address"])
    cast.apply_rows(agency, [person(70, SUPERVISOR_EMAIL=OLD.upper())])
    assert boss_of(agency, 70) == cast.user(agency, 2)


def test_an_address_that_changed_hands_leaves_the_link_as_it_was(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(2, EMAIL=NEW), person(71, EMAIL=OLD)], at=NOW)
    done = cast.apply_rows(agency, [person(4, SUPERVISOR_EMAIL=OLD), person(72, SUPERVISOR_EMAIL=OLD)])
    assert notes(done) == ["address-changed-hands"] * 2
    assert boss_of(agency, 4) == cast.user(agency, 2)
    assert boss_of(agency, 72) is None


def test_by_hand_the_address_means_the_user_who_has_it_now(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(2, EMAIL=NEW), person(71, EMAIL=OLD)], at=NOW)
    four = cast.user(agency, 4)
    shown = editing.build_row(four)
    assert editing.edit(four, {**shown, "SUPERVISOR_EMAIL": OLD}, shown, CONTEXT).done
    assert boss_of(agency, 4) == cast.user(agency, 71)


@pytest.mark.parametrize(("days", "ago"), [(90, 91), (0, 1)])
def test_after_the_days_of_the_setting_the_address_is_unknown(agency: models.Agency, days: int, ago: int) -> None:
    cast.apply_rows(agency, [person(2, EMAIL=NEW)], at=NOW - timedelta(days=ago))
    models.Agency.objects.update(replaced_addresses_days=days)
    agency.refresh_from_db()
    assert notes(cast.apply_rows(agency, [person(4, SUPERVISOR_EMAIL=OLD)], at=NOW)) == ["unknown-supervisor"]


def test_an_agency_that_remembers_nothing_keeps_no_address(agency: models.Agency) -> None:
    models.Agency.objects.update(replaced_addresses_days=0)
    agency.refresh_from_db()
    cast.apply_rows(agency, [person(2, EMAIL=NEW, USERNAME="two")], at=NOW)
    assert not models.ReleasedName.objects.exists()


def test_undo_restores_supervisors_whose_addresses_were_swapped(agency: models.Agency) -> None:
    three = "user3@agency.example"
    cast.apply_rows(agency, [person(4, SUPERVISOR_EMAIL=three)])
    swapped = cast.apply_rows(
        agency, [person(2, EMAIL=three), person(3, EMAIL=OLD), person(4, SUPERVISOR_EMAIL="")], at=NOW
    )
    undo.run_undo(swapped.record, context=CONTEXT)
    assert boss_of(agency, 4) == cast.user(agency, 3)
    assert cast.user(agency, 3).email == three


def test_undo_reads_the_supervisors_of_older_events(agency: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(changes, "render_shown", changes.render_texts)
        done = cast.apply_rows(agency, [person(4, SUPERVISOR_EMAIL="user3@agency.example")])
    event = models.Event.objects.get(of=done.record)
    assert '"SUPERVISOR_EMAIL":["user2@agency.example","user3@agency.example"]' in event.changes
    undo.run_undo(done.record, context=CONTEXT)
    assert boss_of(agency, 4) == cast.user(agency, 2)
    [_, undone] = models.Event.objects.filter(subject=cast.user(agency, 4), kind="user.updated").order_by("pk")
    assert '"SUPERVISOR_EMAIL":["user3@agency.example (E-3)","user2@agency.example (E-2)"]' in undone.changes
