"""Checks of the doctor that find damage: by disks, clocks, other programs, and people who help themselves."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems
from musterbook.directory.audit import anchors
from musterbook.directory.audit.cross_checks import list_names
from musterbook.directory.installation import table_checks
from musterbook.directory.installation.findings import Finding
from musterbook.directory.storage import frames, import_files

_TOLERANCE = timedelta(minutes=5)
_LONGEST_LEASE = timedelta(days=1)
"""No process leases work for as long as this."""
_MOST_FILES = 100_000
_KEEPING = ("waiting", "previewed", "held", "applied")
"""The states of an import whose file is whole. One that failed may have ended before all of it was kept."""
_PART = 1 << 20


def check_owner() -> Finding:
    """Look for files in MUSTER_HOME that another user of the machine owns, as a command run by root leaves them."""
    folder = settings.MUSTER_HOME
    owner = folder.stat().st_uid
    other = [str(path) for path in _list_paths(folder) if path.lstat().st_uid != owner]
    if other:
        return Finding(
            "owner",
            _("another user owns %(what)s") % {"what": list_names(other)},
            _("Run: chown -R %(owner)s %(folder)s. Always run muster as that user.")
            % {"owner": owner, "folder": folder},
        )
    return Finding("owner", _("every file belongs to the owner of %(folder)s") % {"folder": folder})


def _list_paths(folder: Path) -> Iterator[Path]:
    """Yield what is in the folder and in the folders in it, in no order and up to a limit."""
    return islice((path for pattern in ("*", "*/*") for path in folder.glob(pattern)), _MOST_FILES)


def is_database_gone() -> bool:
    """Return whether the database is empty, although MUSTER_HOME has files that only an installation with data makes."""
    files = settings.MUSTER_HOME / "files"
    if not (anchors.has_noted_links() or any(files.glob("*"))):
        return False
    tables = connection.introspection.table_names()
    if models.Agency._meta.db_table in tables:
        return not models.Agency.objects.exists()
    return not any(name.startswith(f"{models.Agency._meta.app_label}_") for name in tables)


def check_files() -> Finding:
    """Compare the kept files of imports with what the database knows of them."""
    since = datetime.now(UTC) - timedelta(days=max(settings.MUSTER_KEEP_FILES_DAYS - 1, 0))
    records = models.Import.objects.filter(kind__in=models.FROM_FILE, state__in=_KEEPING, file_size__gt=0)
    wrong, number = [], 0
    for record in records.only("number", "file_size", "file_sha256", "started_at").iterator():
        try:
            path = import_files.find_path(record.number)
        except import_files.FileGone:
            fault = _("missing") if record.started_at > since else ""
        else:
            number += 1
            fault = _find_file_fault(record, path)
        wrong += [f"{record.number}: {fault}"] if fault else []
    if wrong:
        return Finding(
            "files",
            ngettext(
                "%(number)s kept file is not as it was imported: %(what)s",
                "%(number)s kept files are not as they were imported: %(what)s",
                len(wrong),
            )
            % {"number": f"{len(wrong):,}", "what": list_names(wrong)},
            _(
                "Copy these files from a backup into %(folder)s. If an import waits for its file, cancel it and import the "
                "file again. Users that were imported are not affected (docs/how-to/backups.md)."
            )
            % {"folder": settings.MUSTER_HOME / "files"},
        )
    text = ngettext("%(number)s kept file is whole", "%(number)s kept files are whole", number)
    return Finding("files", text % {"number": f"{number:,}"})


def _find_file_fault(record: models.Import, path: Path) -> str:
    size = path.stat().st_size
    if size != record.file_size:
        return _("%(size)s bytes instead of %(expected)s") % {"size": f"{size:,}", "expected": f"{record.file_size:,}"}
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return "" if digest.hexdigest() == record.file_sha256 else _("changed")


def check_schema() -> Finding:
    """Look whether each table, column, index and constraint is there."""
    missing = table_checks.find_missing()
    if not missing:
        return Finding("schema", _("every table, column, index and constraint is there"))
    text = _("missing: %(what)s") % {"what": list_names(missing)}
    repeated = table_checks.find_repeated() if all(":" in name for name in missing) else []
    if repeated:
        text += "; " + _("values that are there more than once: %(what)s") % {"what": list_names(repeated)}
    remedy = _(
        "Somebody removed it. Restore a backup: muster restore FILE. If only an index is missing, you can also make it "
        "again as in the folder of migrations, after you have removed values that are there more than once."
    )
    return Finding("schema", text, remedy)


def check_references() -> Finding:
    """Look for rows that refer to rows that are gone."""
    orphans = table_checks.find_orphans()
    if orphans:
        return Finding(
            "references",
            _("rows refer to rows that are gone: %(what)s") % {"what": list_names(orphans)},
            _("Somebody deleted rows without Musterbook. Restore a backup: muster restore FILE"),
        )
    return Finding("references", _("every row that another row refers to is there"))


def check_rights() -> Finding:
    """Look whether Musterbook's role may use each table, and whether the tables sort as this version relies on."""
    other = table_checks.find_other_collations()
    if other:
        return Finding(
            "rights",
            _("another collation than C: %(what)s") % {"what": list_names(other)},
            _("Restore a backup into a new database: muster restore FILE"),
        )
    forbidden = table_checks.find_forbidden()
    if forbidden:
        return Finding(
            "rights",
            _("Musterbook's role %(role)s may not use %(what)s")
            % {"role": connection.settings_dict["USER"], "what": list_names(forbidden)},
            _("As the owner of the tables, run: muster migrate --app-role ROLE"),
        )
    return Finding("rights", _("Musterbook may use every table"))


