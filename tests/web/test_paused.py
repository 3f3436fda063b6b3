"""A paused agency: pages, programs and workers leave it alone, and say so, until it is resumed."""

import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue, worker
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.storage import locks
from tests.directory import cast

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(cast.NOW, "", "cli")


@pytest.fixture
def paused() -> models.Agency:
    """A paused agency with two users, and an import that waits."""
    agency = cast.agency("springfield")
    cast.apply_rows(agency, cast.people(1, 2))
    queue.submit_bulk(agency, [cast.user(agency, 1).pk], BulkChange("deactivate"), context=CONTEXT, preview=False)
    pausing.pause(agency, CONTEXT)
    return agency


def test_every_address_of_a_paused_agency_answers_503_and_says_why(client: Client, paused: models.Agency) -> None:
    page = client.get(f"/{paused.slug}/")
    assert page.status_code == 503 and page["Retry-After"]
    assert "This directory is paused" in page.content.decode()
    form = client.post(f"/{paused.slug}/sign-in", {"login": "user.1", "password": "x"})
    assert form.status_code == 503 and not form.cookies
    api = client.get(f"/{paused.slug}/api/v1/users")
    assert (api.status_code, api["Content-Type"], api.json()["code"]) == (503, "application/problem+json", "paused")
    scim = client.get(f"/{paused.slug}/scim/v2/Users")
    assert scim.status_code == 503 and scim["Content-Type"].startswith("application/scim+json")


def test_requests_to_a_paused_agency_are_no_errors_of_the_server(
    client: Client, paused: models.Agency, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("", "api/v1/users", "scim/v2/Users"):
        assert client.get(f"/{paused.slug}/{path}").status_code == 503
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert sum("Refused with 503" in record.getMessage() for record in caplog.records) == 3


def test_nothing_of_a_paused_agency_changes_and_no_worker_begins_anything(paused: models.Agency) -> None:
    events = models.Event.objects.count()
    with pytest.raises(locks.AgencyPaused):
        cast.run(paused, cast.people(3))
    with pytest.raises(locks.AgencyPaused):
        cast.run(paused, [], None)
    assert not worker.run_next_import("w", lambda: cast.NOW)
    assert models.Event.objects.count() == events
    assert models.Import.objects.filter(state="waiting").count() == 1


def test_an_import_whose_agency_is_paused_as_a_worker_looks_for_one_goes_on_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1))
    queue.submit_bulk(agency, [cast.user(agency, 1).pk], BulkChange("deactivate"), context=CONTEXT, preview=False)

    def pause(stored: models.Agency) -> AbstractContextManager[bool]:
        models.Agency.objects.update(paused_at=cast.NOW)
        return usual(stored)

    usual = locks.try_import_lock
    monkeypatch.setattr(locks, "try_import_lock", pause)
    assert not worker.run_next_import("w", lambda: cast.NOW)
    assert models.Import.objects.latest("pk").state == "waiting"


def test_a_resumed_agency_goes_on_where_it_was(paused: models.Agency) -> None:
    events = models.Event.objects.count()
    pausing.pause(paused, CONTEXT)  # nothing more happens
    assert models.Event.objects.count() == events
    pausing.resume(paused, CONTEXT)
    assert worker.run_next_import("w", lambda: cast.NOW)
    assert not cast.user(paused, 1).active
    with pytest.raises(pausing.CannotPause, match="is not paused"):
        pausing.resume(paused, CONTEXT)
    cast.assert_whole(paused)


def test_an_agency_that_was_exported_after_its_pause_is_resumed_only_by_one_who_knows_that(
    paused: models.Agency,
) -> None:
    trail.record_event(paused, CONTEXT, EventKind.AGENCY_EXPORTED, paused=True)
    with pytest.raises(pausing.CannotPause, match=r"springfield was exported after it was paused.*add --yes"):
        pausing.resume(paused, CONTEXT)
    assert pausing.select_paused().get() == paused
    pausing.resume(paused, CONTEXT, exported=True)
    assert not pausing.select_paused().exists()


def test_a_pause_that_is_interrupted_says_whether_the_agency_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1))
    models.Mail.objects.create(
        agency=agency, kind="invitation", created_at=cast.NOW, to="a@b.example",
        lease_until=datetime.max.replace(tzinfo=UTC),
    )  # fmt: skip

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trail, "record_event", interrupt)
        pausing.pause(agency, CONTEXT)
    assert not pausing.select_paused().exists()
    with pytest.raises(pausing.CannotPause, match="springfield is paused, but a worker may still send"):
        pausing.pause(agency, CONTEXT, interrupt)
    assert pausing.select_paused().get() == agency


def test_a_pause_waits_for_what_a_worker_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    agency, waited = cast.agency(), list[int]()
    cast.apply_rows(agency, cast.people(1))
    mail = models.Mail.objects.create(agency=agency, kind="invitation", created_at=cast.NOW, to="a@b.example")
    models.Mail.objects.filter(pk=mail.pk).update(lease_until=datetime.max.replace(tzinfo=UTC))

    def end_lease() -> None:
        waited.append(1)
        models.Mail.objects.filter(pk=mail.pk).update(lease_until=None)

    pausing.pause(agency, CONTEXT, end_lease)
    assert waited
    pausing.resume(agency, CONTEXT)
    models.Mail.objects.filter(pk=mail.pk).update(lease_until=datetime.max.replace(tzinfo=UTC))
    monkeypatch.setattr(pausing, "_LONGEST_WAIT", timedelta())
    with pytest.raises(pausing.CannotPause, match="a worker still sends"):
        pausing.pause(agency, CONTEXT)
    # The same command again goes on waiting.
    with pytest.raises(pausing.CannotPause, match="run `muster agency pause springfield` again"):
        pausing.pause(agency, CONTEXT)
    monkeypatch.undo()
    waited.clear()
    pausing.pause(agency, CONTEXT, end_lease)
    assert waited
