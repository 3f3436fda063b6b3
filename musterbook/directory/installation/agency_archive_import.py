"""The import of an agency's archive: checked before anything is written, and then written in one transaction or not at all."""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from django.apps import apps
from django.conf import settings
from django.db import DataError, Error, IntegrityError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from musterbook.config import encryption, home
from musterbook.directory import models, permissions
from musterbook.directory.agency import agency_file
from musterbook.directory.apply import search_index
from musterbook.directory.audit import hash_chain, trail, verify
from musterbook.directory.audit.anchors import KnownAnchors
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.installation import (
    backup_encryption,
    backup_seal,
    backups,
    migration,
    sealed_values,
    work_folders,
)
from musterbook.directory.installation.agency_archive import (
    FILES,
    MANIFEST,
    ROWS,
    TRAIL_KEYS,
    CannotImport,
    Manifest,
    is_whole_installation,
    read_manifest,
    read_trail_keys,
    refuse_twin,
)
from musterbook.directory.installation.agency_archive_ids import Ids, reserve_ids, wait_for_others
from musterbook.directory.installation.agency_archive_tables import Table, change_secrets, list_tables
from musterbook.directory.installation.agency_archive_values import read_part
from musterbook.directory.installation.backup_encryption import Opener
from musterbook.directory.storage import database_errors, frames

_PATIENCE = 10.0
"""The seconds for which the server is waited for that may still be about to commit."""
_UNKNOWN = gettext_noop(
    "The connection to the database was lost at the end, and it is not known whether “%(slug)s” has arrived. When the database "
    "answers again, look for it with `muster agency list`. If it is not there, import it again."
)
_COPIED = "This is a copy of an agency that goes on elsewhere."


@dataclass(frozen=True, slots=True)
class ImportedAgency:
    """The result: the agency, the rows of each table, and whether ids in addresses are others than before."""

    agency: models.Agency
    users: int
    events: int
    is_copy: bool
    renumbered: bool


def import_agency(
    path: Path, opener: Opener, context: AuditContext, *, slug: str = "", expected: str = "", broken_trail: bool = False
) -> ImportedAgency:
    """Import the agency of an archive, wholly or not at all. It is paused until it is resumed. Raise CannotImport.

    `slug`: its new slug, "" for the one that it had. `expected`: the digest that the export named, "" to accept any.
    `broken_trail`: also import an agency whose trail did not verify before.
    """
    with work_folders.open_work_folder() as work:
        digest = _unpack(path, work, opener, expected)
        with _explain_damage(path):
            manifest, trail_keys = read_manifest(work), read_trail_keys(work)
        slug = slug or manifest.slug
        _refuse(manifest, slug)
        try:
            return _ArchiveImport(work, manifest, trail_keys, slug, context).run(digest, broken_trail=broken_trail)
        except (IntegrityError, DataError) as error:
            cause = str(error).splitlines()[0]
            if not database_errors.is_repeated(error):
                raise CannotImport(
                    _("The archive has values that no table holds. It was made to do harm, or is damaged. (%(error)s)")
                    % {"error": cause}
                ) from None
            raise CannotImport(
                _(
                    "Something in the archive exists in this installation already: the agency itself, under another name, or "
                    "a part of it. An agency can be in an installation only once. If you have imported it before, nothing is "
                    "left to do: see `muster agency list`. (%(error)s)"
                )
                % {"error": cause}
            ) from None


