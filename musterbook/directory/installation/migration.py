"""The migration of the installation's database, and quick checks of whether it is up to date and can be used."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from musterbook.config import home
from musterbook.directory.audit import anchors, verify
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import frames


class NotMigrated(Exception):
    """The PostgreSQL database lacks migrations that this version needs. The message has their number."""


def prepare_database() -> None:
    """Create the embedded database or bring it up to date; only check a PostgreSQL one. Raise NotMigrated."""
    if frames.on_postgres():
        _refuse_old()
    elif not get_path().exists() or _read_stamp() != _compute_stamp():
        migrate()


def migrate() -> list[str]:
    """Bring the database up to date. Return the names of the applied migrations."""
    home.prepare_folder(settings.MUSTER_HOME)
    with _hold_lock():
        before = set(list_recorded())
        call_command("migrate", verbosity=0, interactive=False)
        if not frames.on_postgres():
            get_path().chmod(0o600)
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA user_version = {_compute_stamp()}")
        return [name for name in list_required() if name not in before]


def list_pending() -> list[str]:
    """Return the migrations that the database lacks."""
    have = set(list_recorded())
    return [name for name in list_required() if name not in have]


def list_required() -> list[str]:
    """Return the migrations of this version, as `application.name`, without loading them."""
    return [
        f"{app.label}.{path.stem}"
        for app in apps.get_app_configs()
        for path in sorted((Path(app.path) / "migrations").glob("[0-9]*.py"))
    ]


def list_newer(changes: Iterable[str]) -> list[str]:
    """Return the migrations that only a newer version can have made.

    This version does not know them, and no older version had them.
    """
    known = set(list_required())
    return [name for name in changes if name not in known and name.partition(".")[0] not in _FORMER]


_FORMER = ("socialaccount",)
"""Django applications of an older version that this version no longer uses."""


def list_recorded() -> list[str]:
    """Return the migrations of the database, as `application.name`. Return none if it is empty."""
    if "django_migrations" not in connection.introspection.table_names():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        return [f"{app}.{name}" for app, name in cursor.fetchall()]


def _refuse_old() -> None:
    lacking = list_pending()
    if lacking:
        text = ngettext(
            "%(what)s change is missing: %(what2)s",
            "%(what)s changes are missing, the last is %(what2)s",
            len(lacking),
        )
        raise NotMigrated(text % {"what": len(lacking), "what2": lacking[-1]})


def get_path() -> Path:
    """Return the file of the embedded database."""
    return Path(connection.settings_dict["NAME"])


def describe_database() -> str:
    """Return which database this is, without the user's password: its file, or its name and server."""
    if not frames.on_postgres():
        return str(get_path())
    used = connection.settings_dict
    host, port = used["HOST"] or _("the socket of this machine"), used["PORT"]
    return _("%(name)s on %(host)s") % {"name": used["NAME"], "host": f"{host}:{port}" if port else host}


def _compute_stamp() -> int:
    """Return a number that identifies the migrations of this version. It is kept in the embedded database."""
    return zlib.crc32("\n".join(list_required()).encode()) >> 1 or 1


def _read_stamp() -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA user_version")
        return int(cursor.fetchone()[0])


@contextmanager
def _hold_lock() -> Iterator[None]:
    """Hold a lock, so that only one process at a time creates the database. Other processes wait."""
    import fcntl

    lock = settings.MUSTER_HOME / ".migrating"
    lock.touch(mode=0o600)
    lock.chmod(0o600)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ping_database() -> None:
    """Run a query that needs no table. Raise django.db.Error if the database cannot be used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def is_empty() -> bool:
    """Return whether the installation has no data that could be lost: no tables, or no agency."""
    return not list_recorded() or not Agency.objects.exists()


def is_new() -> bool:
    """Return whether no user can sign in yet: no agency has a user."""
    return not User.objects.exists()


def check_trails(slug: str = "", expected: Sequence[tuple[int, str]] = ()) -> list[verify.TrailFinding]:
    """Return the findings of a complete check of every agency's audit trail, or of that of one agency.

    `expected`: chain heads that an operator has noted, each as a number of links (0: any) and a digest. The one
    agency must have them.
    """
    known = anchors.read_anchors()
    agencies = Agency.objects.order_by("slug")
    findings = []
    for agency in agencies.filter(slug=slug) if slug else agencies:
        heads = tuple(anchors.Anchor(agency.pk, agency.slug, links, head) for links, head in expected)
        combined = {agency.pk: (*known.anchors.get(agency.pk, ()), *heads)}
        findings.append(verify.verify_trail(agency, replace(known, anchors=combined)))
    return findings if slug else findings + _find_missing(known, set(agencies.values_list("pk", flat=True)))


def _find_missing(known: anchors.KnownAnchors, existing: set[int]) -> list[verify.TrailFinding]:
    """Return a finding for each agency that anchors know, but that no longer exists."""
    return [
        verify.TrailFinding(
            anchor.slug, 0, 0, f"the agency is gone, and {anchor.description} knows {anchor.links} links of it"
        )
        for agency, (anchor, *_) in sorted(known.anchors.items())
        if agency not in existing and anchor.links
    ]
