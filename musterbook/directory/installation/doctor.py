"""The doctor: what is wrong with this installation, and how to fix it."""

import os
import pyexpat
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from musterbook import __version__
from musterbook.config import alerts, home, log_file, outbound_requests, refused_passwords, secret_keys
from musterbook.core.domain.texts import Labels
from musterbook.directory import models
from musterbook.directory.agency import feeds, sign_on_file
from musterbook.directory.apply import search_index, stored_keys
from musterbook.directory.audit import anchors, cross_checks, triggers
from musterbook.directory.imports import heartbeats
from musterbook.directory.imports.records import reap_orphans
from musterbook.directory.installation import damage, migration, sealed_values
from musterbook.directory.installation.findings import Finding
from musterbook.directory.storage import database_errors, frames, locks, policies
from musterbook.server import concurrency

_ENOUGH_BYTES = 1 << 30
_OLDEST_POSTGRES = 150_000
ABOUTS = Labels(
    {
        name: name
        for name in (
            gettext_noop("versions"), gettext_noop("XML reader"), gettext_noop("folder"), gettext_noop("disk"),
            gettext_noop("space"), gettext_noop("refused passwords"), gettext_noop("log"), gettext_noop("alerts"),
            gettext_noop("encryption"), gettext_noop("database"), gettext_noop("connections"), gettext_noop("tables"),
            gettext_noop("migrations"), gettext_noop("imports"), gettext_noop("audit trail"), gettext_noop("trails"),
            gettext_noop("single sign-on"), gettext_noop("providers"), gettext_noop("audit guards"),
            gettext_noop("guards"), gettext_noop("audit anchors"), gettext_noop("anchors"), gettext_noop("search"),
            gettext_noop("searches"), gettext_noop("like values"), gettext_noop("secret keys"), gettext_noop("keys"),
            gettext_noop("feeds"), gettext_noop("owner"), gettext_noop("schema"), gettext_noop("references"),
            gettext_noop("rights"), gettext_noop("clock"), gettext_noop("leases"), gettext_noop("files"),
            gettext_noop("webhooks"), gettext_noop("agencies"),
        )
    }
)  # fmt: skip
"""What the checks are about: the name of each, and of a check that could not be made."""


