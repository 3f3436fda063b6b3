"""The installation's database: made and brought up to date, and whether it is, found out in a moment."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from musterbook import home
from musterbook.directory.audit import anchors, trail
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import frames


class NotMigrated(Exception):
    """The PostgreSQL database lacks changes that this version needs; the message counts them."""


def ready() -> None:
    """The embedded database made and brought up to date; one on PostgreSQL looked at. Raises NotMigrated."""
    if frames.on_postgres():
        _refuse_old()
    elif not _path().exists() or _stamp() != _newest():
        migrate()


def migrate() -> list[str]:
    """Brings the database up to date; gives the names of the changes made."""
    home.prepare(settings.MUSTER_HOME)
    with _alone():
        before = set(recorded())
        call_command("migrate", verbosity=0, interactive=False)
        if not frames.on_postgres():
            _path().chmod(0o600)
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA user_version = {_newest()}")
        return [name for name in wanted() if name not in before]


def pending() -> list[str]:
    """The changes that the database lacks."""
    have = set(recorded())
    return [name for name in wanted() if name not in have]


def wanted() -> list[str]:
    """The changes that this version knows, as `application.name`, without loading them."""
    return [
        f"{app.label}.{path.stem}"
        for app in apps.get_app_configs()
        for path in sorted((Path(app.path) / "migrations").glob("[0-9]*.py"))
    ]


def newer(changes: Iterable[str]) -> list[str]:
    """Give those changes that only a newer version can have made: this one neither knows nor ever knew them."""
    known = set(wanted())
    return [name for name in changes if name not in known and name.partition(".")[0] not in _FORMER]


_FORMER = ("socialaccount",)
"""Applications of Django that an older version had, and this one does without."""


def recorded() -> list[str]:
    """The changes that the database has, as `application.name`; none where it is empty."""
    if "django_migrations" not in connection.introspection.table_names():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        return [f"{app}.{name}" for app, name in cursor.fetchall()]


def _refuse_old() -> None:
    lacking = pending()
    if lacking:
        raise NotMigrated(f"{len(lacking)} changes are to be made, the last of them {lacking[-1]}")


def _path() -> Path:
    return Path(connection.settings_dict["NAME"])


def _newest() -> int:
    """A number that stands for the changes that this version knows, kept in the embedded database."""
    return zlib.crc32("\n".join(wanted()).encode()) >> 1 or 1


def _stamp() -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA user_version")
        return int(cursor.fetchone()[0])


@contextmanager
def _alone() -> Iterator[None]:
    """Of several processes that would make the database, one does it, and the others wait."""
    import fcntl

    lock = settings.MUSTER_HOME / ".migrating"
    lock.touch(mode=0o600)
    lock.chmod(0o600)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_empty() -> bool:
    """Whether there is nothing in the installation that could be lost: no tables, or no agency."""
    return not recorded() or not Agency.objects.exists()


def is_new() -> bool:
    """Whether there is nobody yet who could sign in: no agency has a user."""
    return not User.objects.exists()


def trails(slug: str = "", expected: Sequence[tuple[int, str]] = ()) -> list[trail.Finding]:
    """What reading every agency's audit trail whole comes to, by agency, or that of one.

    `expected`: heads that somebody noted, each as a number of links (0: any) and a digest; the one agency must have them.
    """
    known = anchors.known()
    agencies = Agency.objects.order_by("slug")
    found = []
    for agency in agencies.filter(slug=slug) if slug else agencies:
        wanted = tuple(anchors.Anchor(agency.pk, agency.slug, links, head) for links, head in expected)
        also = {agency.pk: (*known.anchors.get(agency.pk, ()), *wanted)}
        found.append(trail.verify(agency, replace(known, anchors=also)))
    return found if slug else found + _gone(known, set(agencies.values_list("pk", flat=True)))


def _gone(known: anchors.Known, there: set[int]) -> list[trail.Finding]:
    """The agencies that anchors know, and that are not there any more."""
    return [
        trail.Finding(anchor.slug, 0, 0, f"the agency is gone, and {anchor.said} knows {anchor.links} links of it")
        for agency, (anchor, *_) in sorted(known.anchors.items())
        if agency not in there and anchor.links
    ]
