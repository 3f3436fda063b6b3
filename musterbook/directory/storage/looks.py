"""Whether there is anything to do: one short query, because each worker asks it up to several times a second.

To make the SQL of a query of the ORM takes a hundred times as long as to run this one. So a round looks here first, and then
asks what exactly is due.
"""

from django.db import connection
from django.db.models import Model

from musterbook.directory.storage import frames


def has_any(model: type[Model], condition: str, *parameters: str | int) -> bool:
    """Return whether a row of the model meets the condition of SQL (placeholders `%s`)."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {frames.table(model)} WHERE {condition} LIMIT 1", parameters)
        return cursor.fetchone() is not None