def _unpack(path: Path, work: Path, opener: Opener, expected: str) -> str:
    """Write the content of the archive into the folder, checked by its digest. Return the digest."""
    with _explain_damage(path):
        if not backup_encryption.is_encrypted(path):
            raise ValueError(_("it is not encrypted, and every archive is"))
        plain = backups.decrypt_backup(path, work, opener)
        with plain.open("rb") as file:
            seal = backup_seal.unpack(file, work, (MANIFEST, TRAIL_KEYS), ROWS, FILES)
        plain.unlink()
        if is_whole_installation(work):
            raise ValueError(_("it is a backup of a whole installation. Restore it with `muster restore`"))
        if not seal.is_whole:
            raise ValueError(_("it was changed or cut off, and does not match its digest"))
    if expected and seal.digest != expected:
        raise CannotImport(
            _("The digest of the archive is %(digest)s, and not the expected one. It is another archive.")
            % {"digest": seal.digest}
        )
    return seal.digest


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CannotImport(
            _("%(path)s does not exist, or is not a file that `muster agency export` wrote.") % {"path": path}
        ) from None
    except (backup_encryption.CannotUse, backups.CannotRestore) as error:
        raise CannotImport(str(error)) from None
    except backup_encryption.CannotOpen as error:
        raise CannotImport(_("%(path)s cannot be decrypted: %(error)s.") % {"path": path, "error": error}) from None
    except (OSError, tarfile.TarError, ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, OSError) and all(home.explain_error(error)):
            raise
        raise CannotImport(
            _("%(path)s cannot be read as a file that `muster agency export` wrote: %(error)s.")
            % {"path": path, "error": error}
        ) from None


def _refuse(manifest: Manifest, slug: str) -> None:
    if migration.list_newer(manifest.changes):
        raise CannotImport(
            _("A newer Musterbook (%(version)s) wrote the archive. Install that version here first.")
            % {"version": manifest.version}
        )
    if set(migration.list_required()) - set(manifest.changes):
        raise CannotImport(
            _(
                "An older Musterbook (%(version)s) wrote the archive. Upgrade the old installation to this version first, "
                "and export the agency again."
            )
            % {"version": manifest.version}
        )
    if {table.label for table in list_tables()} != set(manifest.tables):
        raise CannotImport(_("The archive does not have the tables of this version. It was changed."))
    span = manifest.tables["directory.Agency"]
    if span.rows != 1 or span.first != span.last:
        raise CannotImport(_("The archive is not of exactly one agency. It was changed."))
    error = agency_file.check_slug(slug)
    if error:
        raise CannotImport(_("The slug “%(slug)s” cannot be used. %(error)s") % {"slug": slug, "error": error})
    if models.Agency.objects.filter(slug=slug).exists():
        raise CannotImport(
            _(
                "There is an agency “%(slug)s” here already. If you have imported this agency before, nothing is left to do: "
                "see `muster agency list`. To give the imported one another slug, add --slug NEW."
            )
            % {"slug": slug}
        )


def _find_out(agency: models.Agency) -> bool | None:
    """Return whether the agency has arrived, after the commit ended with an error: None if that cannot be known.

    The answer to a commit can be lost on its way, and the server may still be about to do it.
    """
    try:
        connection.close()
        with transaction.atomic():
            has_ended = wait_for_others(_PATIENCE)
            has_arrived = models.Agency.objects.filter(pk=agency.pk, slug=agency.slug).exists()
    except Error:
        return None
    return True if has_arrived else False if has_ended else None


def _refuse_trail(error: str) -> CannotImport:
    return CannotImport(
        _(
            "The audit trail in the archive does not verify: %(error)s. If `muster audit verify` also finds an error in the "
            "old installation, and you want to move the agency in spite of it, add --with-broken-trail."
        )
        % {"error": error}
    )


