"""Let each passkey be of one account of the installation, by a unique index of the library's table.

PostgreSQL checks it without policies. It is no index to search by: the policies let no condition on JSON use one.
Passkeys that accounts have had twice so far work as before. All but the first of them are marked, and left out of the index.
"""

from typing import Any

from django.db import migrations

_INDEX = "passkey_once"
"""Also in `accounts.passkeys` and in `directory.installation.table_checks`."""
_ID = {
    # A row of an index has at most 2,704 bytes. Real ids have up to 1,364 characters (1,023 bytes).
    "postgresql": "left(data #>> '{credential,id}', 2000)",
    "sqlite": "json_extract(data, '$.credential.id')",
}
_CHECKED = {
    "postgresql": "type = 'webauthn' AND NOT data ? 'repeated'",
    "sqlite": "type = 'webauthn' AND json_type(data, '$.repeated') IS NULL",
}
_MARKED = {
    "postgresql": """data || '{"repeated": true}'""",
    "sqlite": "json_set(data, '$.repeated', json('true'))",
}


def create(_apps: Any, schema_editor: Any) -> None:
    """Mark repeated passkeys, and create the index, while others go on to sign in."""
    vendor = schema_editor.connection.vendor
    concurrently = "CONCURRENTLY" if vendor == "postgresql" else ""
    remove(_apps, schema_editor)  # what is left of a migration that was interrupted
    schema_editor.execute(
        f"UPDATE mfa_authenticator SET data = {_MARKED[vendor]} WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        f" (PARTITION BY {_ID[vendor]} ORDER BY id) AS place FROM mfa_authenticator WHERE {_CHECKED[vendor]}"
        f" AND {_ID[vendor]} IS NOT NULL) AS numbered WHERE place > 1)"
    )
    schema_editor.execute(
        f"CREATE UNIQUE INDEX {concurrently} {_INDEX} ON mfa_authenticator ({_ID[vendor]}) WHERE {_CHECKED[vendor]}"
    )


def remove(_apps: Any, schema_editor: Any) -> None:
    """Drop the index."""
    concurrently = "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {concurrently} IF EXISTS {_INDEX}")


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL creates no index concurrently in a transaction
    safe_for_previous = "The index refuses only a passkey that the previous version itself refuses, but for its race."
    dependencies = [
        ("accounts", "0012_row_level_security"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [migrations.RunPython(create, remove)]
