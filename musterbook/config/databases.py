"""The choice of the database: the embedded SQLite, or the PostgreSQL database of a DATABASE_URL."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

SQLITE_FILE = "muster.sqlite3"
BUSY_SECONDS = 20
"""The time in seconds that a writer waits for another one on SQLite before it gives up."""

_EXPECTED = "Write it as postgres://user:password@host:5432/name, or as postgres:///name?host=/folder/of/the/socket."
_LIMITS = {
    "connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}  # fmt: skip
"""How long libpq waits for a server, in seconds and for the last in milliseconds, unless DATABASE_URL says otherwise.

Without them, a statement waits for many minutes or hours for a machine that is gone without a word.
"""
_SETTINGS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def make_settings(url: str, folder: Path) -> dict[str, Any]:
    """Return Django's settings for the database of `url`, or for SQLite in the folder if that is "".

    Raise ImproperlyConfigured if the URL cannot be used. Its message is readable for an operator and has no
    password in it.
    """
    return make_postgres(url) if url else make_sqlite(folder / SQLITE_FILE)


def make_sqlite(path: Path) -> dict[str, Any]:
    """Return Django's settings for SQLite in a file. Django itself turns foreign keys on."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": BUSY_SECONDS,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
        },
    }


def make_postgres(url: str) -> dict[str, Any]:
    """Return Django's settings for a PostgreSQL URL. libpq parses it, so any option of libpq is accepted."""
    parts = _parse_url(url)
    values = {setting: parts.pop(key, "") for key, setting in _SETTINGS.items()}
    if not values["NAME"]:
        raise ImproperlyConfigured(f"DATABASE_URL names no database. {_EXPECTED}")
    if not all(port.isdigit() for port in values["PORT"].split(",") if port):
        raise ImproperlyConfigured(f"DATABASE_URL has the port “{values['PORT']}”, which is not a number. {_EXPECTED}")
    return {
        # Django's own, which also says which agency a statement may reach (directory/storage/isolation.py).
        "ENGINE": "musterbook.directory.storage.postgresql",
        **values,
        # Each request closes its connection: a kept connection is lost with its thread (docs: decisions).
        "CONN_MAX_AGE": 0,
        "OPTIONS": _LIMITS | parts,
    }


def _parse_url(url: str) -> dict[str, str]:
    scheme, colon, _ = url.partition("://")
    if scheme not in ("postgres", "postgresql") or not colon:
        raise ImproperlyConfigured(f"DATABASE_URL is not the address of a PostgreSQL database. {_EXPECTED}")
    import psycopg  # imported only here: it takes a tenth of a second, which SQLite does not need
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except (psycopg.Error, UnicodeError):
        # Do not chain the error: libpq's message quotes the URL with its password.
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read. {_EXPECTED}") from None
