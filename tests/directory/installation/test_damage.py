"""The doctor and damage: each kind that a test can make is found, and the line says what it is, where, and what to do."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection, connections
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.installation import damage, doctor, migration, recovery, table_checks
from musterbook.directory.storage import frames
from tests import databases
from tests.attacks.old_installations import execute
from tests.databases import Home
from tests.directory import cast
from tests.directory.processes import Site

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture
def kept(tmp_path: Path, settings: Settings) -> Path:
    """The kept file of an import of three users; MUSTER_HOME is a folder of the test's own."""
    settings.MUSTER_HOME = tmp_path / "home"
    settings.MUSTER_HOME.mkdir(mode=0o700)
    number = cast.run(cast.agency(), cast.people(1, 2, 3), at=NOW).record.number
    assert damage.check_files().remedy == ""
    return Path(settings.MUSTER_HOME / "files" / number)


def test_a_kept_file_that_is_missing_cut_off_or_changed_is_named(kept: Path) -> None:
    content = kept.read_bytes()
    kept.write_bytes(content[:-9])
    found = damage.check_files()
    assert f"{kept.name}: {len(content) - 9} bytes instead of {len(content)}" in found.found
    kept.write_bytes(content.replace(b"First", b"Other"))
    assert f"{kept.name}: changed" in damage.check_files().found
    kept.unlink()
    assert f"{kept.name}: missing" in damage.check_files().found
    assert str(kept.parent) in damage.check_files().remedy
    models.Import.objects.update(state="refused")
    assert damage.check_files().remedy == "", (
        "an infected file is deleted, and one that was cut short by a failure is not whole"
    )


def test_a_file_that_is_older_than_files_are_kept_is_not_missing(kept: Path, settings: Settings) -> None:
    kept.unlink()
    settings.MUSTER_KEEP_FILES_DAYS = 0
    assert damage.check_files().remedy == ""


