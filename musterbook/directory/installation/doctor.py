"""The doctor: what is wrong with this installation, and how to fix it."""

import os
import pyexpat
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, connection, transaction

from musterbook import __version__
from musterbook.config import alerts, home, log_file, outbound_requests, refused_passwords, secret_keys
from musterbook.directory import models
from musterbook.directory.agency import sign_on_file
from musterbook.directory.apply import search_index, stored_keys
from musterbook.directory.audit import anchors, cross_checks, triggers
from musterbook.directory.imports import heartbeats
from musterbook.directory.imports.records import reap_orphans
from musterbook.directory.installation import migration, sealed_values
from musterbook.directory.storage import database_errors, frames, locks
from musterbook.server import concurrency

_ENOUGH_BYTES = 1 << 30
_OLDEST_POSTGRES = 150_000
_UP_TO_DATE = "up to date"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and the remedy ("" where all is well).

    `notice`: nothing is wrong, but the system administrator should know it. A notice has no remedy.
    """

    about: str
    found: str
    remedy: str = ""
    notice: bool = False


def run_checks() -> Iterator[Finding]:
    """Yield every finding; without a database, only those that need none, and without a folder only those that need none."""
    yield Finding("versions", f"Musterbook {__version__}, Python {sys.version.split()[0]}, {_describe_engine()}")
    yield from map(_run_check, (_xml, _folder))
    usable = os.access(settings.MUSTER_HOME, os.W_OK | os.X_OK) and settings.MUSTER_HOME.is_dir()
    without_database = (_space, _refused_passwords, _log, _alerts, _encryption)
    yield from map(_run_check, without_database if usable else (_refused_passwords, _alerts, _encryption))
    if usable or frames.on_postgres():
        database = _run_check(_database)
        yield database
        if not database.remedy:
            yield from _drop_repeated(_run_database_checks())


def _run_database_checks() -> Iterator[Finding]:
    """Yield the findings of the checks that need the database; if its tables are not up to date, only the first of them."""
    yield _run_check(_connections)
    tables = _run_check(_migrations)
    yield tables
    if tables.found == _UP_TO_DATE:
        yield from map(_run_check, (_keys, _imports, _trails, _guards, _anchors, _searches, _like_values, _providers))


def _drop_repeated(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings. A fault that several checks meet is yielded once."""
    known = set[tuple[str, str]]()
    for finding in findings:
        fault = finding.found, finding.remedy
        if not finding.remedy or fault not in known:
            yield finding
        known.add(fault)


def _describe_engine() -> str:
    return "PostgreSQL" if frames.on_postgres() else f"SQLite {sqlite3.sqlite_version}"


_SAFE_EXPAT = (2, 6, 4)


def _xml() -> Finding:
    """Look at Python's reader of XML, which reads workbooks.

    An old version is no fault of the installation: systems correct its known faults without a new number, and the limits of
    reading hold with any.
    """
    version = pyexpat.EXPAT_VERSION.replace("expat_", "expat ")
    if pyexpat.version_info >= _SAFE_EXPAT:
        return Finding("XML reader", version)
    advice = (
        "Install the system's security updates, or use a Python that has expat 2.6.4 or later. Until then, limits of memory"
        " and time stop a workbook that uses these faults"
    )
    text = f"{version}, a version with known faults unless the system has corrected them. {advice}"
    return Finding("XML reader", text, notice=True)


def _folder() -> Finding:
    folder = settings.MUSTER_HOME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return Finding(
            "folder",
            f"{folder} cannot be created: {error.strerror}",
            "Set MUSTER_HOME to a folder that Musterbook can write to.",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            "folder", f"{folder} cannot be written", "Make it writable, or set MUSTER_HOME to another folder."
        )
    if folder.stat().st_mode & 0o007:
        return Finding("folder", f"{folder} can be read by every user of this machine", f"Run: chmod 700 {folder}")
    return Finding("folder", f"{folder} can be written")