def run_checks() -> Iterator[Finding]:
    """Yield every finding. If the database or the folder cannot be used, yield only those that do not need it."""
    yield Finding(
        "versions",
        _("Musterbook %(version)s, Python %(what)s, %(what2)s")
        % {"version": __version__, "what": sys.version.split()[0], "what2": _describe_engine()},
    )
    yield from map(_run_check, (_xml, _folder))
    usable = os.access(settings.MUSTER_HOME, os.W_OK | os.X_OK) and settings.MUSTER_HOME.is_dir()
    without_database = (damage.check_owner, _space, _refused_passwords, _log, _alerts, _encryption)
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
    if tables.remedy or migration.list_pending():
        return
    for needed in (damage.check_rights, damage.check_schema):
        finding = _run_check(needed)
        yield finding
        if finding.remedy:
            return
    yield from map(_run_check, _CHECKS)


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

    An old version is not a fault of the installation: systems correct its known faults without a new number, and the limits of
    reading hold with any.
    """
    version = pyexpat.EXPAT_VERSION.replace("expat_", "expat ")
    if pyexpat.version_info >= _SAFE_EXPAT:
        return Finding("XML reader", version)
    advice = _(
        "Install the system's security updates, or use a Python that has expat 2.6.4 or later. "
        "Until then, limits of memory and time stop a workbook that uses these faults"
    )
    text = _("%(version)s, a version with known faults unless the system has corrected them. %(advice)s") % {
        "version": version,
        "advice": advice,
    }
    return Finding("XML reader", text, notice=True)


def _folder() -> Finding:
    folder = settings.MUSTER_HOME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return Finding(
            "folder",
            _("%(folder)s cannot be created: %(strerror)s") % {"folder": folder, "strerror": error.strerror},
            _("Set MUSTER_HOME to a folder that Musterbook can write to."),
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            "folder",
            _("%(folder)s cannot be written") % {"folder": folder},
            _("Make it writable, or set MUSTER_HOME to another folder."),
        )
    if folder.stat().st_mode & 0o007:
        return Finding(
            "folder",
            _("%(folder)s can be read by every user of this machine") % {"folder": folder},
            _("Run: chmod 700 %(folder)s") % {"folder": folder},
        )
    return Finding("folder", _("%(folder)s can be written") % {"folder": folder})


def _space() -> Finding:
    folder = settings.MUSTER_HOME
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = _("%(what)s GB free") % {"what": f"{free / (1 << 30):,.1f}"}
    return Finding(
        "disk",
        text,
        ("" if free >= _ENOUGH_BYTES else _("Free some space: an import needs several times the size of its file.")),
    )


def _refused_passwords() -> Finding:
    path = settings.MUSTER_REFUSED_PASSWORDS
    if path is None:
        return Finding(
            "refused passwords", _("there is no list; the estimate of how hard a password is to guess applies")
        )
    fault = refused_passwords.find_fault(path)
    if fault:
        return Finding("refused passwords", f"{path}: {fault}", _("Fix the file, or unset MUSTER_REFUSED_PASSWORDS."))
    return Finding("refused passwords", _("%(path)s is sorted") % {"path": path})


def _database() -> Finding:
    migration.ping_database()
    found = _check_postgres() if frames.on_postgres() else _check_sqlite()
    if not found.remedy and damage.is_database_gone():
        return Finding(
            "database",
            _("MUSTER_HOME has the files of an installation, but its database is gone: %(database)s is empty")
            % {"database": migration.describe_database()},
            _("Check MUSTER_HOME and DATABASE_URL, or restore a backup: muster restore FILE"),
        )
    return found


def _remedy_of_database() -> str:
    if frames.on_postgres():
        return _("Check DATABASE_URL, and whether the server accepts the connection.")
    file = connection.settings_dict["NAME"]
    return _(
        "Move %(file)s to another folder and restore a backup: muster restore FILE. Keep the file "
        "if you have no backup."
    ) % {"file": file}


def _check_postgres() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
        number, encoding = cursor.fetchone()
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}, {encoding}, {migration.describe_database()}"
    if encoding != "UTF8":
        return Finding(
            "database", version, _("Create a database in UTF-8: createdb --encoding UTF8 --template template0 …")
        )
    if number < _OLDEST_POSTGRES:
        return Finding("database", version, _("Use PostgreSQL 15 or later."))
    if replay := damage.describe_replay():
        return Finding(
            "database",
            f"{version}: {replay}",
            _("Connect to the primary server, or end the recovery there: SELECT pg_promote()"),
        )
    if made := damage.find_changed_collation():
        return Finding(
            "database",
            _("%(version)s: the sorting rules of the operating system have changed since version %(made)s")
            % {"version": version, "made": made},
            _("As the owner, run in psql: REINDEX DATABASE; then: ALTER DATABASE … REFRESH COLLATION VERSION"),
        )
    return Finding("database", version)


_PROCESSES = 2
"""Processes of pages that `muster serve` has by default."""
_OTHERS = 10
"""Connections that the worker, commands and the server's own administration need."""


