"""An upgrade of a database as an older version left it."""

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.attacks.old_installations import execute
from tests.databases import Home


def test_tables_of_a_library_that_is_no_longer_used_are_removed_and_doctor_is_content(old_home: Home) -> None:
    def used(run: Callable[..., Any]) -> None:
        run("CREATE TABLE socialaccount_socialapp (id bigint PRIMARY KEY)")
        run("CREATE TABLE socialaccount_socialtoken (id bigint, app_id bigint REFERENCES socialaccount_socialapp (id))")
        run(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('socialaccount', '0001_initial', '2026-01-01 00:00+00')"
        )

    execute(old_home, used)
    assert old_home.muster("migrate", timeout=300).returncode == 0
    done = old_home.muster("doctor")
    assert "tables: up to date" in done.stdout, done.stdout

    def gone(run: Callable[..., Any]) -> None:
        with pytest.raises((psycopg.Error, sqlite3.Error), match="socialaccount_socialtoken"):
            run("SELECT * FROM socialaccount_socialtoken")

    execute(old_home, gone)


def test_the_imports_of_an_old_database_get_their_kind(old_home: Home) -> None:
    def imported(run: Callable[..., Any]) -> None:
        run(_OLD_IMPORT, 1, "01FILE", '{"mode": "update"}', None)
        run(_OLD_IMPORT, 2, "01BULK", '{"mode": "update", "bulk": {"act": "rank", "value": "Captain"}}', None)
        run(_OLD_IMPORT, 3, "01UNDOFILE", '{"mode": "update"}', 1)
        run(_OLD_IMPORT, 4, "01UNDOBULK", '{"mode": "update"}', 2)

    execute(old_home, imported)
    assert old_home.muster("migrate", timeout=300).returncode == 0

    def kinds(run: Callable[..., Any]) -> None:
        found = run("SELECT kind FROM directory_import ORDER BY id").fetchall()
        assert [kind for (kind,) in found] == ["file", "bulk", "undo", "undo"]

    execute(old_home, kinds)


_OLD_IMPORT = (
    "INSERT INTO directory_import (id, agency_id, number, options, undoes_id, mode, state, message, actor, through, started_at,"
    " file_name, file_size, file_sha256, file_facts, counts, leavers, digest, stop)"
    " VALUES (?, 1, ?, ?, ?, 'update', 'applied', '', '', 'cli', '2026-01-01 00:00:00+00',"
    " '', 0, '', '{}', '{}', '{}', '', false)"
)