def _space() -> Finding:
    folder = settings.MUSTER_HOME
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / (1 << 30):,.1f} GB free"
    return Finding(
        "disk",
        text,
        "" if free >= _ENOUGH_BYTES else "Free some space: an import needs several times the size of its file.",
    )


def _refused_passwords() -> Finding:
    path = settings.MUSTER_REFUSED_PASSWORDS
    if path is None:
        return Finding("refused passwords", "there is no list; the estimate of how hard a password is to guess applies")
    fault = refused_passwords.find_fault(path)
    if fault:
        return Finding("refused passwords", f"{path}: {fault}", "Fix the file, or unset MUSTER_REFUSED_PASSWORDS.")
    return Finding("refused passwords", f"{path} is sorted")


def _database() -> Finding:
    migration.ping_database()
    return _check_postgres() if frames.on_postgres() else _check_sqlite()


def _remedy_of_database() -> str:
    if frames.on_postgres():
        return "Check DATABASE_URL, and whether the server accepts the connection."
    file = connection.settings_dict["NAME"]
    return (
        f"Move {file} to another folder and restore a backup: muster restore FILE. Keep the file if you have no backup."
    )


def _check_postgres() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
        number, encoding = cursor.fetchone()
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}, {encoding}"
    if encoding != "UTF8":
        return Finding(
            "database", version, "Create a database in UTF-8: createdb --encoding UTF8 --template template0 …"
        )
    return Finding("database", version, "" if number >= _OLDEST_POSTGRES else "Use PostgreSQL 15 or later.")


_PROCESSES = 2
"""Processes of pages that `muster serve` has by default."""
_OTHERS = 10
"""Connections that the worker, commands and the server's own administration need."""


def _connections() -> Finding:
    if not frames.on_postgres():
        return Finding("connections", "the embedded database needs no connections")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        allowed = int(cursor.fetchone()[0])
    fit = max(allowed - _OTHERS, 0) // concurrency.TURNS
    text = (
        f"{allowed} are allowed; each process that serves pages uses up to {concurrency.TURNS}, so {fit} processes fit"
    )
    needed = _PROCESSES * concurrency.TURNS + _OTHERS
    remedy = (
        f"Set max_connections of PostgreSQL to {needed + 5} or more, or run `muster serve --workers {max(fit, 1)}`."
    )
    return Finding("connections", text, "" if fit >= _PROCESSES else remedy)


def _run_check(look: Callable[[], Finding]) -> Finding:
    """Return the finding, also if a file, a key or the database cannot be used: the others are still worth knowing."""
    try:
        return look()
    except (OSError, ImproperlyConfigured, DatabaseError) as error:
        text, remedy = _explain_error(error)
        if not text:
            raise
        return Finding(look.__name__.strip("_").replace("_", " "), text, remedy)


def _explain_error(error: Exception) -> tuple[str, str]:
    """Return what an error of a check found, and the remedy; ("", "") if it is a fault of the check."""
    if isinstance(error, OSError):
        return home.explain_error(error)
    if isinstance(error, ImproperlyConfigured):
        return "the configuration is wrong", str(error)
    known = isinstance(error, OperationalError) or database_errors.is_damaged(error)
    text = f"the database cannot be used: {str(error).strip().splitlines()[0]}"
    return (text, _remedy_of_database()) if known else ("", "")


def _log() -> Finding:
    try:
        errors = log_file.find_errors_since(datetime.now(UTC) - timedelta(days=1))
        log_file.check_writable()
    except OSError as error:
        return Finding("log", f"{log_file.path()} cannot be used: {error.strerror}", "Make it writable for Musterbook.")
    if errors:
        last = errors[-1].split()
        text = f"{len(errors):,} errors in the last day, the latest at {last[0][:19]}, number {last[-1]}"
        return Finding("log", text, f"Read {log_file.path()}.")
    return Finding("log", "no errors in the last day")


