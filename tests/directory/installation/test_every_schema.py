"""An upgrade from every schema that a version could have had, with data: nothing is lost, and each trail is whole."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader

from tests import databases
from tests.databases import Home

COPIED = ("directory.0009_states_by_index", "directory.0023_canceled_imports")
"""Schemas from which `muster migrate` itself upgrades: one whose trails have no key, and one before feeds."""
_SCRIPT = "tests.directory.installation.every_schema"


@dataclass(frozen=True)
class Built:
    """The installation whose database went through every schema, and the number of schemas that got data."""

    home: Home
    schemas: int


@pytest.fixture(scope="module")
def built(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with databases.make_empty(database_server) as url:
        home = Home(tmp_path_factory.mktemp("every-schema") / "home", url)
        home.folder.mkdir(mode=0o700)
        done = home.run(sys.executable, "-m", _SCRIPT, "build", str(home.folder), *COPIED, timeout=300)
        assert done.returncode == 0, done.stderr
        yield Built(home, int(done.stdout))


def check(home: Home, name: str) -> str:
    done = home.run(sys.executable, "-m", _SCRIPT, "check", str(home.folder / f"{name}.json"), timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrate(home: Home) -> None:
    done = home.muster("migrate", timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_rows_of_every_schema_are_there_after_all_later_migrations(built: Built) -> None:
    ours = [key for key in MigrationLoader(None).disk_migrations if key[0] in ("directory", "accounts")]
    assert built.schemas == len(ours)
    migrate(built.home)
    assert check(built.home, "newest") == f"{built.schemas} agencies compared\n"
    found = built.home.muster("doctor").stdout
    assert "✓ tables: up to date" in found and "✓ audit trail: whole" in found and "✓ database" in found


@pytest.mark.parametrize("schema", COPIED)
def test_the_command_upgrades_an_installation_of_an_old_schema(built: Built, schema: str, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    shutil.copytree(built.home.folder, folder, ignore=shutil.ignore_patterns("*.sqlite3*"))
    url = built.home.database_url
    if url:
        name = url.partition("?")[0].rpartition("/")[2]
        url = url.replace(f"/{name}", f"/{name}_{schema}", 1)
    else:
        shutil.copy(built.home.folder / f"{schema}.sqlite3", folder / "muster.sqlite3")
    home = Home(folder, url)
    try:
        migrate(home)
        assert check(home, schema).endswith(" agencies compared\n")
        exported = home.muster("export", "--agency", "agency-2")
        assert (exported.returncode, "user2@agency.example" in exported.stdout) == (0, True), exported.stderr
    finally:
        if url:
            with psycopg.connect(built.home.database_url, autocommit=True) as server:
                server.execute(f'DROP DATABASE "{name}_{schema}" WITH (FORCE)'.encode())
