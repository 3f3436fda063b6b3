"""The doctor: each thing that can be wrong is found, with its remedy."""

import os
import sqlite3
from collections import namedtuple
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, connections
from pytest_django import Settings

from musterbook.cli import installation as commands
from musterbook.config import databases, log_lines, mail_server, secret_keys
from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.audit import anchors, hash_chain
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats
from musterbook.directory.imports.heartbeats import Heartbeat
from musterbook.directory.installation import doctor, migration
from musterbook.directory.installation.findings import Finding
from musterbook.directory.storage import frames
from tests.directory import cast

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 1, tzinfo=UTC)
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  (what shutil gives)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setattr(configured, "MUSTER_HOME", folder)
    monkeypatch.setenv("MUSTER_HOME", str(folder))
    return folder


def remedies() -> dict[str, str]:
    return {finding.about: finding.remedy for finding in doctor.run_checks() if finding.remedy}


def test_a_feed_that_has_stopped_or_fails_is_named_with_its_agency() -> None:
    agency = models.Agency.objects.create(slug="springfield", name="Springfield", created_at=NOW)
    feeds = {"stopped": {"stopped": "Another host key."}, "failing": {"problem": "Not there."}, "fine": {}}
    for name, fields in feeds.items():
        models.Feed.objects.create(agency=agency, name=name, mode="sync", created_at=NOW, **fields)
    models.Feed.objects.create(agency=agency, name="paused", mode="sync", created_at=NOW, problem="x", paused_at=NOW)
    moved = models.Agency.objects.create(slug="shelbyville", name="Shelbyville", created_at=NOW, paused_at=NOW)
    models.Feed.objects.create(agency=moved, name="stopped", mode="sync", created_at=NOW, stopped="x")
    models.WebhookEndpoint.objects.create(agency=moved, name="payroll", created_at=NOW, disabled_at=NOW)
    models.Import.objects.create(agency=moved, number="i-1", mode="sync", state="waiting", started_at=NOW)
    [found] = [finding for finding in doctor.run_checks() if finding.about == "feeds"]
    assert found.found == "springfield: failing: Not there. springfield: stopped: Another host key."
    assert "muster feed check" in found.remedy
    assert not {"webhooks", "imports"} & {*remedies()}


def test_nothing_is_wrong_with_a_new_installation(home: Path) -> None:
    assert remedies() == {}
    assert home.is_dir()


def test_every_check_is_made_also_of_a_paused_agency() -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1, 2))
    pausing.pause(agency, AuditContext(NOW, "", "cli"))
    models.User.objects.update(name_key="")
    found = {finding.about: finding for finding in doctor.run_checks()}
    assert {"search", "like values", "feeds", "secret keys"} <= {*found}
    assert not (found["search"].remedy or found["like values"].remedy)
    assert "2 users could not be found" in found["search"].found


def test_an_empty_database_next_to_the_files_of_an_installation_is_found(home: Path) -> None:
    restored = models.Agency(pk=7, slug="springfield")
    anchors.record_head(restored, 0, "", hash_chain.START)
    (home / "files").mkdir()
    assert "database" not in remedies()  # as after a restore of an empty installation
    (home / "files" / "01ABC").touch()
    assert "muster restore FILE" in remedies()["database"]
    (home / "files" / "01ABC").unlink()
    anchors.record_head(restored, 1, hash_chain.START, "0" * 64)
    [*_, last] = doctor.run_checks()
    assert last.about == "database" and "its database is gone" in last.found
    models.Agency.objects.create(slug="springfield", name="Springfield", created_at=NOW)
    assert "database" not in remedies()


def test_anchors_that_were_never_written_are_not_called_up_to_date() -> None:
    found = {finding.about: finding.found for finding in doctor.run_checks()}
    assert found["audit anchors"].startswith("there are none yet")
    anchors.write_lines(NOW)
    found = {finding.about: finding.found for finding in doctor.run_checks()}
    assert found["audit anchors"].startswith("up to date, in ")


def test_the_database_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, name in (
        ("postgres://muster:secret@db.internal:5433/muster", "muster on db.internal:5433"),
        ("postgres:///muster", "muster on the socket of this machine"),
    ):
        monkeypatch.setattr(frames, "on_postgres", lambda: True)
        monkeypatch.setattr(connections["default"], "settings_dict", databases.make_postgres(url))
        assert migration.describe_database() == name
    monkeypatch.setattr(frames, "on_postgres", lambda: False)
    monkeypatch.setattr(connections["default"], "settings_dict", databases.make_sqlite(Path("/srv/muster.sqlite3")))
    assert migration.describe_database() == "/srv/muster.sqlite3"


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10, 9, 1))
    assert list(remedies()) == ["disk"]


def test_a_folder_that_cannot_be_made_written_or_kept_private_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(mode=0o755)
    assert remedies() == {"folder": f"Run: chmod 700 {home}"}
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "Make it writable" in remedies()["folder"]
    monkeypatch.undo()
    monkeypatch.setattr(configured, "MUSTER_HOME", Path(__file__) / "home")
    assert "Set MUSTER_HOME" in doctor._folder().remedy


