"""Backup and restore: everything of an installation in one tar file, consistent, and back again."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import connection

from musterbook import __version__, home
from musterbook.directory import frames, installation

_MANIFEST, _SQLITE, _POSTGRES = "manifest.json", "database.sqlite3", "database.dump"
_FILES = "files"


class CannotBackUp(Exception):
    """No backup can be made; the message says why and what to do."""


class CannotRestore(Exception):
    """The backup cannot be brought back; the message says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of: which version wrote it, when, from which kind of database, with which changes made."""

    version: str
    at: str
    database: str
    changes: list[str]


def backup(path: Path, *, overwrite: bool = False) -> None:
    """Writes the backup; it appears whole or not at all. Raises CannotBackUp."""
    if path.exists() and not overwrite:
        raise CannotBackUp(f"{path} is there already. Name another file, or add --overwrite.")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _work() as work:
            # The database first: files that come later are too many, which hurts nobody.
            database = _dump(work)
            _pack(draft, database)
        draft.replace(path)
    except OSError as error:
        raise CannotBackUp(f"{path} cannot be written: {error.strerror}. Name another place.") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _work() -> Iterator[Path]:
    """A folder for half-done things, on the disk of the installation."""
    folder = home.prepare(settings.MUSTER_HOME)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".backup-") as work:
        yield Path(work)


def _dump(work: Path) -> Path:
    if not frames.on_postgres():
        target = work / _SQLITE
        connection.ensure_connection()
        with closing(sqlite3.connect(target)) as copy:
            connection.connection.backup(copy)
        return target
    target = work / _POSTGRES
    _postgres("pg_dump", "--format=custom", "--no-owner", f"--file={target}", error=CannotBackUp)
    return target


def _pack(draft: Path, database: Path) -> None:
    manifest = Manifest(
        __version__, datetime.now(UTC).isoformat(timespec="seconds"), database.name, installation.recorded()
    )
    with _new(draft) as file, tarfile.open(fileobj=file, mode="w") as tar:
        _add(tar, _MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
        _add(tar, home.KEY_FILE, home.secret_key().encode())
        tar.add(database, database.name, filter=_private)
        for kept in sorted((settings.MUSTER_HOME / _FILES).glob("*")):
            tar.add(kept, f"{_FILES}/{kept.name}", recursive=False, filter=_private)


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0o600, 0, 0, "", ""
    return entry


def _new(path: Path) -> BinaryIO:
    """A new file that its owner alone can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, io.BytesIO(content))


def restore(path: Path, *, replace: bool = False) -> Manifest:
    """Brings a backup back in place of what is there, which must be nothing unless `replace`. Raises CannotRestore."""
    with _work() as work:
        manifest = _unpacked(path, work)
        _refuse(manifest, replace=replace)
        _load(work / manifest.database)
        _put_files_back(work)
    installation.migrate()
    return manifest


def _unpacked(path: Path, work: Path) -> Manifest:
    try:
        with tarfile.open(path) as tar:
            for entry in tar:
                parts = Path(entry.name).parts
                if (
                    entry.isfile()
                    and (len(parts) == 1 or (len(parts) == 2 and parts[0] == _FILES))
                    and ".." not in parts
                ):
                    _extract(tar, entry, work.joinpath(*parts))
        return Manifest(**json.loads((work / _MANIFEST).read_bytes()))
    except FileNotFoundError:
        raise CannotRestore(f"{path} is not there, or not what `muster backup` wrote.") from None
    except (OSError, tarfile.TarError, ValueError, TypeError) as error:
        raise CannotRestore(f"{path} cannot be read as what `muster backup` wrote: {error}.") from None


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    source = tar.extractfile(entry) or io.BytesIO()
    with source, _new(target) as file:
        shutil.copyfileobj(source, file)
    os.utime(target, (entry.mtime, entry.mtime))


def _refuse(manifest: Manifest, *, replace: bool) -> None:
    mine = _POSTGRES if frames.on_postgres() else _SQLITE
    if manifest.database != mine:
        kinds = {_POSTGRES: "PostgreSQL", _SQLITE: "the embedded database"}
        other = kinds.get(manifest.database, "another database")
        raise CannotRestore(f"The backup is of {other}; here is {kinds[mine]}. See DATABASE_URL.")
    newer = set(manifest.changes) - set(installation.wanted())
    if newer:
        raise CannotRestore(f"The backup is of a newer Musterbook ({manifest.version}). Install that version first.")
    if not replace and not installation.is_empty():
        raise CannotRestore("There are agencies here already, which would be replaced. If that is meant, add --yes.")


def _load(database: Path) -> None:
    if frames.on_postgres():
        options = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error")
        connection.close()
        _postgres("pg_restore", *options, str(database), error=CannotRestore)
        return
    with closing(sqlite3.connect(database)) as copy:
        found = _damage(copy)
        if found:
            raise CannotRestore(f"The database in the backup is damaged: {found}.")
        connection.ensure_connection()
        # Written through SQLite, not put in its place: a process that has the old file open sees the new state.
        copy.backup(connection.connection)
    connection.close()


def _damage(database: sqlite3.Connection) -> str:
    """What is wrong with a database, "" for one that is whole."""
    try:
        found = str(database.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found


def _put_files_back(work: Path) -> None:
    folder = settings.MUSTER_HOME / _FILES
    shutil.rmtree(folder, ignore_errors=True)
    (work / _FILES).mkdir(mode=0o700, exist_ok=True)
    (work / _FILES).replace(folder)
    (work / home.KEY_FILE).replace(settings.MUSTER_HOME / home.KEY_FILE)


def _postgres(program: str, *arguments: str, error: type[Exception]) -> None:
    """Runs one of PostgreSQL's own programs on our database; the password goes by the environment, which others cannot see."""
    command = _program(program)
    if command is None:
        raise error(
            f"{program} is not on this machine. Install PostgreSQL's client programs: apt-get install postgresql-client"
        )
    told = connection.settings_dict
    given = {name: str(told[name]) for name in ("USER", "PASSWORD", "HOST", "PORT") if told[name]}
    given |= {name.upper(): value for name, value in told["OPTIONS"].items() if isinstance(value, str)}
    environment = {**os.environ, **{f"PG{name}": value for name, value in given.items()}}
    database = ["--dbname", str(told["NAME"])]
    done = subprocess.run(
        [command, *database, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise error(f"{program} failed: {done.stderr.strip()}")


def _program(name: str) -> str | None:
    """The program on the path, or the newest among Debian's."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].partition(".")[0])
    )
    return shutil.which(name) or (str(debian[-1]) if debian else None)
