"""What a figure was measured on: the commit, the machine, its programs and its load."""

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from scripts import postgres, setup

PASSING = ("made", "commit", "load")
"""What is not of the machine, but of the moment."""
_PACKAGES = ("polars", "django", "psycopg", "django-import-export")


def facts() -> dict[str, object]:
    """The machine and the moment; `load`: the load average of the last minute."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**9
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(), "memory GB": memory, "system": platform.system(), "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version, "PostgreSQL": _postgres(), **{name: version(name) for name in _PACKAGES},
    }  # fmt: skip


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=setup.ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _postgres() -> str:
    if os.environ.get("DATABASE_URL"):
        return "of DATABASE_URL"
    if not postgres.installed():
        return "none"
    said = subprocess.run(
        [postgres.binaries() / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    return said[2] if len(said) > 2 else "unknown"