def test_a_list_of_refused_passwords_that_cannot_be_searched_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "list"
    listed.write_text("a\nb\n")
    monkeypatch.setattr(configured, "MUSTER_REFUSED_PASSWORDS", listed)
    assert remedies() == {}
    listed.write_text("b\na\n")
    assert list(remedies()) == ["refused passwords"]


def test_a_database_out_of_reach_is_found_and_nothing_further_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(connection, "cursor", unreachable)
    found = list(doctor.run_checks())
    assert (found[-1].about, found[-1].found) == ("database", "the database cannot be used: connection refused")


def test_a_database_that_is_behind_or_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migration.list_required()
    monkeypatch.setattr(migration, "list_required", lambda: [*known, "directory.9999_next"])
    assert remedies() == ({"tables": "Run: muster migrate"} if frames.on_postgres() else {})
    assert [*doctor.run_checks()][-1].about == "tables"
    monkeypatch.setattr(migration, "list_required", lambda: known[:-1])
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


def test_imports_that_wait_for_no_worker_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "TIMEOUT", 600.0)  # a machine may be busy
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    models.Import.objects.create(
        number="01WAITS", agency=agency, mode="update", state="waiting", through="page", started_at=NOW
    )
    assert remedies() == {"imports": "Run `muster serve`, or `muster worker` next to it."}
    heartbeats.send_heartbeat(Heartbeat("one"))
    assert remedies() == {}
    assert "none running, 1 waiting" in [finding.found for finding in doctor.run_checks()]


def test_an_import_that_another_worker_will_take_up_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "TIMEOUT", 600.0)  # a machine may be busy
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
    heartbeats.send_heartbeat(Heartbeat("one"))
    assert remedies() == {}
    assert models.Import.objects.get().state == "waiting"


def test_a_trail_that_is_not_whole_is_found() -> None:
    agency = models.Agency.objects.create(slug="a", name="A", created_at=NOW)
    models.Event.objects.create(agency=agency, at=NOW, through="cli", kind="user.added")
    assert list(remedies()) == ["audit trail"]


def test_errors_of_the_last_day_are_counted(home: Path) -> None:
    now = datetime.now(UTC)
    written = [
        f"{log_lines.format_stamp(now - timedelta(days=2))} ERROR musterbook 1 a1 Long ago",
        f"{log_lines.format_stamp(now)} WARNING musterbook 1 a2 A warning",
        f"{log_lines.format_stamp(now)} ERROR musterbook 1 a3 It failed",
        "  | ZeroDivisionError",
        f"{log_lines.format_stamp(now)} CRITICAL musterbook 1 a4 It failed",
    ]
    home.mkdir(mode=0o700)
    (home / "muster.log").write_text("\n".join(written))
    [found] = [finding for finding in doctor.run_checks() if finding.about == "log"]
    assert found.found.startswith("2 errors in the last day, the latest at ")
    assert found.found.endswith("number a4")
    assert found.remedy
    (home / "muster.log").write_text("\n".join(written[:-1]))
    [found] = [finding for finding in doctor.run_checks() if finding.about == "log"]
    assert found.found.startswith("1 error in the last day, at ") and found.found.endswith("number a3")


def test_a_log_that_cannot_be_written_is_found(home: Path) -> None:
    (home / "muster.log").mkdir(parents=True)
    home.chmod(0o700)
    assert list(remedies()) == ["log"]


def test_whether_anybody_is_notified_is_said(settings: Settings) -> None:
    def said() -> tuple[str, str]:
        [found] = [finding for finding in doctor.run_checks() if finding.about == "alerts"]
        return found.found, found.remedy

    assert said()[0].startswith("nobody is notified") and said()[1] == ""
    assert doctor._alerts().notice
    settings.MUSTER_ALERTS_TO = ["ops@agency.example"]
    assert said()[1] == "Set MUSTER_SMTP_URL."
    settings.MAIL_SERVER = mail_server.parse_url("smtps://mail.agency.example")
    assert said() == ("errors are emailed to ops@agency.example", "")
    assert not doctor._alerts().notice


@pytest.mark.parametrize(("version", "notice"), [((2, 6, 3), True), ((2, 6, 4), False), ((3, 0, 0), False)])
def test_a_reader_of_xml_with_known_faults_is_a_notice(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], notice: bool
) -> None:
    monkeypatch.setattr("pyexpat.version_info", version)
    found = doctor._xml()
    assert (found.notice, "known faults" in found.found, found.remedy) == (notice, notice, "")


def test_a_notice_has_a_sign_of_its_own_and_leaves_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Finding("a", "well"), Finding("b", "to know", notice=True)]
    monkeypatch.setattr(doctor, "run_checks", lambda: iter(found))
    monkeypatch.setattr("musterbook.cli.installation.open_installation", lambda **_: nullcontext())
    commands.doctor()
    assert capsys.readouterr().out.splitlines() == ["✓ a: well", "! b: to know"]
    found.append(Finding("c", "wrong", "Do this."))
    with pytest.raises(typer.Exit) as ended:
        commands.doctor()
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out.splitlines()[-2:] == ["✗ c: wrong", "  Do this."]


