"""The command, for scenarios that run through it."""

from tests.cli.conftest import _database_marked, muster

__all__ = ["_database_marked", "muster"]