class _ArchiveImport:
    """The import of one unpacked archive."""

    def __init__(
        self, work: Path, manifest: Manifest, trail_keys: Mapping[str, str], slug: str, context: AuditContext
    ) -> None:
        self._work, self._manifest, self._slug, self._context = work, manifest, slug, context
        self._trail_keys = trail_keys
        self._placed: list[Path] = []

    def run(self, digest: str, *, broken_trail: bool) -> ImportedAgency:
        """Write everything in one transaction. Raise CannotImport."""
        done = None
        try:
            with transaction.atomic(), frames.page_cache(256):
                done = self._write(digest, broken_trail=broken_trail)
        except BaseException:
            has_arrived = _find_out(done.agency) if done else False
            if has_arrived is None:
                raise CannotImport(_(_UNKNOWN) % {"slug": self._slug}) from None
            if done and has_arrived:
                return done
            for path in self._placed:
                path.unlink(missing_ok=True)
            raise
        return done

    def _write(self, digest: str, *, broken_trail: bool) -> ImportedAgency:
        tables = list_tables()
        ids = reserve_ids(tables, self._manifest.tables)
        for table in tables:
            self._write_table(table, ids)
        if any((self._work / ROWS).iterdir()):
            raise CannotImport(_("The archive has rows that no agency has. It was changed."))
        if not broken_trail:
            self._refuse_unguarded(tables, ids)
        span = self._manifest.tables["directory.Agency"]
        agency = models.Agency.objects.get(pk=ids.map("directory.Agency", span.first))
        self._check_roles(agency)
        refuse_twin(agency)
        self._analyze(tables)
        search_index.correct_index(agency)
        if not self._manifest.paused:
            self._still(agency)
        self._place_files(agency, ids)
        self._keep_trail(agency, ids)
        self._record(agency, digest)
        # The imported agency starts paused: anyone who imported it looks at it first, and then resumes it.
        models.Agency.objects.filter(pk=agency.pk).update(paused_at=self._context.at)
        agency.refresh_from_db()
        error = verify.verify_trail(agency, KnownAnchors({agency.pk: ()})).error
        if error and not broken_trail:
            raise _refuse_trail(error)
        return ImportedAgency(
            agency, self._manifest.tables["directory.User"].rows, self._manifest.tables["directory.Event"].rows,
            not self._manifest.paused, any(ids.added.values()),
        )  # fmt: skip

    def _write_table(self, table: Table, ids: Ids) -> None:
        written, nullable = 0, [column.name for column in table.columns if column.nullable]
        for path in sorted((self._work / ROWS).glob(f"{table.label}.*")):
            rows = read_part(table, path)
            written += rows.height
            rows = _seal_secrets(table, ids.map_rows(table, rows))
            if table.label == "directory.Agency":
                rows = rows.with_columns(slug=pl.lit(self._slug))
            with connection.wrap_database_errors:  # COPY bypasses Django's cursor, which would name the error alike
                frames.insert(table.model, rows, nullable)
            path.unlink()
        if written != self._manifest.tables[table.label].rows:
            raise CannotImport(_("The archive lacks rows of %(label)s. It is damaged.") % {"label": table.label})

    def _refuse_unguarded(self, tables: tuple[Table, ...], ids: Ids) -> None:
        """Refuse rows that refer to rows that are not there, where the database itself does not look: those of the trail."""
        for table in tables:
            for column in table.columns:
                if not column.target or column.guarded or not self._manifest.tables[table.label].rows:
                    continue
                target = next(one for one in tables if one.label == column.target)
                span = self._manifest.tables[table.label]
                first, last = (ids.map(table.label, number) for number in (span.first, span.last))
                sql = (
                    f'SELECT 1 FROM "{table.name}" r WHERE r."{table.key}" BETWEEN %s AND %s AND r."{column.name}" IS NOT NULL'
                    f' AND NOT EXISTS (SELECT 1 FROM "{target.name}" t WHERE t."{target.key}" = r."{column.name}") LIMIT 1'
                )
                with connection.cursor() as cursor:
                    cursor.execute(sql, [first, last])
                    if cursor.fetchone():
                        name = f"{table.label}.{column.name}"
                        raise _refuse_trail(_("it refers to rows that are not in it (%(name)s)") % {"name": name})

    def _check_roles(self, agency: models.Agency) -> None:
        """Refuse permissions that this version does not have, and an agency without its one administrator role."""
        roles = list(models.Role.objects.filter(agency=agency))
        known = set(permissions.PERMISSIONS)
        lists = [role.permissions for role in roles]
        fit = all(
            isinstance(names, list) and all(isinstance(one, str) and one in known for one in names) for names in lists
        )
        if not fit or sum(role.administrator for role in roles) != 1:
            raise CannotImport(_("The archive has roles that this version does not know. It was changed."))

    def _analyze(self, tables: tuple[Table, ...]) -> None:
        """Let PostgreSQL count the new rows, so that what is checked next is quick. Only the owner of a table can do that."""
        if frames.on_postgres():
            with connection.cursor() as cursor:
                for table in tables:
                    if self._manifest.tables[table.label].rows:
                        cursor.execute(f'ANALYZE "{table.name}"')

    def _still(self, agency: models.Agency) -> None:
        """End all that waits in a copy: it leaves from the installation where the agency goes on."""
        at = self._context.at
        models.Mail.objects.filter(agency=agency, ended_at=None).update(ended_at=at, problem=_COPIED)
        models.WebhookMessage.objects.filter(endpoint__agency=agency, ended_at=None).update(ended_at=at)
        models.Import.objects.filter(agency=agency, finished_at=None).update(
            state="failed", message=_COPIED, finished_at=at
        )
        apps.get_model("accounts.ResetRequest").objects.filter(agency=agency).delete()
        models.Feed.objects.filter(agency=agency, paused_at=None).update(paused_at=at, paused_why=_COPIED)
        models.WebhookEndpoint.objects.filter(agency=agency, paused_at=None).update(paused_at=at)

    def _place_files(self, agency: models.Agency, ids: Ids) -> None:
        """Put the files of imports where they belong. A file of no import of the archive is refused."""
        folder = home.prepare_folder(settings.MUSTER_HOME / "files")
        for source in sorted((self._work / FILES).glob("*")):
            number, _dot, kind = source.name.partition(".")
            if kind not in ("", "users") or not models.Import.objects.filter(agency=agency, number=number).exists():
                raise CannotImport(_("The archive has a file that is not of its imports. It was changed."))
            content = source.stat()
            if kind:
                with _explain_damage(source):
                    source.write_bytes(ids.map_choice(source.read_bytes()))
            target = folder / source.name
            # Numbers of imports are unique in an installation, so a file that is there is left over from a killed import.
            target.unlink(missing_ok=True)
            self._placed.append(target)
            _copy(source, target, content.st_mtime)

    def _keep_trail(self, agency: models.Agency, ids: Ids) -> None:
        """Keep what the links of the old installation verify with."""
        links, _head = hash_chain.read_head(agency)
        before = (
            models.MovedTrail.objects.filter(agency=agency).order_by("-until").values_list("until", flat=True).first()
        )
        if links <= (before or 0):
            return
        models.MovedTrail.objects.create(
            agency=agency, until=links,
            keys=[{"name": name, "secret": encryption.seal(key)} for name, key in sorted(self._trail_keys.items())],
            agency_there=self._manifest.tables["directory.Agency"].first, events=ids.added["directory.Event"],
            users=ids.added["directory.User"], imports=ids.added["directory.Import"],
        )  # fmt: skip

    def _record(self, agency: models.Agency, digest: str) -> None:
        changes = {"archive": ("", digest), "written": ("", self._manifest.at), "version": ("", self._manifest.version)}
        if self._slug != self._manifest.slug:
            changes["slug"] = (self._manifest.slug, self._slug)
        trail.append_events(agency, self._context, [trail.build_event(EventKind.AGENCY_IMPORTED, changes)])


def _seal_secrets(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their secrets sealed by this installation's key."""
    return change_secrets(table, rows, _seal_value)


def _seal_value(text: str, column: sealed_values.SealedColumn) -> str:
    data: Any = json.loads(text)
    for entry in sealed_values.list_entries(data):
        for name in column.names:
            if entry.get(name):
                entry[name] = encryption.seal(str(entry[name]))
    return json.dumps(data, ensure_ascii=False)


def _copy(source: Path, target: Path, modified: float) -> None:
    with (
        source.open("rb") as reading,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as into,
    ):
        shutil.copyfileobj(reading, into)
    with suppress(OSError):
        os.utime(target, (modified, modified))
