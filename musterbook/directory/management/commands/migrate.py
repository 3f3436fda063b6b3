"""Django's `migrate`, which also guards the audit trail: a migration that remakes a table on SQLite loses its triggers.

It also begins to seal trails by a key that have none yet, and makes policies that are gone again (`storage.policies`).
"""

from datetime import UTC, datetime
from typing import Any

from django.core.management.commands import migrate
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from musterbook.directory.audit import trail, triggers
from musterbook.directory.installation import migration
from musterbook.directory.migrations._policies import KeepApart
from musterbook.directory.storage import isolation, policies


def _restore_policies() -> None:
    """Keep agencies apart again in tables where somebody has removed that or switched it off."""
    lacking = set(policies.find_open_tables())
    if not lacking:
        return
    policies.drop_others(lacking)
    with connection.schema_editor() as editor:
        for one in MigrationLoader(None).disk_migrations.values():
            for operation in one.operations:
                if isinstance(operation, KeepApart):
                    operation.restore(lacking, editor)


class Command(migrate.Command):
    """Migrates, then installs the triggers of the audit trail wherever its tables are."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates as Django does."""
        with isolation.open_to_all():
            super().handle(*args, **options)
            # A migration to an earlier state leaves tables that our triggers do not fit.
            if not (options["plan"] or options["check_unapplied"] or migration.list_pending()):
                triggers.install()
                _restore_policies()
                trail.seal_unkeyed_trails(datetime.now(UTC))
