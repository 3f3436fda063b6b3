"""The doctor: each thing that can be wrong is found, with its remedy."""

import os
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from musterbook.directory import doctor, installation, models, progressing
from musterbook.directory.progressing import Sign

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 1, tzinfo=UTC)
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  (what shutil gives)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setattr(settings, "MUSTER_HOME", folder)
    return folder


def remedies() -> dict[str, str]:
    return {finding.about: finding.remedy for finding in doctor.findings() if finding.remedy}


def test_nothing_is_wrong_with_a_new_installation(home: Path) -> None:
    assert remedies() == {}
    assert home.is_dir()


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10, 9, 1))
    assert list(remedies()) == ["disk"]


def test_a_folder_that_cannot_be_made_written_or_kept_private_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(mode=0o755)
    assert remedies() == {"folder": f"Run: chmod 700 {home}"}
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "Have it made writable" in remedies()["folder"]
    monkeypatch.undo()
    monkeypatch.setattr(settings, "MUSTER_HOME", Path(__file__) / "home")
    assert "Set MUSTER_HOME" in doctor._folder().remedy


def test_a_list_of_refused_passwords_that_cannot_be_searched_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "list"
    listed.write_text("a\nb\n")
    monkeypatch.setattr(settings, "MUSTER_REFUSED_PASSWORDS", listed)
    assert remedies() == {}
    listed.write_text("b\na\n")
    assert list(remedies()) == ["refused passwords"]


def test_a_database_out_of_reach_is_found_and_nothing_further_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(connection, "cursor", unreachable)
    found = list(doctor.findings())
    assert (found[-1].about, found[-1].found) == ("database", "it cannot be used: connection refused")


def test_a_database_that_is_behind_or_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = installation.wanted()
    monkeypatch.setattr(installation, "wanted", lambda: [*known, "directory.9999_next"])
    assert remedies() == {"tables": "Run: muster migrate"}
    monkeypatch.setattr(installation, "wanted", lambda: known[:-1])
    assert remedies() == {"tables": "Install the newer version again."}


def test_an_import_that_died_is_found_and_reported_failed() -> None:
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    dead = models.Import.objects.create(
        number="01DEAD", agency=agency, mode="update", state="running", through="cli", started_at=NOW
    )
    assert remedies() == {"imports": "Import those files again."}
    dead.refresh_from_db()
    assert dead.state == "failed"
    assert remedies() == {}


def test_imports_that_wait_for_no_worker_are_found() -> None:
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    models.Import.objects.create(
        number="01WAITS", agency=agency, mode="update", state="waiting", through="page", started_at=NOW
    )
    assert remedies() == {"imports": "Run `muster serve`, or `muster worker` beside it."}
    progressing.give(Sign("one"))
    assert remedies() == {}
    assert "none running, 1 waiting" in [finding.found for finding in doctor.findings()]


def test_an_import_that_another_worker_will_take_up_has_not_failed() -> None:
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    models.Import.objects.create(
        number="01LOST",
        agency=agency,
        mode="update",
        state="running",
        through="page",
        started_at=NOW,
        worker="w",
        attempts=1,
    )
    progressing.give(Sign("one"))
    assert remedies() == {}
    assert models.Import.objects.get().state == "waiting"


def test_a_trail_that_is_not_whole_is_found() -> None:
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    models.Event.objects.create(agency=agency, at=NOW, through="cli", kind="user.added")
    assert list(remedies()) == ["audit trail"]