def _alerts() -> Finding:
    if alerts.can_send():
        return Finding("alerts", f"errors are emailed to {', '.join(settings.MUSTER_ALERTS_TO)}")
    if settings.MUSTER_ALERTS_TO:
        return Finding("alerts", "errors cannot be emailed without a mail server", "Set MUSTER_SMTP_URL.")
    return Finding("alerts", "nobody is notified of errors; set MUSTER_ALERTS_TO to notify people", notice=True)


def _encryption() -> Finding:
    """Whether what leaves this machine is encrypted on its way, and the other side is known for certain."""
    plain = []
    server = settings.MAIL_SERVER
    if server is not None and not server.secure and not _is_here(server.host):
        plain.append("Emails are not encrypted: write MUSTER_SMTP_URL as smtp+starttls:// or smtps://.")
    if frames.on_postgres() and not _verified(settings.DATABASES["default"]):
        plain.append("Others can read or forge the connection to PostgreSQL: add sslmode=verify-full to DATABASE_URL.")
    if plain:
        return Finding("encryption", f"{len(plain)} connections to other machines are not secure", " ".join(plain))
    return Finding("encryption", "connections to other machines are encrypted, or there are none")


def _verified(database: dict[str, Any]) -> bool:
    hosts = [host for host in str(database["HOST"]).split(",") if host]
    return all(map(_is_here, hosts)) or database["OPTIONS"].get("sslmode") in ("verify-full", "verify-ca")


def _is_here(host: str) -> bool:
    return host.startswith(("/", "@")) or host in ("localhost", "127.0.0.1", "::1")


def _check_sqlite() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA quick_check(1)")
        result = cursor.fetchone()[0]
    if result == "ok":
        return Finding("database", "the embedded database is whole")
    return Finding(
        "database", f"it is damaged: {result}", "Stop all processes and restore a backup: muster restore PATH"
    )


def _migrations() -> Finding:
    lacking = migration.list_pending()
    if lacking and not frames.on_postgres():
        return Finding("tables", f"{len(lacking)} changes are pending; the next command makes them")
    if lacking:
        return Finding("tables", f"{len(lacking)} changes are pending", "Run: muster migrate")
    if migration.list_newer(migration.list_recorded()):
        return Finding(
            "tables", "the database belongs to a newer version of Musterbook", "Install the newer version again."
        )
    return Finding("tables", _UP_TO_DATE)


def _imports() -> Finding:
    before = _list_in_state("running")
    for agency in models.Agency.objects.filter(pk__in=models.Import.objects.filter(state="running").values("agency")):
        reap_orphans(agency)
    running, waiting = _list_in_state("running"), _list_in_state("waiting")
    text = f"{len(running):,} running" if running else "none running"
    text += f", {len(waiting):,} waiting" if waiting else ""
    died = sorted(before - running - waiting)
    if died:
        text = f"{', '.join(died)} ended early and changed nothing; from now on reported as failed"
        return Finding("imports", text, "Import those files again.")
    if waiting and not heartbeats.has_live_worker():
        return Finding(
            "imports", f"{text}, and there is no worker", "Run `muster serve`, or `muster worker` next to it."
        )
    return Finding("imports", text)


def _list_in_state(state: str) -> set[str]:
    return set(models.Import.objects.filter(state=state).values_list("number", flat=True))


def _trails() -> Finding:
    results = migration.check_trails()
    broken = [f"{finding.agency}: {finding.error}" for finding in results if finding.error]
    if broken:
        remedy = (
            "Find out who can write to the database. Compare the trail with an earlier backup (docs/how-to/audit.md)."
        )
        return Finding("audit trail", "; ".join(broken), remedy)
    return Finding("audit trail", f"whole ({sum(finding.events for finding in results):,} events)")


