"""The engine: Django's own, which also tells PostgreSQL the agency that this thread works for (`storage.isolation`).

Django loads it by the name `base`. It must not import models: they are loaded after it.
"""

from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from musterbook.directory.storage import isolation


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose setting `muster.agency` is what its thread works for, before each of its statements."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._applied: str | None = None
        """The setting as this connection has it; None if that is not known."""
        self.execute_wrappers.append(self._apply_before)

    def get_new_connection(self, conn_params: Any) -> Any:
        """Return a connection whose setting is not known: a pooler may have passed on what another had set."""
        self._applied = None
        return super().get_new_connection(conn_params)

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor. What it does that Django does not see, such as COPY, has the setting too."""
        self._apply()
        return super().create_cursor(name)

    def _apply_before(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:  # the signature is Django's  # fmt: skip
        self._apply()
        return execute(sql, params, many, context)

    def _apply(self) -> None:
        scope = isolation.read_scope()
        if self.connection is None or scope == self._applied:
            return
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            return  # a transaction that has failed takes no statement but its end, after which the setting is not known
        self._applied = None
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            # Not set_config(): a query before SET TRANSACTION is refused. The scope is a number, * or nothing.
            cursor.execute(f"SET {isolation.SETTING} = '{scope}'")
        self._applied = scope

    def _rollback(self) -> None:
        """Roll back, and what the transaction has set with it."""
        self._applied = None
        super()._rollback()  # type: ignore[misc]  # django-stubs leaves it out

    def _savepoint_rollback(self, sid: str) -> None:
        try:
            super()._savepoint_rollback(sid)  # type: ignore[misc]  # django-stubs leaves it out
        finally:
            self._applied = None
