"""Django's `migrate`, which also guards the audit trail: a migration that remakes a table on SQLite loses its triggers.

It also begins to seal trails by a key that have none yet, and puts policies in force (`storage.policies`): at once in a new
installation, and in an older one when it runs for the second time.
"""

from datetime import UTC, datetime
from typing import Any

from django.core.management.commands import migrate
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from musterbook.directory.audit import trail, triggers
from musterbook.directory.installation import migration
from musterbook.directory.migrations._policies import KeepApart
from musterbook.directory.models import Agency
from musterbook.directory.storage import isolation, policies

_FIRST = "accounts.0012_row_level_security"
"""The migration after which all tables of that version have policies."""


def _enforce_policies() -> None:
    """Keep agencies apart in all tables: the policies are new, or somebody has removed them or switched them off."""
    lacking = set(policies.find_open_tables())
    if not lacking:
        return
    policies.drop_others(lacking)
    with connection.schema_editor() as editor:
        for one in MigrationLoader(None).disk_migrations.values():
            for operation in one.operations:
                if isinstance(operation, KeepApart):
                    operation.enforce(lacking, editor)


class Command(migrate.Command):
    """Migrates, then installs the triggers of the audit trail wherever its tables are."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates as Django does."""
        with isolation.open_to_all():
            had_policies = _FIRST in migration.list_recorded()
            super().handle(*args, **options)
            # A migration to an earlier state leaves tables that our triggers do not fit.
            if not (options["plan"] or options["check_unapplied"] or migration.list_pending()):
                triggers.install()
                # An older version, which may run during an upgrade, does not say for which agency it works.
                if had_policies or not Agency.objects.exists():
                    _enforce_policies()
                trail.seal_unkeyed_trails(datetime.now(UTC))
