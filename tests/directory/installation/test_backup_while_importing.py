"""A backup that is made in the middle of an import, with the real command, restores to a directory that is consistent."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.attacks.serving import serve
from tests.databases import Home
from tests.directory import cast
from tests.directory.processes import ONE, OTHER, Site, until


def _find_faults(home: Home) -> list[str]:
    return [line for line in home.muster("doctor").stdout.splitlines() if line.startswith("✗")]


@pytest.fixture(scope="module")
def _original(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation with an import that is applied and two that wait."""
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("waiting") / "home") as home:
        site = Site(home)
        waiting = {"one.csv": ONE, "other.csv": OTHER, "last.csv": cast.file(cast.people(70, 71))}
        one, *others = (("+", "submit", "springfield", site.file(*file)) for file in waiting.items())
        site.do("agency", "springfield", *one, "+", "work", *others[0], *others[1])
        yield home


@pytest.fixture
def home(_original: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of that installation."""
    with databases.copy_home(_original, tmp_path / "home") as home:
        yield home


@pytest.mark.parametrize("stage", ["writing", "committing"])
def test_a_backup_in_the_middle_of_an_import_restores_whole_imports_and_their_files(
    home: Home, tmp_path: Path, stage: str
) -> None:
    """One import is applied, one is being written, one waits: the middle one and the last are carried out after the restore."""
    site, backup = Site(home), str(tmp_path / "muster.tar")
    before = _back_up_meanwhile(site, backup, stage)
    after, numbers = site.names(), site.select("SELECT number FROM directory_import ORDER BY id")
    done = home.muster("restore", backup, "--yes", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "imports: 2, emails: 29," in done.stderr and "They will be sent again." in done.stderr
    assert (site.states(), site.names()) == (["applied", "running", "waiting"], before)
    assert {path.name for path in (home.folder / "files").iterdir()} >= {number for (number,) in numbers}
    # There is no worker. The doctor says so as soon as the heartbeat that the backup contains is old.
    assert {line[:9] for line in _find_faults(home)} <= {"✗ imports"}
    assert home.muster("worker", "--once", timeout=400).returncode == 0
    assert (site.states(), site.names()) == (["applied"] * 3, after)
    assert site.do("look", "springfield") == "whole"
    assert _find_faults(home) == []


def _back_up_meanwhile(site: Site, backup: str, stage: str) -> dict[str, Any]:
    """Make a backup at a stage of an import, which is applied afterwards; give the users of before it."""
    home, go = site.home, site.home.folder / "go"
    if home.database_url and not (shutil.which("pg_dump") or [*Path("/usr/lib/postgresql").glob("*/bin/pg_dump")]):
        pytest.skip("there is no pg_dump here")
    before = site.names()
    with serve(home, "--no-worker", "--workers", "1") as server:
        worker = site.start("work", "2", PAUSE=stage, GO=str(go))
        until(worker, stage)
        done = home.muster("backup", backup, "--unencrypted", timeout=120)
        assert done.returncode == 0, done.stderr
        assert server.status("/healthz") == 200
        go.touch()
        assert worker.communicate(timeout=120)[1] is not None and worker.returncode == 0
    assert site.states() == ["applied"] * 3
    assert home.muster("worker", "--once", timeout=120).returncode == 0  # it sends the emails
    assert site.select("SELECT count(*) FROM directory_mail WHERE ended_at IS NULL") == [(0,)]
    return before
