"""An operation that keeps agencies apart in a table, by row-level security of PostgreSQL (`storage.policies`)."""

from collections.abc import Callable
from typing import Any

from django.db.migrations import RunPython

_SETTING = "(SELECT current_setting('muster.agency', true))"
"""As a subquery it is read once for each statement, and not for each row."""
_AGENCY = "(SELECT nullif(nullif(current_setting('muster.agency', true), ''), '*')::bigint)"


def by_column(column: str) -> str:
    """Return the condition of a table whose column has the agency."""
    return f"{_SETTING} = '*' OR {column} = {_AGENCY}"


def through(column: str, parent: str) -> str:
    """Return the condition of a table whose rows are parts of rows of another table, which has a policy itself.

    `column`: with its table, since the other table may have a column of the same name.
    """
    return f"{_SETTING} = '*' OR EXISTS (SELECT FROM {parent} AS parent WHERE parent.id = {column})"


class KeepApart(RunPython):
    """Give each table the policy with its condition, which is not in force until `muster migrate` enforces it.

    So processes of an older version, which do not say their agency, go on. Nothing is read or copied.
    """

    def __init__(self, conditions: dict[str, str]) -> None:
        self.conditions = conditions
        super().__init__(_make(_create, conditions), _make(_remove, conditions))

    def enforce(self, tables: set[str], schema_editor: Any) -> None:
        """Make the policies of those of its tables that are named again, and put them in force, even for the owner."""
        own = {table: self.conditions[table] for table in tables & set(self.conditions)}
        for statements in (_create, _enforce):
            _make(statements, own)(None, schema_editor)


def _make(statements: Callable[[str, str], list[str]], conditions: dict[str, str]) -> Callable[[Any, Any], None]:
    def run(_apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for table, condition in conditions.items():
                for sql in statements(table, condition):
                    schema_editor.execute(sql)

    return run


def _create(table: str, condition: str) -> list[str]:
    return [
        f"DROP POLICY IF EXISTS muster_agency ON {table}",
        f"CREATE POLICY muster_agency ON {table} USING ({condition})",
    ]


def _enforce(table: str, _condition: str) -> list[str]:
    return [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"]


def _remove(table: str, _condition: str) -> list[str]:
    return [
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS muster_agency ON {table}",
    ]
