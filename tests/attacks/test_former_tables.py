"""An upgrade removes what a library kept that is no longer used."""

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.attacks.before_keys import execute
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
