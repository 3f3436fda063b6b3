"""Access that ends by itself: after a last day, and after a long time without a sign-in."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook import jobs
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import expiry, undo
from musterbook.directory.imports.worker import run_next_import
from tests.directory import cast
from tests.directory.cast import NOW, person

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def agency() -> models.Agency:
    """An administrator (1) and ten officers (2 to 11), all registered; nobody has signed in since March."""
    made = cast.agency(limits=[cast.allow(2)])
    cast.apply_rows(made, [person(1, ROLE="Admin"), *cast.people(*range(2, 12))])
    cast.register(made, *range(1, 12))
    return made


def change(agency: models.Agency, number: int, **columns: object) -> None:
    models.User.objects.filter(pk=cast.user(agency, number).pk).update(**columns)


def run_due(at: datetime) -> None:
    """Ask for what is due at that time, and do what waits."""
    expiry.submit_due(at)
    while run_next_import("one", lambda: at):
        pass


def inactive(agency: models.Agency) -> list[str]:
    off = models.User.objects.filter(agency=agency, active=False)
    return sorted(off.values_list("external_id", flat=True))


def test_a_user_has_access_until_their_last_day_is_over_in_every_time_zone(agency: models.Agency) -> None:
    change(agency, 2, ends_on=date(2026, 5, 31))
    run_due(NOON - timedelta(minutes=1))
    assert inactive(agency) == []
    run_due(NOON)
    assert inactive(agency) == ["E-2"]
    ended = cast.user(agency, 2)
    assert ended.access_ended_at is not None
    [record] = models.Import.objects.filter(agency=agency, through="system")
    assert (record.state, record.file_name) == ("applied", "Last day was before 2026-06-01")
    events = models.Event.objects.filter(of=record)
    assert [(event.through, event.actor, event.subject_external_id) for event in events] == [("system", "", "E-2")]
    undo.run_undo(record, context=AuditContext(NOON, "", "cli"))
    assert inactive(agency) == []
    cast.assert_whole(agency)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_last_days_that_are_over_end_access_however_many_they_are(agency: models.Agency, number: int) -> None:
    """The person who set them has confirmed them: the limit of two deactivations holds nothing."""
    for each in range(2, 2 + number):
        change(agency, each, ends_on=date(2026, 5, 31))
    assert expiry.submit_due(NOON) == number
    run_due(NOON)
    assert len(inactive(agency)) == number
    assert models.Import.objects.get(through="system").state == "applied"


def test_the_last_administrator_stays_active_after_any_last_day(agency: models.Agency) -> None:
    change(agency, 1, ends_on=date(2026, 5, 31))
    run_due(NOON)
    assert inactive(agency) == []
    assert models.Import.objects.get(through="system").counts["errored"] == 1


def test_users_without_a_sign_in_for_so_many_days_are_deactivated_if_the_agency_says_so(agency: models.Agency) -> None:
    for number in range(1, 12):
        change(agency, number, last_sign_in_at=NOON - timedelta(days=number))
    change(agency, 9, last_sign_in_at=None, registered_at=NOON - timedelta(days=100))
    change(agency, 10, last_sign_in_at=NOON - timedelta(days=91))
    change(agency, 11, last_sign_in_at=NOON - timedelta(days=91), exempt=True)
    run_due(NOON)
    assert inactive(agency) == []
    models.Agency.objects.update(unused_days=90)
    run_due(NOON + timedelta(days=1))
    assert inactive(agency) == ["E-10", "E-9"]


def test_one_day_without_a_sign_in_is_enough_if_the_agency_says_so(agency: models.Agency) -> None:
    models.Agency.objects.update(unused_days=1)
    models.User.objects.filter(agency=agency).update(last_sign_in_at=NOON - timedelta(hours=23))
    change(agency, 2, last_sign_in_at=NOON - timedelta(hours=25))
    run_due(NOON)
    assert inactive(agency) == ["E-2"]


def test_more_unused_users_than_the_limit_of_deactivations_wait_for_an_administrator(agency: models.Agency) -> None:
    models.Agency.objects.update(unused_days=60)
    run_due(NOON)
    assert inactive(agency) == []
    record = models.Import.objects.get(through="system")
    assert (record.state, record.counts["updated"], record.file_name) == ("held", 10, "No sign-in for 60 days")


def test_who_was_reactivated_not_long_ago_is_not_unused(agency: models.Agency) -> None:
    for number in range(3, 12):
        change(agency, number, last_sign_in_at=NOON)
    change(agency, 1, last_sign_in_at=NOON)
    cast.apply_rows(agency, [person(2, STATUS="Inactive")])
    cast.apply_rows(agency, [person(2)], at=NOON - timedelta(days=2))
    assert expiry.find_unused(agency, 30, NOON) == []
    assert expiry.find_unused(agency, 1, NOON) == [cast.user(agency, 2).pk]


def test_each_day_is_looked_at_once_by_however_many_workers(agency: models.Agency) -> None:
    change(agency, 2, ends_on=date(2026, 5, 31))
    assert expiry.submit_due(NOON) == 1
    models.Agency.objects.update(looked_on=None)
    expiry.submit_due(NOON + timedelta(minutes=1))
    assert expiry.submit_due(NOON + timedelta(minutes=2)) == 0
    assert models.Import.objects.filter(through="system").count() == 1


def test_users_of_both_reasons_are_counted(agency: models.Agency) -> None:
    models.Agency.objects.update(unused_days=60)
    change(agency, 2, ends_on=date(2026, 5, 31))
    change(agency, 3, ends_on=date(2026, 5, 31))
    assert expiry.submit_due(NOON) == 11


def test_the_worker_looks_for_users_whose_access_ends(agency: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    change(agency, 2, ends_on=NOW.date())
    monkeypatch.setattr(jobs, "now", lambda: NOON)
    jobs.run_once()
    assert inactive(agency) == ["E-2"]


@pytest.mark.parametrize(("reuse", "replaced", "days"), [(0, 90, 90), (365, 90, 365), (0, 0, 0)])
def test_a_released_name_is_deleted_once_no_rule_needs_it(
    agency: models.Agency, monkeypatch: pytest.MonkeyPatch, reuse: int, replaced: int, days: int
) -> None:
    """CJIS IA-4 and M9: the longer of the two times decides."""
    monkeypatch.setattr(expiry, "_NAMES_AT_ONCE", 2)
    models.Agency.objects.filter(pk=agency.pk).update(reuse_days=reuse, replaced_addresses_days=replaced)
    other = cast.agency("shelbyville")
    for made, older in ((agency, 1), (agency, 2), (agency, 3), (agency, -1), (other, 1)):
        at = NOON - timedelta(days=days, hours=older)
        models.ReleasedName.objects.create(agency=made, key=f"old-{older}", user=cast.user(agency, 2), released_at=at)
    models.Agency.objects.filter(pk=other.pk).update(reuse_days=1000)
    expiry.submit_due(NOON)
    kept = models.ReleasedName.objects.order_by("pk").values_list("agency__slug", "key")
    assert list(kept) == [("springfield", "old--1"), ("shelbyville", "old-1")]
