"""An installation of an older version, from before trails had keys: `muster migrate` upgrades it, and nothing is lost.

Its trail verifies, and is guarded and sealed by a key from then on; tables that are no longer used are gone, and imports
have a kind.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests import databases
from tests.attacks.old_installations import execute, is_postgres
from tests.databases import Home


@pytest.fixture(scope="module")
def upgraded(_old_original: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The installation after `muster migrate`, once for all tests: an upgrade takes seconds."""
    with databases.copy_home(_old_original, tmp_path_factory.mktemp("upgraded") / "home") as home:
        execute(home, _use_former_tables)
        execute(home, _import_as_before)
        done = home.muster("migrate", timeout=300)
        assert done.returncode == 0, done.stderr
        yield home


@pytest.fixture
def home(upgraded: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A copy of that installation, for a test that changes it."""
    with databases.copy_home(upgraded, tmp_path_factory.mktemp("copy") / "home") as home:
        yield home


def _use_former_tables(run: Callable[..., Any]) -> None:
    """Make the tables of a library that is no longer used."""
    run("CREATE TABLE socialaccount_socialapp (id bigint PRIMARY KEY)")
    run("CREATE TABLE socialaccount_socialtoken (id bigint, app_id bigint REFERENCES socialaccount_socialapp (id))")
    run(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('socialaccount', '0001_initial', '2026-01-01 00:00+00')"
    )


def _import_as_before(run: Callable[..., Any]) -> None:
    """Write imports of each kind, as they were when imports had none."""
    run(_OLD_IMPORT, 1, "01FILE", '{"mode": "update"}', None)
    run(_OLD_IMPORT, 2, "01BULK", '{"mode": "update", "bulk": {"act": "rank", "value": "Captain"}}', None)
    run(_OLD_IMPORT, 3, "01UNDOFILE", '{"mode": "update"}', 1)
    run(_OLD_IMPORT, 4, "01UNDOBULK", '{"mode": "update"}', 2)


_OLD_IMPORT = (
    "INSERT INTO directory_import (id, agency_id, number, options, undoes_id, mode, state, message, actor, through, started_at,"
    " file_name, file_size, file_sha256, file_facts, counts, leavers, digest, stop)"
    " VALUES (?, 1, ?, ?, ?, 'update', 'applied', '', '', 'cli', '2026-01-01 00:00:00+00',"
    " '', 0, '', '{}', '{}', '{}', '', false)"
)


def test_an_old_trail_verifies_after_the_upgrade_and_is_sealed_by_a_key_from_then_on(home: Home) -> None:
    done = home.muster("audit", "verify")
    assert done.stdout == "springfield: whole (events: 7, links: 3)\n", done.stdout + done.stderr
    assert home.muster("audit", "head").stdout.startswith("springfield 3:")
    # To migrate again seals nothing again.
    assert home.muster("migrate", timeout=300).returncode == 0
    assert home.muster("audit", "head").stdout.startswith("springfield 3:")


def test_a_migration_of_old_rows_does_not_let_them_be_rewritten(home: Home) -> None:
    def rewrite(run: Callable[..., Any]) -> None:
        with pytest.raises((psycopg.Error, sqlite3.Error), match="append-only"):
            run("UPDATE directory_event SET actor = 'E-1' WHERE id = 1")
        _unguard(run)
        run("UPDATE directory_event SET actor = 'E-1' WHERE id = 1")

    execute(home, rewrite)
    done = home.muster("audit", "verify")
    assert (done.returncode, "not whole: the events of link 1" in done.stdout) == (1, True)
    done = home.muster("doctor")
    assert "nothing refuses changes of directory_event" in done.stdout
    home.muster("migrate", timeout=300)
    assert "nothing refuses changes" not in home.muster("doctor").stdout


def _unguard(run: Callable[..., Any]) -> None:
    if is_postgres(run):
        run("DROP TRIGGER directory_event_change ON directory_event")
    else:
        run("DROP TRIGGER directory_event_update")


def test_tables_of_a_library_that_is_no_longer_used_are_removed_and_doctor_is_content(upgraded: Home) -> None:
    done = upgraded.muster("doctor")
    assert "tables: up to date" in done.stdout, done.stdout

    def gone(run: Callable[..., Any]) -> None:
        with pytest.raises((psycopg.Error, sqlite3.Error), match="socialaccount_socialtoken"):
            run("SELECT * FROM socialaccount_socialtoken")

    execute(upgraded, gone)


def test_the_imports_of_an_old_database_get_their_kind(upgraded: Home) -> None:
    def kinds(run: Callable[..., Any]) -> None:
        found = run("SELECT kind FROM directory_import ORDER BY id").fetchall()
        assert [kind for (kind,) in found] == ["file", "bulk", "undo", "undo"]

    execute(upgraded, kinds)