def _connections() -> Finding:
    if not frames.on_postgres():
        return Finding("connections", _("the embedded database needs no connections"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        allowed = int(cursor.fetchone()[0])
    fit = max(allowed - _OTHERS, 0) // concurrency.TURNS
    text = _(
        "%(allowed)s are allowed; each process that serves pages uses up to %(TURNS)s, so %(fit)s processes fit"
    ) % {"allowed": allowed, "TURNS": concurrency.TURNS, "fit": fit}
    needed = _PROCESSES * concurrency.TURNS + _OTHERS
    remedy = _("Set max_connections of PostgreSQL to %(what)s or more, or run `muster serve --workers %(what2)s`.") % {
        "what": needed + 5,
        "what2": max(fit, 1),
    }
    return Finding("connections", text, "" if fit >= _PROCESSES else remedy)


def _run_check(look: Callable[[], Finding]) -> Finding:
    """Return the finding, even if a file, a key or the database cannot be used: the others are still worth knowing."""
    try:
        return look()
    except (OSError, ImproperlyConfigured, DatabaseError) as error:
        text, remedy = _explain_error(error)
        if not text:
            raise
        return Finding(look.__name__.strip("_").removeprefix("check_").replace("_", " "), text, remedy)


def _explain_error(error: Exception) -> tuple[str, str]:
    """Return what an error of a check found, and the remedy; ("", "") if it is a fault of the check."""
    if isinstance(error, OSError):
        return home.explain_error(error)
    if isinstance(error, ImproperlyConfigured):
        return _("the configuration is wrong"), str(error)
    known = isinstance(error, OperationalError) or database_errors.is_damaged(error)
    text = _("the database cannot be used: %(what)s") % {"what": str(error).strip().splitlines()[0]}
    return (text, _remedy_of_database()) if known else ("", "")


def _log() -> Finding:
    try:
        errors = log_file.find_errors_since(datetime.now(UTC) - timedelta(days=1))
        log_file.check_writable()
    except OSError as error:
        return Finding(
            "log",
            _("%(what)s cannot be used: %(strerror)s") % {"what": log_file.path(), "strerror": error.strerror},
            _("Make it writable for Musterbook."),
        )
    if errors:
        last = errors[-1].split()
        text = ngettext(
            "%(what)s error in the last day, at %(what2)s, number %(what3)s",
            "%(what)s errors in the last day, the latest at %(what2)s, number %(what3)s",
            len(errors),
        )
        facts = {"what": f"{len(errors):,}", "what2": last[0][:19], "what3": last[-1]}
        return Finding("log", text % facts, _("Read %(path)s.") % {"path": log_file.path()})
    return Finding("log", _("no errors in the last day"))


def _alerts() -> Finding:
    if alerts.can_send():
        return Finding("alerts", _("errors are emailed to %(what)s") % {"what": ", ".join(settings.MUSTER_ALERTS_TO)})
    if settings.MUSTER_ALERTS_TO:
        return Finding("alerts", _("errors cannot be emailed without a mail server"), _("Set MUSTER_SMTP_URL."))
    return Finding("alerts", _("nobody is notified of errors; set MUSTER_ALERTS_TO to notify people"), notice=True)


def _encryption() -> Finding:
    """Whether what leaves this machine is encrypted on its way, and the other side is known for certain."""
    plain = []
    server = settings.MAIL_SERVER
    if server is not None and not server.secure and not _is_here(server.host):
        plain.append(_("Emails are not encrypted: write MUSTER_SMTP_URL as smtp+starttls:// or smtps://."))
    if frames.on_postgres() and not _verified(settings.DATABASES["default"]):
        plain.append(
            _("Others can read or forge the connection to PostgreSQL: add sslmode=verify-full to DATABASE_URL.")
        )
    if plain:
        text = ngettext(
            "%(what)s connection to another machine is not secure",
            "%(what)s connections to other machines are not secure",
            len(plain),
        )
        return Finding("encryption", text % {"what": len(plain)}, " ".join(plain))
    return Finding("encryption", _("connections to other machines are encrypted, or there are none"))


def _verified(database: dict[str, Any]) -> bool:
    hosts = [host for host in str(database["HOST"]).split(",") if host]
    return all(map(_is_here, hosts)) or database["OPTIONS"].get("sslmode") in ("verify-full", "verify-ca")


def _is_here(host: str) -> bool:
    return host.startswith(("/", "@")) or host in ("localhost", "127.0.0.1", "::1")


def _check_sqlite() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check(1)")
        result = cursor.fetchone()[0]
    if result == "ok":
        text = _("the embedded database is whole: %(database)s")
        return Finding("database", text % {"database": migration.describe_database()})
    return Finding(
        "database",
        _("it is damaged: %(result)s") % {"result": result},
        _("Stop all processes and restore a backup: muster restore PATH"),
    )


def _migrations() -> Finding:
    lacking = migration.list_pending()
    if lacking and not frames.on_postgres():
        text = ngettext(
            "%(number)s change is pending; the next command makes it",
            "%(number)s changes are pending; the next command makes them",
            len(lacking),
        )
        return Finding("tables", text % {"number": len(lacking)})
    if lacking:
        text = ngettext("%(number)s change is pending", "%(number)s changes are pending", len(lacking))
        return Finding("tables", text % {"number": len(lacking)}, _("Run: muster migrate"))
    if migration.list_newer(migration.list_recorded()):
        return Finding(
            "tables", _("the database belongs to a newer version of Musterbook"), _("Install the newer version again.")
        )
    return Finding("tables", _("up to date"))


def _imports() -> Finding:
    before = _list_in_state("running")
    for agency in models.Agency.objects.filter(pk__in=models.Import.objects.filter(state="running").values("agency")):
        reap_orphans(agency)
    running, waiting = _list_in_state("running"), _list_in_state("waiting")
    text = _("%(running)s running, %(waiting)s waiting") if waiting else _("%(running)s running")
    text %= {"running": f"{len(running):,}" if running else _("none"), "waiting": f"{len(waiting):,}"}
    died = sorted(before - running - waiting)
    if died:
        text = _("%(what)s ended early and changed nothing; from now on reported as failed") % {"what": ", ".join(died)}
        return Finding("imports", text, _("Import those files again."))
    if (
        models.Import.objects.filter(state="waiting", agency__paused_at=None).exists()
        and not heartbeats.has_live_worker()
    ):
        return Finding(
            "imports",
            _("%(text)s, and there is no worker") % {"text": text},
            _("Run `muster serve`, or `muster worker` next to it."),
        )
    return Finding("imports", text)


def _list_in_state(state: str) -> set[str]:
    return set(models.Import.objects.filter(state=state).values_list("number", flat=True))


def _trails() -> Finding:
    results = migration.check_trails()
    broken = [f"{finding.agency}: {finding.error}" for finding in results if finding.error]
    if broken:
        remedy = _(
            "Find out who can write to the database. Compare the trail with an earlier backup (docs/how-to/audit.md)."
        )
        return Finding("audit trail", "; ".join(broken), remedy)
    return Finding(
        "audit trail", _("whole (%(what)s events)") % {"what": f"{sum(finding.events for finding in results):,}"}
    )


def _providers() -> Finding:
    """Whether the providers of single sign-on may be asked: this installation may not go where they are."""
    refused = []
    for agency in models.Agency.objects.all():
        for one in agency.sign_on:
            why = outbound_requests.explain_refusal(sign_on_file.get_issuer(one)) if one["kind"] == "oidc" else ""
            refused += [f"{agency.slug}: {one['slug']}: {why}"] if why else []
    if refused:
        remedy = _(
            "Add its network to MUSTER_OUTSIDE_NETWORKS or its host to MUSTER_OUTSIDE_HOSTS, or correct its address."
        )
        return Finding("single sign-on", " ".join(refused), remedy)
    return Finding("single sign-on", _("this installation can send requests to each provider"))


def _feeds() -> Finding:
    """Look at the feeds: one that has stopped imports nothing until a person acts."""
    troubled = feeds.list_troubled()
    if troubled:
        remedy = _(
            "To try a location, run: muster feed check NAME --agency SLUG. To resume one that has stopped: muster feed resume"
        )
        return Finding("feeds", " ".join(troubled), remedy)
    return Finding("feeds", _("none has stopped, and each location could be used"))


def _guards() -> Finding:
    lacking = triggers.find_unguarded_tables()
    if lacking:
        text = _("nothing refuses changes of %(what)s") % {"what": ", ".join(lacking)}
        return Finding("audit guards", text, _("Find out who removed the triggers, then run: muster migrate"))
    text = _("the database refuses changes of the audit trail, and Musterbook's role cannot change that")
    if triggers.owns_tables() and frames.on_postgres():
        text = _(
            "the database refuses changes of the audit trail; Musterbook's role owns the tables (docs/how-to/postgresql.md)"
        )
    elif triggers.owns_tables():
        text = _("the database refuses changes of the audit trail")
    return Finding("audit guards", text)


def _agencies() -> Finding:
    """Look at the second wall between agencies: row-level security, which only PostgreSQL has."""
    if not frames.on_postgres():
        return Finding("agencies", _("Musterbook keeps them apart; the embedded database has no row-level security"))
    lacking = policies.find_open_tables()
    if lacking:
        text = _("row-level security is not in force, or was changed, for %(what)s") % {"what": ", ".join(lacking)}
        remedy = _("When no process of an older version runs any more, run: muster migrate")
        return Finding("agencies", text, remedy)
    if policies.is_bypassed():
        text = _(
            "only Musterbook keeps them apart: its role is a superuser or has BYPASSRLS, so row-level security does not "
            "limit it. Use another role (docs/how-to/postgresql.md)"
        )
        return Finding("agencies", text, notice=True)
    return Finding("agencies", _("row-level security keeps them apart in every table"))


def _anchors() -> Finding:
    late = anchors.find_unanchored(datetime.now(UTC))
    if late:
        text = _("no head was written for two days, or lines were removed, for %(what)s") % {"what": ", ".join(late)}
        return Finding("audit anchors", text, _("Run `muster serve`, or `muster worker` next to it."))
    path = settings.MUSTER_HOME / anchors.FILE
    if not path.exists():
        return Finding("audit anchors", _("there are none yet; `muster serve` or `muster worker` writes them each day"))
    return Finding("audit anchors", _("up to date, in %(what)s") % {"what": path})


def _searches() -> Finding:
    corrected = 0
    for agency in models.Agency.objects.all():
        with transaction.atomic():
            locks.lock_row(agency, paused=True)  # only what is derived is corrected
            corrected += search_index.correct_index(agency)
    if not corrected:
        return Finding("search", _("every user can be found"))
    text = ngettext(
        "%(corrected)s user could not be found by their name; they can now",
        "%(corrected)s users could not be found by their names; they can now",
        corrected,
    )
    return Finding("search", text % {"corrected": f"{corrected:,}"})


def _like_values() -> Finding:
    """Whether two users have values that look the same, which an older version allowed (M4)."""
    alike = []
    for agency in models.Agency.objects.all():
        with transaction.atomic():
            locks.lock_row(agency, paused=True)  # only what is derived is corrected
            found = stored_keys.correct_keys(agency.pk).alike
        alike += [f"{agency.slug}: {one.column} of {one.first} and {one.second}" for one in found]
    if alike:
        text = _("values of two users look the same: %(what)s") % {"what": cross_checks.list_names(alike)}
        return Finding(
            "like values", text, _("Change one of each pair. Until then, only the first of each is found by it.")
        )
    return Finding("like values", _("no two users have an email address, badge or username that looks the same"))


def _keys() -> Finding:
    ring = secret_keys.ring()
    for name in (home.KEY_FILE, secret_keys.OLD_FILE):
        path = settings.MUSTER_HOME / name
        if path.exists() and path.stat().st_mode & 0o077:
            return Finding(
                "secret keys",
                _("others can read %(path)s") % {"path": path},
                _("Run: chmod 600 %(path)s; then: muster keys rotate") % {"path": path},
            )
    uses, known = sealed_values.count_uses(), {key.name for key in ring}
    lost = sum(use.values for use in uses if use.key not in known)
    if lost:
        names = ", ".join(sorted({use.key or "unknown" for use in uses} - known))
        remedy = _("Add that key to MUSTER_OLD_SECRET_KEYS. Without the key, set up these secrets again.")
        return Finding(
            "secret keys",
            _("%(lost)s sealed values cannot be read, because the key is missing: %(names)s")
            % {"lost": f"{lost:,}", "names": names},
            remedy,
        )
    behind = sum(use.values for use in uses if use.key != ring[0].name and use.about != sealed_values.TRAILS)
    text = _("%(name)s is current, %(what)s old") % {"name": ring[0].name, "what": len(ring) - 1}
    if behind:
        return Finding(
            "secret keys",
            _("%(text)s, %(behind)s values are sealed with old keys") % {"text": text, "behind": f"{behind:,}"},
            _("Run: muster keys reseal"),
        )
    older = sealed_values.count_older()
    if older:
        text += f"; sealed by an older version: {older:,}. `muster keys reseal` seals them with a better algorithm"
    return Finding("secret keys", text, notice=bool(older))


_CHECKS: tuple[Callable[[], Finding], ...] = (
    damage.check_references, damage.check_clock, _keys, _imports, damage.check_leases, damage.check_files,
    _trails, _guards, _agencies, _anchors, _searches, _like_values, _providers, damage.check_webhooks, _feeds,
)  # fmt: skip
"""The checks that need tables that are up to date and whole, in the order in which they are made."""
