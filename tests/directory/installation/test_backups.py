"""Backup and restore where they cannot be done: each says why and what to do, and changes nothing."""

import json
import sqlite3
import tarfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from django.db import OperationalError

from musterbook.directory.installation import backups, migration
from musterbook.directory.installation.backups import CannotBackUp, CannotRestore
from musterbook.directory.storage import frames

pytestmark = pytest.mark.django_db


def pack(folder: Path, database: str, changes: Iterable[str] = (), content: bytes = b"") -> Path:
    """A backup of that database, as `muster backup` packs one."""
    manifest = {"version": "9.9", "at": "2026-11-22T00:00:00+00:00", "database": database, "changes": list(changes)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "database").write_bytes(content)
    (folder / "secret-key").write_text("key")
    path = folder / "backup.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder / "manifest.json", "manifest.json")
        tar.add(folder / "database", database)
        tar.add(folder / "secret-key", "secret-key")
        tar.add(folder / "secret-key", "../outside")
    return path


def here() -> str:
    return "database.dump" if frames.on_postgres() else "database.sqlite3"


def test_a_backup_that_cannot_be_written_names_the_place_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumped = tmp_path / "dumped"
    dumped.write_bytes(b"")
    monkeypatch.setattr(backups, "_dump_database", lambda work: dumped)
    with pytest.raises(CannotBackUp, match=r"cannot be written: No such file or directory\. Name another place"):
        backups.write_backup(tmp_path / "absent" / "muster.tar")
    assert list(tmp_path.iterdir()) == [dumped]


def test_a_backup_of_the_other_kind_of_database_is_refused(tmp_path: Path) -> None:
    other = "database.sqlite3" if frames.on_postgres() else "database.dump"
    with pytest.raises(CannotRestore, match=r"The backup is of .*, but this installation uses .* Check DATABASE_URL"):
        backups.restore_backup(pack(tmp_path, other))


def test_a_backup_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = pack(tmp_path, here(), [*migration.list_required(), "directory.9999_later"])
    with pytest.raises(CannotRestore, match=r"newer Musterbook \(9.9\)"):
        backups.restore_backup(path)
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_database_is_not_loaded(whole: bool, tmp_path: Path) -> None:
    content = b"no database at all" if whole else _damaged(tmp_path / "damaged.sqlite3")
    with pytest.raises(CannotRestore, match=r"pg_restore failed|The database in the backup is damaged"):
        backups.restore_backup(pack(tmp_path, here(), content=content), replace=True, unsealed=True)


def _damaged(path: Path) -> bytes:
    """A database one of whose rows says another thing than its index."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (a TEXT)")
        database.execute("CREATE INDEX i ON t (a)")
        database.execute("INSERT INTO t VALUES ('sound and whole')")
        database.commit()
    return path.read_bytes().replace(b"sound and whole", b"sound and false", 1)


@pytest.mark.parametrize(("program", "said"), [(None, "is not on this machine. Install"), ("false", "pg_dump failed")])
def test_a_missing_or_failing_program_of_postgresql_is_reported(
    program: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_find_program", lambda name: program)
    with pytest.raises(CannotBackUp, match=said):
        backups._run_postgres("pg_dump", error=CannotBackUp)


def test_a_database_that_is_busy_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if frames.on_postgres():
        pytest.skip("PostgreSQL has no file to be damaged")

    def busy(*_: object) -> None:
        raise OperationalError("database is locked")

    sqlite3.connect(tmp_path / "copy.sqlite3").close()
    monkeypatch.setattr(backups, "_copy_from", busy)
    monkeypatch.setattr(migration, "is_empty", busy)
    with pytest.raises(OperationalError, match="locked"):
        backups._load_database(tmp_path / "copy.sqlite3")
    with pytest.raises(OperationalError, match="locked"):
        backups._is_empty()