def _providers() -> Finding:
    """Whether the providers of single sign-on may be asked: this installation may not go where they are."""
    refused = []
    for agency in models.Agency.objects.all():
        for one in agency.sign_on:
            why = outbound_requests.explain_refusal(sign_on_file.get_issuer(one)) if one["kind"] == "oidc" else ""
            refused += [f"{agency.slug}: {one['slug']}: {why}"] if why else []
    if refused:
        remedy = (
            "Add its network to MUSTER_OUTSIDE_NETWORKS or its host to MUSTER_OUTSIDE_HOSTS, or correct its address."
        )
        return Finding("single sign-on", " ".join(refused), remedy)
    return Finding("single sign-on", "this installation can send requests to each provider")


def _guards() -> Finding:
    lacking = triggers.find_unguarded_tables()
    if lacking:
        text = f"nothing refuses changes of {', '.join(lacking)}"
        return Finding("audit guards", text, "Find out who removed the triggers, then run: muster migrate")
    suffix = ", and Musterbook's role cannot change that"
    if triggers.owns_tables():
        suffix = "; Musterbook's role owns the tables (docs/how-to/postgresql.md)" if frames.on_postgres() else ""
    return Finding("audit guards", f"the database refuses changes of the audit trail{suffix}")


def _anchors() -> Finding:
    late = anchors.find_unanchored(datetime.now(UTC))
    if late:
        text = f"no head was written for two days, or lines were removed, for {', '.join(late)}"
        return Finding("audit anchors", text, "Run `muster serve`, or `muster worker` next to it.")
    return Finding("audit anchors", f"up to date, in {settings.MUSTER_HOME / anchors.FILE}")


def _searches() -> Finding:
    corrected = 0
    for agency in models.Agency.objects.all():
        with transaction.atomic():
            locks.lock_row(agency)
            corrected += search_index.correct_index(agency)
    text = (
        f"{corrected:,} users could not be found by their names; they can now"
        if corrected
        else "every user can be found"
    )
    return Finding("search", text)


def _like_values() -> Finding:
    """Whether two users have values that look the same, which an older version allowed (M4)."""
    alike = []
    for agency in models.Agency.objects.all():
        with transaction.atomic():
            locks.lock_row(agency)
            found = stored_keys.correct_keys(agency.pk).alike
        alike += [f"{agency.slug}: {one.column} of {one.first} and {one.second}" for one in found]
    if alike:
        text = f"values of two users look the same: {cross_checks.list_names(alike)}"
        return Finding(
            "like values", text, "Change one of each pair. Until then, only the first of each is found by it."
        )
    return Finding("like values", "no two users have an email address, badge or username that looks the same")


def _keys() -> Finding:
    ring = secret_keys.ring()
    for name in (home.KEY_FILE, secret_keys.OLD_FILE):
        path = settings.MUSTER_HOME / name
        if path.exists() and path.stat().st_mode & 0o077:
            return Finding("secret keys", f"others can read {path}", f"Run: chmod 600 {path}; then: muster keys rotate")
    uses, known = sealed_values.count_uses(), {key.name for key in ring}
    lost = sum(use.values for use in uses if use.key not in known)
    if lost:
        names = ", ".join(sorted({use.key or "unknown" for use in uses} - known))
        remedy = "Add that key to MUSTER_OLD_SECRET_KEYS. Without the key, set up these secrets again."
        return Finding(
            "secret keys", f"{lost:,} sealed values cannot be read, because the key is missing: {names}", remedy
        )
    behind = sum(use.values for use in uses if use.key != ring[0].name and use.about != sealed_values.TRAILS)
    text = f"{ring[0].name} is current, {len(ring) - 1} old"
    if behind:
        return Finding("secret keys", f"{text}, {behind:,} values are sealed with old keys", "Run: muster keys reseal")
    older = sealed_values.count_older()
    if older:
        text += f"; sealed by an older version: {older:,}. `muster keys reseal` seals them with a better algorithm"
    return Finding("secret keys", text, notice=bool(older))