def test_a_file_of_another_user_of_the_machine_is_named(kept: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    assert damage.check_owner().remedy == ""
    os.chown(kept, 4_000_000, -1)
    found = damage.check_owner()
    assert (str(kept) in found.found, f"chown -R 0 {configured.MUSTER_HOME}" in found.remedy) == (True, True)


def test_events_of_a_user_whose_row_was_deleted_are_found() -> None:
    made = cast.agency()
    cast.run(made, cast.people(1, 2), at=NOW)
    assert damage.check_references().remedy == ""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM directory_user WHERE external_id = 'E-2' AND agency_id = %s", [made.pk])
    found = damage.check_references()
    assert ("directory_event.subject_id: 1" in found.found, "muster restore" in found.remedy) == (True, True)
    with connection.cursor() as cursor:  # else the constraints are checked at the end of the test
        cursor.execute("DELETE FROM directory_mail")


def test_a_clock_that_is_behind_the_newest_entry_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert damage.check_clock().remedy == ""
    cast.run(cast.agency(), cast.people(1), at=NOW + timedelta(minutes=90))
    found = damage.check_clock()
    assert ("minutes behind the newest entry" in found.found, "timedatectl" in found.remedy) == (True, True)


def test_a_clock_that_is_ahead_of_the_database_s_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003  (one clock is enough)
            return datetime.now(UTC) + timedelta(hours=2)

    monkeypatch.setattr(damage, "datetime", Ahead)
    assert ("120 minutes ahead" in damage.check_clock().found) == frames.on_postgres()


def test_a_lease_that_a_wrong_clock_made_is_ended() -> None:
    made = cast.agency()
    feed = models.Feed.objects.create(
        agency=made, name="night", mode="sync", created_at=NOW, worker="w", lease_until=NOW + timedelta(days=3650)
    )
    found = damage.check_leases()
    assert (found.found.startswith("a worker with a wrong clock held 1"), found.notice) == (True, True)
    feed.refresh_from_db()
    assert (feed.worker, feed.lease_until, damage.check_leases().notice) == ("", None, False)


def test_a_disabled_webhook_is_named_with_the_reason() -> None:
    made = cast.agency()
    models.WebhookEndpoint.objects.create(
        agency=made, name="payroll", created_at=NOW, disabled_at=NOW, disabled_why="It failed for five days."
    )
    models.WebhookEndpoint.objects.create(agency=made, name="badges", created_at=NOW)
    found = damage.check_webhooks()
    assert found.found == "disabled: springfield: payroll: It failed for five days."
    assert "muster webhook resume NAME" in found.remedy


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP INDEX import_by_time", "directory_import: import_by_time"),
        ("DROP INDEX import_once", "directory_import: import_once"),
        ("DROP INDEX passkey_once", "mfa_authenticator: passkey_once"),
        ("ALTER TABLE directory_agency DROP COLUMN language", "directory_agency.language"),
        ("DROP TABLE directory_importtotal", "directory_importtotal"),
    ],
)
def test_a_table_column_index_or_constraint_that_is_missing_is_named(statement: str, found: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    said = damage.check_schema()
    assert (said.found, "muster restore FILE" in said.remedy) == (f"missing: {found}", True)


def test_without_a_table_that_is_missing_no_check_reads_it(tmp_path: Path, settings: Settings) -> None:
    settings.MUSTER_HOME = tmp_path / "home"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE directory_importtotal")
    assert [*doctor.run_checks()][-1].about == "schema"


def test_a_database_without_any_table_is_gone_and_one_that_lacks_some_is_damaged(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept.exists() and not damage.is_database_gone()
    tables = list[str]()
    monkeypatch.setattr(connections["default"].introspection, "table_names", lambda *_: tables)
    assert damage.is_database_gone()
    tables.append("directory_user")
    assert not damage.is_database_gone()


def test_values_that_came_in_twice_while_a_constraint_was_missing_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for slug in ("springfield", "shelbyville"):
        models.Feed.objects.create(agency=cast.agency(slug), name="night", mode="sync", created_at=NOW)
    monkeypatch.setattr(table_checks, "_list_unique", lambda model: [["name"]] if model is models.Feed else [])
    monkeypatch.setattr(table_checks, "find_missing", lambda: ["directory_feed: feed_name_once"])
    assert damage.check_schema().found.endswith("values that are there more than once: directory_feed (name): 1")


def test_a_unique_or_indexed_column_that_is_not_so_any_more_is_named() -> None:
    assert table_checks.find_repeated() == []
    found = [*table_checks._find_lost(models.Agency, {})]
    assert "UNIQUE (slug)" in found
    assert "INDEX (supervisor_id)" in [*table_checks._find_lost(models.User, {})]


def test_rights_and_collations_that_are_missing_are_named() -> None:
    assert damage.check_rights().remedy == ""
    if not frames.on_postgres():
        return
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE muster_weak; GRANT SELECT ON ALL TABLES IN SCHEMA public TO muster_weak")
        cursor.execute("GRANT muster_weak TO CURRENT_USER; SET ROLE muster_weak")
        said = damage.check_rights()
        cursor.execute("RESET ROLE")
        assert ("may not use" in said.found, "muster migrate --app-role" in said.remedy) == (True, True)
        cursor.execute('ALTER TABLE directory_user ALTER COLUMN name_key TYPE text COLLATE "default"')
    assert damage.check_rights().found == "another collation than C: directory_user.name_key"


@pytest.mark.parametrize(
    ("function", "value", "said", "remedy"),
    [
        ("describe_replay", "it accepts no changes", "accepts no changes", "pg_promote"),
        ("find_changed_collation", "2.31", "sorting rules", "REINDEX DATABASE"),
    ],
)
def test_a_standby_and_other_sorting_rules_of_the_system_are_found(
    monkeypatch: pytest.MonkeyPatch, function: str, value: str, said: str, remedy: str
) -> None:
    if not frames.on_postgres():
        pytest.skip("the embedded database has neither")
    assert (damage.describe_replay(), damage.find_changed_collation()) == ("", "")
    monkeypatch.setattr(damage, function, lambda: value)
    found = doctor._check_postgres()
    assert (said in found.found, remedy in found.remedy) == (True, True)
    monkeypatch.setattr(doctor, "_OLDEST_POSTGRES", 10**9)
    assert "PostgreSQL 15" in doctor._check_postgres().remedy


@pytest.fixture(scope="module")
def _original(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation with an agency and an import."""
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("used") / "home") as home:
        site = Site(home)
        file = site.file("first.csv", cast.file(cast.people(1, 2)))
        site.do("agency", "springfield", "+", "import", "springfield", file)
        yield home


@pytest.fixture
def used(_original: Home, tmp_path: Path) -> Iterator[Site]:
    """A copy of that installation."""
    with databases.copy_home(_original, tmp_path / "home") as home:
        yield Site(home)


def test_the_command_says_what_is_wrong_where_and_what_to_do(used: Site) -> None:
    """Damage of several kinds at once, as a person makes it who helps himself."""
    home = used.home
    [file] = (home.folder / "files").iterdir()
    file.write_bytes(b"EXTERNAL_ID\n")

    def harm(run: Callable[..., Any]) -> None:
        if home.database_url:
            run("SET session_replication_role = replica")  # no key is checked
            run("ALTER TABLE directory_event DISABLE TRIGGER USER")
        else:
            for name in used.select("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
                run(f"DROP TRIGGER {name[0]}")
        run("DELETE FROM directory_user WHERE external_id = 'E-2'")
        run("DELETE FROM directory_event WHERE subject_external_id = 'E-1'")

    execute(home, harm)
    (home.folder / "secret-key").chmod(0o644)
    home.folder.chmod(0o755)
    done = home.muster("doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    for begin, remedy in (
        ("✗ folder: ", "chmod 700"), ("✗ secret keys: others can read", "chmod 600"), ("✗ files: 1 kept file is not", "backup"),
        ("✗ references: rows refer to rows that are gone: ", "muster restore"), ("✗ audit trail: springfield: ", "audit.md"),
    ):  # fmt: skip
        [number, *_] = [number for number, line in enumerate(lines) if line.startswith(begin)] or [-1]
        assert remedy in lines[number + 1], (begin, done.stdout)


def test_the_key_of_another_installation_is_found(used: Site) -> None:
    (used.home.folder / "secret-key").write_text(secrets.token_urlsafe(48))
    said = used.home.muster("doctor").stdout
    assert "✗ audit trail: springfield: link 1 names the key" in said and "does not have" in said


@pytest.mark.any_database
def test_a_database_without_its_write_ahead_log_is_found_by_the_heads_beside_it(used: Site) -> None:
    if used.home.database_url:
        pytest.skip("PostgreSQL does not start without its log")
    database = used.home.folder / "muster.sqlite3"
    with closing(sqlite3.connect(database)) as reader:  # else the last process moves the log into the database
        reader.execute("BEGIN").execute("SELECT count(*) FROM directory_user").fetchone()
        used.do("import", "springfield", used.file("second.csv", cast.file(cast.people(3, 4))))
        shutil.copy(database, used.home.folder / "without")
    for end in ("", "-wal", "-shm"):
        database.with_name(f"{database.name}{end}").unlink(missing_ok=True)
    (used.home.folder / "without").rename(database)
    said = used.home.muster("doctor").stdout
    assert "✗ audit trail: springfield: the trail has" in said and "its end was removed" in said
    done = used.home.muster("recovered")
    assert (done.returncode, "All users must sign in again" in done.stderr) == (0, True), done.stderr
    assert "✓ audit trail: whole" in used.home.muster("doctor").stdout


def test_a_recovery_says_what_waits_and_the_trail_counts_from_then_on(kept: Path) -> None:
    recovery.accept_recovery(NOW)
    assert recovery.count_waiting() == recovery.WaitingWork(emails=3, messages=0, imports=0)
    assert [finding.error for finding in migration.check_trails()] == [""]
    models.Agency.objects.create(slug="moved", name="Moved", created_at=NOW, paused_at=NOW)
    assert recovery.list_active_agencies() == ["springfield"]