def check_clock() -> Finding:
    """Compare this machine's clock with the newest entries, and with the server of the database."""
    now = datetime.now(UTC)
    latest = models.Event.objects.filter(
        pk__in=models.TrailLink.objects.values("agency").annotate(to=Max("last")).values("to")
    )
    newest = latest.aggregate(at=Max("at"))["at"]
    offset = timedelta()
    if frames.on_postgres():
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            offset = cursor.fetchone()[0] - now
    behind = max(newest - now, offset) if newest else offset
    remedy = _("Set the clock of this machine, and of the database's server, by NTP: timedatectl set-ntp true")
    if behind > _TOLERANCE:
        minutes = f"{behind.total_seconds() / 60:,.0f}"
        text = _("this machine's clock is %(minutes)s minutes behind the newest entry, or behind the database's server")
        return Finding("clock", text % {"minutes": minutes}, remedy)
    if offset < -_TOLERANCE:
        minutes = f"{-offset.total_seconds() / 60:,.0f}"
        text = _("this machine's clock is %(minutes)s minutes ahead of the database's server")
        return Finding("clock", text % {"minutes": minutes}, remedy)
    return Finding("clock", _("this machine's clock agrees with the newest entry"))


def check_leases() -> Finding:
    """End leases of emails, feeds and webhooks that a wrong clock made: their work would wait for that time."""
    limit, ended = datetime.now(UTC) + _LONGEST_LEASE, 0
    for model in (models.Mail, models.Feed, models.WebhookEndpoint):
        ended += model.objects.filter(lease_until__gt=limit).update(lease_until=None, worker="")
    if ended:
        text = ngettext(
            "a worker with a wrong clock held %(number)s email, feed or webhook; it can go on now",
            "a worker with a wrong clock held %(number)s emails, feeds or webhooks; they can go on now",
            ended,
        )
        return Finding("leases", text % {"number": f"{ended:,}"}, notice=True)
    return Finding("leases", _("no worker holds anything for too long"))


def check_webhooks() -> Finding:
    """Look for webhooks that no longer send anything, without those of paused agencies."""
    disabled = (
        models.WebhookEndpoint.objects.filter(disabled_at__isnull=False, agency__paused_at=None)
        .select_related("agency")
        .order_by("agency__slug", "name")
    )
    named = [
        f"{one.agency.slug}: {one.name}: {webhook_problems.translate_problem(one.disabled_why or one.problem)}"
        for one in disabled
    ]
    if named:
        return Finding(
            "webhooks",
            _("disabled: %(what)s") % {"what": "; ".join(named)},
            _("Fix the receiver, then run: muster webhook resume NAME --agency SLUG. Or remove the webhook."),
        )
    return Finding("webhooks", _("none is disabled"))


def describe_replay() -> str:
    """Return why the server accepts no changes, "" if it does: it is a standby, or a recovery is not finished."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return (
            _("the server is a standby, or its recovery is paused; it accepts no changes")
            if cursor.fetchone()[0]
            else ""
        )


def find_changed_collation() -> str:
    """Return the version of the operating system's sorting rules that the indexes were made with, "" if it is today's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT datcollversion FROM pg_database WHERE datname = current_database()"
            " AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) AND datcollversion IS NOT NULL"
        )
        row = cursor.fetchone()
        return str(row[0]) if row else ""
