"""Musterbook run as a role of PostgreSQL that may only add to the audit trail, as docs/how-to/postgresql.md sets it up."""

import os
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests import databases
from tests.databases import Home

pytestmark = pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="PostgreSQL has roles, SQLite has none")
ROLE = 'muster_"app" test'
TRAIL = ("directory_event", "directory_traillink", "directory_trailend", "directory_passage")
FILE = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE\n"
AGENCY = 'slug = "springfield"\nname = "Springfield"\n[[roles]]\nname = "Admin"\n[[roles]]\nname = "Officer"\n'


@pytest.fixture(scope="module")
def app(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The installation, as the application's role sees it."""
    role = '"{}"'.format(ROLE.replace('"', '""'))
    with (
        databases.copy_home(_migrated, tmp_path_factory.mktemp("limited") / "home") as home,
        psycopg.connect(home.database_url, autocommit=True) as owner,
    ):
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'".encode())
        owner.execute(f"GRANT {role} TO CURRENT_USER".encode())  # to remove it in the end
        try:
            done = home.muster("migrate", "--app-role", ROLE)
            assert done.returncode == 0, done.stderr
            yield Home(home.folder, _as(home.database_url))
        finally:
            owner.execute(f"DROP OWNED BY {role}".encode())
            owner.execute(f"DROP ROLE {role}".encode())


def _as(url: str) -> str:
    """The same database, for the role."""
    parts = conninfo_to_dict(url) | {"user": ROLE, "password": "secret"}
    return f"postgres:///{parts.pop('dbname')}?{urlencode(parts, quote_via=quote)}"


def test_musterbook_runs_as_a_role_that_may_only_add_to_the_trail(app: Home) -> None:
    path = app.folder / "agency.toml"
    path.write_text(AGENCY)
    for number in (1, 2):
        rows = [f"E-{n},u{n}@x.example,B{n},Ann{number},Smith,Active,u{n},Officer\n" for n in range(20)]
        (app.folder / f"{number}.csv").write_text(FILE + "".join(rows))
    calls = [
        ("agency", "apply", str(path)),
        ("import", "--agency", "springfield", str(app.folder / "1.csv")),
        ("import", "--agency", "springfield", str(app.folder / "2.csv")),
        ("worker", "--once"),
        ("audit", "verify"),
        ("doctor",),
    ]
    said = ""
    for call in calls:
        done = app.muster(*call)
        assert done.returncode == 0, (call, done.stdout, done.stderr)
        said = done.stdout
    assert "Musterbook's role cannot change that" in said


@pytest.mark.parametrize("table", TRAIL)
def test_that_role_can_neither_change_nor_remove_nor_unguard_the_trail(app: Home, table: str) -> None:
    with psycopg.connect(app.database_url, autocommit=True) as server:
        for attack in (
            f"UPDATE {table} SET agency_id = 2",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"DROP TRIGGER {table}_change ON {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table} CASCADE",
            "CREATE OR REPLACE FUNCTION muster_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "SET session_replication_role = replica",
            "DELETE FROM django_migrations",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(attack.encode())


def test_a_role_that_there_is_not_is_a_wrong_call(fresh_home: Home) -> None:
    done = fresh_home.muster("migrate", "--app-role", "nobody_here")
    assert (done.returncode, "has no role nobody_here" in done.stderr) == (2, True)
