"""Kinds of columns that the databases call by different names."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _Text = models.TextField[str, str]
else:
    _Text = models.TextField


class Bytewise(_Text):
    """Text that is sorted by its characters' numbers, whatever language the database speaks."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """The collation C on PostgreSQL; SQLite sorts so by itself."""
        return {**super().db_parameters(connection), "collation": "C" if connection.vendor == "postgresql" else None}


class Packed(_Text):
    """Text that is scanned for parts of it: as bytes on PostgreSQL, which finds them there in half the time."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Bytes on PostgreSQL, text elsewhere."""
        return "bytea" if connection.vendor == "postgresql" else super().db_type(connection)
