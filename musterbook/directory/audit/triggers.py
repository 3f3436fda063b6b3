"""The triggers that keep the audit trail append-only: they refuse every statement that changes or removes its rows.

`muster migrate` installs them, and `muster doctor` finds one that is missing or was changed. The owner of the tables
can remove them. So they stop mistakes and programs, not the owner; against the owner there are keys
(`audit.hash_chain`) and anchors (`audit.anchors`).
"""

from django.db import connection

from musterbook.directory import models
from musterbook.directory.storage import frames

TRAIL = {
    frames.table(models.Event): "",
    frames.table(models.TrailLink): '"number"',
    frames.table(models.TrailEnd): '"links"',
    frames.table(models.Passage): '"first"',
}
"""The tables of the trail, each with the column, besides the id, that is unique within an agency."""

_FUNCTION = "muster_refuse_change"
_MESSAGE = "The audit trail is append-only"
_BODY = f"""
BEGIN
    RAISE EXCEPTION '{_MESSAGE}: % of % is refused.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
"""


class UnknownRole(Exception):
    """PostgreSQL has no such role."""


def install() -> None:
    """Install the triggers on all existing tables of the trail, and replace those that were changed."""
    tables = set(connection.introspection.table_names())
    existing = {table: unique for table, unique in TRAIL.items() if table in tables}
    with connection.cursor() as cursor:
        for sql in _build_postgres_sql(existing) if frames.on_postgres() else _build_sqlite_sql(existing):
            cursor.execute(sql)


def remove() -> None:
    """Remove the triggers, for a migration that must change rows of the trail. `muster migrate` installs them again."""
    with connection.cursor() as cursor:
        for table, name in _list_triggers():
            on = f" ON {table}" if frames.on_postgres() else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def grant(role: str) -> None:
    """Let a PostgreSQL role run Musterbook, and only read and add rows of the trail. Raise UnknownRole.

    The owner of the tables calls it, after each change of them.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            raise UnknownRole(role)
        tables, to = ", ".join(TRAIL), '"{}"'.format(role.replace('"', '""'))
        for sql in (
            f"GRANT USAGE ON SCHEMA public TO {to}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {to}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {to}",
            f"REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {tables} FROM {to}",
            f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {to}",
        ):
            cursor.execute(sql)


def owns_tables() -> bool:
    """Return whether our database user may remove the triggers: always true on SQLite."""
    if not frames.on_postgres():
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_or(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY(%s::regclass[])",
            [list(TRAIL)],
        )
        return bool(cursor.fetchone()[0])


def find_unguarded_tables() -> list[str]:
    """Return the tables of the trail that have no triggers, or whose triggers were switched off or changed."""
    return _check_postgres() if frames.on_postgres() else _check_sqlite()


def _list_triggers() -> list[tuple[str, str]]:
    """Return each table with the names of its triggers."""
    acts = ("change",) if frames.on_postgres() else ("update", "delete", "insert")
    return [(table, f"{table}_{act}") for table in TRAIL for act in acts]


def _build_postgres_sql(tables: dict[str, str]) -> list[str]:
    if not tables:
        return []
    statements = [f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $body${_BODY}$body$"]
    for table in tables:
        statements.append(
            f"CREATE OR REPLACE TRIGGER {table}_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
        )
        # `session_replication_role` must not switch it off.
        statements.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_change")
    return statements


_STATEMENT = 2 + 8 + 16 + 32
"""The `tgtype` of a trigger before UPDATE, DELETE and TRUNCATE, for each statement."""


def _check_postgres() -> list[str]:
    sql = (
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE c.oid = ANY(%s::regclass[]) AND t.tgname = c.relname || '_change' AND t.tgenabled = 'A'"
        " AND t.tgtype = %s AND t.tgqual IS NULL AND t.tgattr = '' AND p.prosrc = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(TRAIL), _STATEMENT, _BODY])
        guarded = {name for (name,) in cursor.fetchall()}
    return [table for table in TRAIL if table not in guarded]


def _build_sqlite_sql(tables: dict[str, str]) -> list[str]:
    statements = []
    for table, unique in tables.items():
        for name, sql in _build_triggers(table, unique).items():
            statements += [f"DROP TRIGGER IF EXISTS {name}", sql]
    return statements


def _build_triggers(table: str, unique: str) -> dict[str, str]:
    """Return the triggers of a table on SQLite, by name.

    REPLACE fires only the trigger before INSERT.
    """
    same = "id = NEW.id" + (f" OR (agency_id = NEW.agency_id AND {unique} = NEW.{unique})" if unique else "")
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}.'); END"
    return {
        f"{table}_update": f"CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} {refuse}",
        f"{table}_delete": f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} {refuse}",
        f"{table}_insert": f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) {refuse}",
    }


def _check_sqlite() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        existing = {sql for (sql,) in cursor.fetchall()}
    return [
        table for table, unique in TRAIL.items() if not existing.issuperset(_build_triggers(table, unique).values())
    ]
