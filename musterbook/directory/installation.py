"""The installation's database: whether it is up to date, and bringing it there."""

import pkgutil

from django.core.management import call_command
from django.db import connection

from musterbook.directory import migrations


def pending() -> bool:
    """Whether the database lacks a migration; without the machinery that makes one, which takes its time."""
    with connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return True
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'directory'")
        done = {name for (name,) in cursor.fetchall()}
    return bool({module.name for module in pkgutil.iter_modules(migrations.__path__)} - done)


def migrate() -> None:
    """Brings the database up to date."""
    call_command("migrate", verbosity=0, interactive=False)
