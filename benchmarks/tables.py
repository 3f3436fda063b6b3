"""The location of an installation's rows: its tables by name, and its database by URL or file."""

from dataclasses import dataclass
from pathlib import Path

from musterbook.config import databases

USERS, EVENTS, IMPORTS = "directory_user", "directory_event", "directory_import"

LISTED = (
    "id, external_id, email, badge_number, first_name, last_name, active, username, role_id, supervisor_id, location, rank_id,"
    " group_id, phone, registered_at IS NOT NULL, exempt"
)
"""The columns of a user that an import compares."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database: the URL of one on PostgreSQL, or "" and the folder of an installation on SQLite."""

    url: str
    folder: Path

    @property
    def path(self) -> Path:
        """Return the file of a database on SQLite."""
        return self.folder / databases.SQLITE_FILE


def make_select(table: str, rest: str) -> str:
    """Return a query of whole rows."""
    return f"SELECT * FROM {table} {rest}"
