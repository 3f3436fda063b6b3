"""Django's `migrate`, which also guards the audit trail: a migration that remakes a table on SQLite loses its triggers.

It also begins to seal trails by a key that have none yet.
"""

from datetime import UTC, datetime
from typing import Any

from django.core.management.commands import migrate

from musterbook.directory.audit import trail, triggers
from musterbook.directory.installation import migration


class Command(migrate.Command):
    """Migrates, then installs the triggers of the audit trail wherever its tables are."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates as Django does."""
        super().handle(*args, **options)
        # A migration to an earlier state leaves tables that our triggers do not fit.
        if not (options["plan"] or options["check_unapplied"] or migration.list_pending()):
            triggers.install()
            trail.seal_unkeyed_trails(datetime.now(UTC))