@pytest.mark.parametrize(
    ("mail", "database", "found"),
    [
        ("smtp://mail.agency.example", "", ["MUSTER_SMTP_URL"]),
        ("smtp://localhost", "", []),
        ("smtp+starttls://mail.agency.example", "", []),
        ("", "postgres://muster:x@db.internal/muster", ["DATABASE_URL"]),
        ("", "postgres://muster:x@db.internal/muster?sslmode=require", ["DATABASE_URL"]),
        ("", "postgres://muster:x@db.internal/muster?sslmode=verify-full", []),
        ("", "postgres://muster:x@one,two/muster?sslmode=verify-full", []),
        ("", "postgres:///muster?host=/run/postgresql", []),
        ("", "postgres://muster@127.0.0.1/muster", []),
        ("smtp://mail.agency.example", "postgres://muster:x@localhost,db/muster", ["MUSTER_SMTP_URL", "DATABASE_URL"]),
    ],
)
def test_what_crosses_the_network_unprotected_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, mail: str, database: str, found: list[str]
) -> None:
    settings.MAIL_SERVER = mail_server.parse_url(mail)
    if database:
        monkeypatch.setattr("musterbook.directory.storage.frames.on_postgres", lambda: True)
        monkeypatch.setitem(configured.DATABASES, "default", databases.make_postgres(database))
    remedy = doctor._encryption().remedy
    assert [name for name in ("MUSTER_SMTP_URL", "DATABASE_URL") if name in remedy] == found


@pytest.mark.parametrize(("fit", "enough"), [(1, False), (2, True), (5, True)])
def test_connections_that_do_not_suffice_are_found(monkeypatch: pytest.MonkeyPatch, fit: int, enough: bool) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the embedded database needs none")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        allowed = cursor.fetchone()[0]
    monkeypatch.setattr("musterbook.server.concurrency.TURNS", (allowed - 10) // fit)
    found = doctor._connections()
    assert f"so {fit} processes fit" in found.found
    assert (not found.remedy) == enough
    assert enough or "`muster serve --workers 1`" in found.remedy


@pytest.mark.parametrize("owner", ["us", "another"])
def test_a_key_that_cannot_be_read_is_one_finding_among_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    home.mkdir()
    (home / "secret-key").touch()
    if owner == "another":
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    monkeypatch.setattr(secret_keys, "ring", _refusing(home / "secret-key"))
    found = {finding.about: finding for finding in doctor.run_checks()}
    assert found["keys"].found == f"{home / 'secret-key'} cannot be used: Permission denied"
    remedy = found["keys"].remedy
    assert f"chown -R 4000000 {home}" in remedy if owner == "another" else "MUSTER_HOME" in remedy
    assert list(found)[-1] != "keys", "the checks after it are made as well"


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "no", "/nowhere/else"), ProgrammingError("no such column"), KeyError("a bug")]
)
def test_a_fault_of_a_check_is_no_finding(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    monkeypatch.setattr(secret_keys, "ring", _raising(fault))
    with pytest.raises(type(fault)):
        list(doctor.run_checks())


def test_a_key_that_is_wrong_is_said_once_and_the_other_checks_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = ImproperlyConfigured("The secret key is weak. Make a new one.")
    monkeypatch.setattr(secret_keys, "ring", _raising(weak))
    monkeypatch.setattr(migration, "check_trails", _raising(weak))
    found = list(doctor.run_checks())
    faults = [(one.about, one.found, one.remedy) for one in found if one.remedy]
    assert faults == [("keys", "the configuration is wrong", "The secret key is weak. Make a new one.")]
    assert found[-1].about == "feeds"


def test_a_database_that_turns_out_to_be_damaged_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = DatabaseError("database disk image is malformed")
    damaged.__cause__ = sqlite3.DatabaseError()
    damaged.__cause__.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    for name in ("check_trails", "list_pending"):
        monkeypatch.setattr(migration, name, _raising(damaged))
    found = list(doctor.run_checks())
    assert (found[-1].about, found[-1].found) == (
        "migrations", "the database cannot be used: database disk image is malformed",
    )  # fmt: skip
    monkeypatch.setattr(migration, "list_pending", list)
    monkeypatch.setattr("musterbook.directory.audit.anchors.find_unanchored", _raising(damaged))
    assert list(remedies()) == ["trails"]


@pytest.mark.parametrize("check", ["_check_sqlite", "_check_postgres"])
def test_a_check_of_the_database_itself_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    monkeypatch.setattr(doctor, check, _raising(OperationalError("disk I/O error")))
    monkeypatch.setattr(frames, "on_postgres", lambda: check == "_check_postgres")
    found = list(doctor.run_checks())
    assert (found[-1].about, found[-1].found) == ("database", "the database cannot be used: disk I/O error")


def _raising(error: Exception) -> Any:
    def refuse(*_: object) -> None:
        raise error

    return refuse


def _refusing(path: Path) -> Any:
    return _raising(PermissionError(13, "Permission denied", str(path)))
