"""The databases that tests run on are as the product's are, and each test has its own."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from tests.databases import Home

ON_SQLITE = not os.environ.get("DATABASE_URL")


@pytest.mark.django_db
def test_the_database_is_the_one_that_was_asked_for() -> None:
    assert connection.vendor == ("sqlite" if ON_SQLITE else "postgresql")


@pytest.mark.skipif(not ON_SQLITE, reason="of SQLite alone")
@pytest.mark.django_db(transaction=True)
def test_sqlite_waits_for_a_busy_writer_and_keeps_foreign_keys() -> None:
    with connection.cursor() as cursor:
        pragmas = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in
                   ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 20_000}


@pytest.mark.django_db(transaction=True)
def test_two_writers_take_turns() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tally (count integer)")
        cursor.execute("INSERT INTO tally VALUES (0)")
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: _count_once(), range(20)))
        with connection.cursor() as cursor:
            cursor.execute("SELECT count FROM tally")
            assert cursor.fetchone() == (20,)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE tally")


def _count_once() -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE tally SET count = count + 1")
    finally:
        connections.close_all()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_a_fresh_home_of_its_own(fresh_home: Home, turn: str) -> None:
    create = "from django.db import connection; connection.cursor().execute('CREATE TABLE mark (n integer)')"
    made = fresh_home.run(sys.executable, "-m", "django", "shell", "--no-imports", "-c", create)
    assert made.returncode == 0, f"{turn}: {made.stderr}"


def test_a_fresh_home_is_on_the_database_that_was_asked_for(fresh_home: Home, database_url: str) -> None:
    assert bool(database_url) is not ON_SQLITE
    assert (fresh_home.folder / "muster.sqlite3").exists() is ON_SQLITE
