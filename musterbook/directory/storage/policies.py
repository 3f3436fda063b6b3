"""The policies of PostgreSQL that keep agencies apart: which tables have one, which have none and why, what is missing.

The migrations create them, and `muster migrate` puts them in force. A row belongs to the agency of its `agency_id`, or to that of
the row that it is a part of.
"""

import re
from collections.abc import Iterable
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from musterbook.directory.storage import frames

NAME = "muster_agency"
"""The name of the policy of each table."""
INSTALLATION_WIDE = {
    "accounts_attempts": "Counts of attempts, by keyed hashes of addresses. They are checked before a user is known.",
    "auth_group": "Django's, always empty: roles are our own.",
    "auth_group_permissions": "Django's, always empty: roles are our own.",
    "auth_permission": "Django's list of models.",
    "directory_importtotal": "Totals of the installation's metrics, without an agency.",
    "directory_worker": "Heartbeats of workers, which work for all agencies.",
    "django_content_type": "Django's list of models.",
    "django_migrations": "The migrations of the database.",
    "django_session": "Sessions begin before a user is known. A row is found only by a random key, which a cookie has that is"
    " signed for one agency.",
}
"""The tables without a policy, each with the reason."""


def find_open_tables() -> list[str]:
    """Return the tables that should have a policy in force, even for their owner, and do not, or have one of another condition.

    SQLite has no policies.
    """
    if not frames.on_postgres():
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, (SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p WHERE c.relrowsecurity"
            " AND c.relforcerowsecurity AND p.polrelid = c.oid AND p.polname = %s AND p.polcmd = '*' AND p.polroles = '{0}'"
            " AND p.polpermissive AND p.polwithcheck IS NULL"
            " AND NOT EXISTS (SELECT FROM pg_policy o WHERE o.polrelid = c.oid AND o.polname <> %s AND o.polpermissive))"
            " FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
            " ORDER BY c.relname",
            [NAME, NAME],
        )
        found = dict(cursor.fetchall())
    ours = {*connection.introspection.django_table_names()} - {*INSTALLATION_WIDE}
    right = read_conditions()
    return [
        name
        for name, condition in found.items()
        if name in ours and (condition is None or _normalize(condition) != _normalize(right.get(name, "")))
    ]


@cache
def read_conditions() -> dict[str, str]:
    """Return the condition of the policy of each table, as the migrations have it."""
    # Only `migrations._policies.KeepApart` has conditions. To import it would make a cycle.
    operations = (one for made in MigrationLoader(None).disk_migrations.values() for one in made.operations)
    return {name: text for one in operations for name, text in getattr(one, "conditions", {}).items()}


def _normalize(condition: str) -> str:
    """Return what is the same in a condition as we write it and as PostgreSQL shows it: without types, names and brackets."""
    plain = re.sub(r"::\w+", "", condition.lower())
    plain = re.sub(r"\bas\s+(?=parent\b)", "", plain)
    return re.sub(r'\bas\s+("\w+"|\w+)|[\s()]', "", plain)


def drop_others(tables: Iterable[str]) -> None:
    """Remove all other policies of these tables: a row that any policy allows is shown."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('DROP POLICY %%I ON %%I', p.polname, c.relname) FROM pg_policy p JOIN pg_class c"
            " ON c.oid = p.polrelid WHERE c.relname = ANY(%s) AND p.polname <> %s",
            [list(tables), NAME],
        )
        for (sql,) in cursor.fetchall():
            cursor.execute(sql)


def is_bypassed() -> bool:
    """Return whether policies do not limit our database user: a superuser, or one with BYPASSRLS. Call it on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])
