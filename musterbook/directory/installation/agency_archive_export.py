"""The export of an agency: one consistent view of all its rows and files, written as a stream to one encrypted file."""

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.utils.translation import gettext as _

from musterbook import __version__
from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.agency import pausing
from musterbook.directory.audit import hash_chain, trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import backup_encryption, backup_seal, migration, sealed_values
from musterbook.directory.installation.agency_archive import (
    FILES,
    MANIFEST,
    ROWS,
    TRAIL_KEYS,
    CannotExport,
    Manifest,
    Range,
)
from musterbook.directory.installation.agency_archive_tables import EMPTIED, Table, change_secrets, list_tables
from musterbook.directory.installation.backup_encryption import Lock
from musterbook.directory.storage import frames, import_files, locks

_WITH_MICROSECONDS = 26
"""The length of a time with its microseconds."""


def export_agency(
    agency: models.Agency, path: Path, lock: Lock, context: AuditContext, *, overwrite: bool = False
) -> str:
    """Write the archive of the agency, encrypted; it appears whole or not at all. Return the digest of its content.

    Raise CannotExport.
    """
    if path.exists() and not overwrite:
        raise CannotExport(_("%(path)s already exists. Name another file, or add --overwrite.") % {"path": path})
    if agency.paused_at and pausing.is_busy(agency, context.at):
        raise CannotExport(
            _(
                "A worker still sends or checks something for %(slug)s. Run `muster agency pause %(slug)s` again: it waits "
                "until nothing is in progress."
            )
            % {"slug": agency.slug}
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        number = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w+b") as file:
            with open_snapshot(), backup_encryption.encrypting(file, lock) as into:
                digest = write_archive(agency, into)
            file.flush()
            os.fsync(file.fileno())
        # Only a file that is complete is an export: one that failed leaves an agency that is resumed as if nothing was.
        _record_export(agency, context)
        draft.replace(path)
    except OSError as error:
        raise CannotExport(
            _("%(path)s cannot be written: %(strerror)s. Name another place.")
            % {"path": path, "strerror": error.strerror}
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return digest


def _record_export(agency: models.Agency, context: AuditContext) -> None:
    with transaction.atomic():
        locks.lock_row(agency, paused=True)
        trail.append_events(agency, context, [trail.build_event(EventKind.AGENCY_EXPORTED, {})])


@contextmanager
def open_snapshot() -> Iterator[None]:
    """Let all that is read be of one moment, while others go on writing."""
    with connection.cursor() as cursor:
        if not frames.on_postgres():
            # Django would begin as a writer, which others would wait for.
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
            return
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def write_archive(agency: models.Agency, into: BinaryIO) -> str:
    """Write the content of the archive, unencrypted, from what the caller's transaction sees. Return its digest."""
    stored = models.Agency.objects.get(pk=agency.pk)
    manifest = Manifest(
        __version__, datetime.now(UTC).isoformat(timespec="seconds"), migration.list_recorded(), stored.slug,
        stored.paused_at is not None, {table.label: _measure(table, agency) for table in list_tables()},
    )  # fmt: skip
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        packing = backup_seal.Packing(tar, None)
        packing.add(MANIFEST, manifest.as_json())
        packing.add(TRAIL_KEYS, json.dumps(_list_trail_keys(agency)).encode())
        for table in list_tables():
            for number, rows in enumerate(read_rows(table, agency), 1):
                packing.add(f"{ROWS}/{table.label}.{number:06}", rows.write_ndjson().encode())
        for name, path in _list_files(agency):
            # It may have been let go of meanwhile; and only plain files are ever kept there.
            with suppress(FileNotFoundError, backup_seal.NotPlainFile):
                packing.add_file(f"{FILES}/{name}", path)
        return packing.finish()


def _measure(table: Table, agency: models.Agency) -> Range:
    with connection.cursor() as cursor:
        sql = f'SELECT count(*), min("{table.key}"), max("{table.key}") FROM "{table.name}" WHERE {table.condition}'
        cursor.execute(sql, [agency.pk])
        rows, first, last = cursor.fetchone()
        if rows:
            named = _list_named(table, agency)
            first, last = min([first, *named]), max([last, *named])
    return Range(rows, first or 0, last or 0)


def _list_named(table: Table, agency: models.Agency) -> list[int]:
    """Return the lowest and the highest ids by which other rows name those of the table, even if some were removed.

    A trail of which somebody removed events names ids beyond those that are left.
    """
    found: list[int | None] = []
    for other in list_tables():
        for column in other.columns:
            if column.target == table.label and not column.guarded:
                with connection.cursor() as cursor:
                    cursor.execute(
                        f'SELECT min("{column.name}"), max("{column.name}") FROM "{other.name}" WHERE {other.condition}',
                        [agency.pk],
                    )
                    found += cursor.fetchone()
    return [number for number in found if number is not None]


def _list_trail_keys(agency: models.Agency) -> dict[str, str]:
    """Return the keys that verify the links of the agency's trail that this installation sealed, by name."""
    moved = (
        models.MovedTrail.objects.filter(agency=agency).order_by("-until").values_list("until", flat=True).first() or 0
    )
    links = models.TrailLink.objects.filter(agency=agency, number__gt=moved).exclude(key="")
    known = hash_chain.derive_keys()
    return {
        name: known[name].hex() for name in links.order_by().values_list("key", flat=True).distinct() if name in known
    }


def read_rows(table: Table, agency: models.Agency) -> Iterator[pl.DataFrame]:
    """Yield the rows of the agency, some at a time, as the archive has them: without what is of this installation alone."""
    after, selected = -1, ", ".join(column.sql for column in table.columns)
    sql = (
        f'SELECT {selected} FROM "{table.name}" WHERE {table.condition} AND "{table.key}" > %s'
        f' ORDER BY "{table.key}" LIMIT {table.at_once}'
    )
    while True:
        rows = frames.read_frame(sql, [agency.pk, after], table.schema)
        if rows.is_empty():
            return
        after = rows[table.key][-1]
        yield _open_secrets(table, _complete_times(table, _empty(table, rows)))


def _empty(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    emptied = EMPTIED.get(table.label, {})
    return rows.with_columns(pl.lit(value, pl.String).alias(name) for name, value in emptied.items())


def _complete_times(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with microseconds in each time: SQLite leaves them out where they are 0."""
    times = [pl.col(column.name) for column in table.columns if column.time]
    return rows.with_columns(
        pl.when(time.str.len_bytes() < _WITH_MICROSECONDS).then(time + ".000000").otherwise(time) for time in times
    )


def _open_secrets(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with secrets that this installation's key has opened; the archive is encrypted as a whole."""
    return change_secrets(table, rows, _open_value)


def _open_value(text: str, column: sealed_values.SealedColumn) -> str:
    data: Any = json.loads(text)
    for entry in sealed_values.list_entries(data):
        for name in column.names:
            if entry.get(name):
                try:
                    entry[name] = encryption.unseal(str(entry[name]))
                except InvalidToken:
                    raise CannotExport(
                        _(
                            "A stored secret (%(about)s) cannot be read: its secret key is missing. `muster keys list` "
                            "names it. Add that key to MUSTER_OLD_SECRET_KEYS, and try again."
                        )
                        % {"about": column.about}
                    ) from None
    return json.dumps(data, ensure_ascii=False)


def _list_files(agency: models.Agency) -> Iterator[tuple[str, Path]]:
    for number in (
        models.Import.objects.filter(agency=agency).order_by("pk").values_list("number", flat=True).iterator()
    ):
        for name in (number, f"{number}.users"):
            with suppress(import_files.FileGone):
                yield name, import_files.find_path(name)
