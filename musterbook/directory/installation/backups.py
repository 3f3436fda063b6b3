"""Backup and restore: everything of an installation in one tar file, consistent, and back again."""

import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from musterbook import __version__
from musterbook.config import home, secret_keys
from musterbook.directory.audit import anchors, trail
from musterbook.directory.installation import (
    backup_encryption,
    backup_seal,
    migration,
    recovery,
    sealed_values,
    work_folders,
)
from musterbook.directory.installation.backup_encryption import Lock, Opener
from musterbook.directory.storage import frames, isolation

_MANIFEST, _SQLITE, _POSTGRES = "manifest.json", "database.sqlite3", "database.dump"
_FILES = "files"
_LONGEST_MANIFEST, _LONGEST_KEY = 1 << 20, 1000
_LAST_UNSEALED = {"directory": "0011_people", "accounts": "0004_factor_due"}
"""The last changes of the last version whose backups had no seal."""


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
    format: int = 1
    """1: of a version that put the secret key into backups, and named no format; 2: sealed with the key, which is not in it."""
    keys: list[str] = field(default_factory=list)
    """The names of the secret keys that the installation had, the current one first."""


def write_backup(path: Path, *, overwrite: bool = False, lock: Lock | None = None) -> None:
    """Write the backup, encrypted if there is a lock; it appears whole or not at all. Raises CannotBackUp."""
    if path.exists() and not overwrite:
        raise CannotBackUp(_("%(path)s already exists. Name another file, or add --overwrite.") % {"path": path})
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with work_folders.open_work_folder() as work:
            # The database first: files that come later are too many, which hurts nobody.
            database = _dump_database(work)
            with (
                _create_file(draft) as file,
                backup_encryption.encrypting(file, lock) if lock else nullcontext(file) as into,
            ):
                _pack(into, database)
        draft.replace(path)
    except OSError as error:
        raise CannotBackUp(
            _("%(path)s cannot be written: %(strerror)s. Name another place.")
            % {"path": path, "strerror": error.strerror}
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _dump_database(work: Path) -> Path:
    if not frames.on_postgres():
        target = work / _SQLITE
        connection.ensure_connection()
        with closing(sqlite3.connect(target)) as copy:
            connection.connection.backup(copy)
        return target
    target = work / _POSTGRES
    _run_postgres(
        "pg_dump", "--format=custom", "--no-owner", "--enable-row-security", f"--file={target}", error=CannotBackUp
    )
    return target


def _pack(into: BinaryIO, database: Path) -> None:
    manifest = Manifest(
        __version__, datetime.now(UTC).isoformat(timespec="seconds"), database.name, migration.list_recorded(),
        2, [key.name for key in secret_keys.ring()],
    )  # fmt: skip
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        packing = backup_seal.Packing(tar, secret_keys.ring()[0])
        packing.add(_MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
        packing.add_file(database.name, database)
        for entry in sorted((settings.MUSTER_HOME / _FILES).glob("*")):
            # It may have been let go of meanwhile; and only plain files are ever kept there.
            with suppress(FileNotFoundError, backup_seal.NotPlainFile):
                packing.add_file(f"{_FILES}/{entry.name}", entry)
        packing.close()


def _create_file(path: Path) -> BinaryIO:
    """Return a new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")


def restore_backup(
    path: Path,
    *,
    replace: bool = False,
    opener: Opener | None = None,
    without_key: bool = False,
    unsealed: bool = False,
) -> Manifest:
    """Bring a backup back in place of what is there, which must be nothing unless `replace`. Raises CannotRestore.

    `without_key`: even if this installation lacks the key of the backup, so that neither the backup can be checked nor its
    sealed values be read. `unsealed`: even if it is of a version that did not seal its backups. All sessions end.
    """
    with work_folders.open_work_folder() as work:
        unpacked = _unpack_backup(path, work, opener or Opener())
        manifest = unpacked.manifest
        _refuse(manifest, replace=replace)
        if manifest.format == 1:
            _check_unsealed(path, unpacked, expected=unsealed)
        else:
            _check_seal(unpacked, without_key=without_key)
        _load_database(work / manifest.database)
        recovery.end_sessions()
        _put_files_back(work)
    migration.migrate()
    now = datetime.now(UTC)
    anchors.record_restore(now)
    if unpacked.secret:
        sealed_values.reseal_older(secret_keys.Key(unpacked.secret, "the backup"))
        trail.seal_unkeyed_trails(now, restored=True)
    return manifest


@dataclass(frozen=True, slots=True)
class _UnpackedBackup:
    manifest: Manifest
    seal: backup_seal.BackupSeal
    secret: str
    """The secret key that a backup of an older version holds. The writer of the file chose it, so it never enters the ring."""


def _unpack_backup(path: Path, work: Path, opener: Opener) -> _UnpackedBackup:
    try:
        plain = decrypt_backup(path, work, opener)
        with plain.open("rb") as file:
            seal = backup_seal.unpack(file, work, (_MANIFEST, home.KEY_FILE, _SQLITE, _POSTGRES), _FILES)
        return _UnpackedBackup(_read_manifest(work), seal, _read_held_key(work))
    except FileNotFoundError:
        raise CannotRestore(
            _("%(path)s does not exist, or is not a file that `muster backup` wrote.") % {"path": path}
        ) from None
    except backup_encryption.CannotUse as error:
        raise CannotRestore(str(error)) from None
    except backup_encryption.CannotOpen as error:
        raise CannotRestore(_("%(path)s cannot be decrypted: %(error)s.") % {"path": path, "error": error}) from None
    except (OSError, tarfile.TarError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CannotRestore(
            _("%(path)s cannot be read as a file that `muster backup` wrote: %(error)s.")
            % {"path": path, "error": error}
        ) from None


def decrypt_backup(path: Path, work: Path, opener: Opener) -> Path:
    """Return the backup itself, decrypted into the folder if it is encrypted. The folder must have room for all of it."""
    size, encrypted = path.stat().st_size, backup_encryption.is_encrypted(path)
    free, needed = shutil.disk_usage(work).free, size * (2 if encrypted else 1)
    if needed > free:
        raise CannotRestore(
            _("The restore needs %(what)s GB of free space in %(parent)s, but there are only %(what2)s GB.")
            % {"what": f"{needed / 1000000000.0:,.1f}", "parent": work.parent, "what2": f"{free / 1000000000.0:,.1f}"}
        )
    if not encrypted:
        if opener.identities or opener.passphrase:
            raise CannotRestore(
                _(
                    "%(path)s is not encrypted, although an identity or a passphrase was given. Another file "
                    "may have replaced it. Restore the encrypted backup. If you want to restore this file, "
                    "leave out --identity and --passphrase-file, and unset MUSTER_BACKUP_PASSPHRASE."
                )
                % {"path": path}
            )
        return path
    plain = work / "decrypted.tar"
    with _create_file(plain) as file:
        backup_encryption.decrypt(path, file, opener)
    return plain


def _read_manifest(work: Path) -> Manifest:
    """Return the manifest, with every field checked: it may have been written to do harm."""
    path = work / _MANIFEST
    if path.stat().st_size > _LONGEST_MANIFEST:
        raise ValueError(_("its manifest is too long"))
    fields = json.loads(path.read_bytes())
    file_format = fields.get("format", 1) if isinstance(fields, dict) else 0
    if type(file_format) is not int or file_format not in (1, 2):
        raise ValueError(_("it was written by a newer Musterbook, or its manifest is not valid"))
    if file_format == 1 and not fields.keys().isdisjoint(("format", "keys")):
        raise ValueError(_("its manifest was changed"))
    texts = [fields["version"], fields["at"], fields["database"], *fields["changes"], *fields.get("keys", [])]
    if not all(isinstance(text, str) for text in texts) or not isinstance(fields["changes"], list):
        raise TypeError(_("its manifest is not valid"))
    return Manifest(
        fields["version"],
        fields["at"],
        fields["database"],
        list(fields["changes"]),
        file_format,
        list(fields.get("keys", [])),
    )


def _read_held_key(work: Path) -> str:
    path = work / home.KEY_FILE
    if not path.exists():
        return ""
    secret = path.read_bytes()[:_LONGEST_KEY].decode().strip()
    if not secret.isprintable():
        raise ValueError(_("its secret key is not one"))
    return secret


def _refuse(manifest: Manifest, *, replace: bool) -> None:
    mine = _POSTGRES if frames.on_postgres() else _SQLITE
    if manifest.database != mine:
        kinds = {_POSTGRES: "PostgreSQL", _SQLITE: "the embedded database"}
        other = kinds.get(manifest.database, "another database")
        raise CannotRestore(
            _("The backup is of %(other)s, but this installation uses %(what)s. Check DATABASE_URL.")
            % {"other": other, "what": kinds[mine]}
        )
    if migration.list_newer(manifest.changes):
        raise CannotRestore(
            _("A newer Musterbook (%(version)s) wrote the backup. Install that version first.")
            % {"version": manifest.version}
        )
    if not replace and not _is_empty():
        raise CannotRestore(
            _("This installation has agencies, and the restore would replace them. To replace them, add --yes.")
        )


def _load_database(database: Path) -> None:
    if frames.on_postgres():
        options = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error")
        connection.close()
        _run_postgres("pg_restore", *options, str(database), error=CannotRestore)
        return
    with closing(sqlite3.connect(database)) as copy:
        damage = _find_damage(copy)
        if damage:
            raise CannotRestore(_("The database in the backup is damaged: %(damage)s.") % {"damage": damage})
        try:
            _copy_from(copy)
        except (DatabaseError, sqlite3.DatabaseError) as error:
            if not _is_damage(error):
                raise
            connection.close()
            _set_aside(Path(connection.settings_dict["NAME"]))
            _copy_from(copy)
    connection.close()


def _copy_from(copy: sqlite3.Connection) -> None:
    """Write through SQLite, and do not replace the file: a process that has it open sees the new state."""
    connection.ensure_connection()
    copy.backup(connection.connection)


def _is_empty() -> bool:
    """Return whether there is no agency. A database that is damaged may have had some."""
    try:
        return migration.is_empty()
    except DatabaseError as error:
        if _is_damage(error):
            return False
        raise


def _is_damage(error: BaseException) -> bool:
    """Return whether SQLite cannot read its file, in whole or in part."""
    code = getattr(error.__cause__ or error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _set_aside(file: Path) -> None:
    """Rename a damaged database: what can be saved from it is for people to judge."""
    damaged = f"{file.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for part in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(f"{file.name}{part}").replace(file.with_name(f"{damaged}{part}"))


def _find_damage(database: sqlite3.Connection) -> str:
    """Return what is wrong with a database, or "" if it is whole."""
    try:
        result = str(database.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if result == "ok" else result


def _check_unsealed(path: Path, unpacked: _UnpackedBackup, *, expected: bool) -> None:
    """Refuse a backup without a seal unless the operator wants it, and in any case what no version has written."""
    if unpacked.seal.key or not unpacked.secret:
        raise CannotRestore(
            _(
                "%(path)s was changed. It claims to be of an older version, but no older version wrote it. "
                "Use another backup."
            )
            % {"path": path}
        )
    changes = (change.partition(".") for change in unpacked.manifest.changes)
    if any(app in _LAST_UNSEALED and name > _LAST_UNSEALED[app] for app, _, name in changes):
        raise CannotRestore(
            _(
                "%(path)s was changed. It has no seal, but its database is of a version that seals "
                "backups. Use another backup."
            )
            % {"path": path}
        )
    if not expected:
        raise CannotRestore(
            _(
                "%(path)s has no seal. An older version wrote it, or an attacker who wants you to restore "
                "it. Restore a newer backup. If there is none, and nobody could change this one after it "
                "was written, add --unsealed."
            )
            % {"path": path}
        )


def _check_seal(unpacked: _UnpackedBackup, *, without_key: bool) -> None:
    """Refuse what no key of ours has sealed."""
    seal = unpacked.seal
    if seal.strange or unpacked.secret or not seal.key:
        raise CannotRestore(_("The backup was changed or cut off. It does not match its seal. Use another one."))
    key = next((key for key in secret_keys.ring() if key.name == seal.key), None)
    if key is None and not without_key:
        raise CannotRestore(
            _(
                "The backup was sealed with the secret key %(key)s, which is missing. Copy that key to "
                "%(what)s (or to MUSTER_OLD_SECRET_KEYS) and try again. With --without-key, the backup is "
                "restored unchecked, and one-time codes and providers' secrets are lost."
            )
            % {"key": seal.key, "what": settings.MUSTER_HOME / home.KEY_FILE}
        )
    if key is not None and not seal.is_by(key):
        raise CannotRestore(
            _("The backup was changed after it was written. It does not match its seal. Use another one.")
        )


def _put_files_back(work: Path) -> None:
    folder = settings.MUSTER_HOME / _FILES
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for entry in (work / _FILES).glob("*"):
        shutil.move(entry, folder / entry.name)


def _run_postgres(program: str, *arguments: str, error: type[Exception]) -> None:
    """Run one of PostgreSQL's own programs on our database; the password goes by the environment, which others cannot see."""
    command = _find_program(program)
    if command is None:
        raise error(
            f"{program} is not on this machine. Install PostgreSQL's client programs: apt-get install postgresql-client"
        )
    parameters = connection.settings_dict
    variables = {name: str(parameters[name]) for name in ("USER", "PASSWORD", "HOST", "PORT") if parameters[name]}
    variables |= {name.upper(): value for name, value in parameters["OPTIONS"].items() if isinstance(value, str)}
    # They read and write the rows of all agencies (`storage.isolation`).
    options = f"{variables.get('OPTIONS', '')} -c {isolation.SETTING}={isolation.ALL}"
    variables["OPTIONS"] = options.strip()
    # Our own secrets are nothing to them.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    environment = {**inherited, **{f"PG{name}": value for name, value in variables.items()}}
    database = ["--dbname", str(parameters["NAME"])]
    process = subprocess.run(
        [command, *database, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise error(f"{program} failed: {process.stderr.strip()}")


def _find_program(name: str) -> str | None:
    """Return the program on the path, or the newest of Debian's."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].partition(".")[0])
    )
    return shutil.which(name) or (str(debian[-1]) if debian else None)
