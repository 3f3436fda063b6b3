"""The circumstances of a measurement: the commit, the machine, its programs and its load."""

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from scripts import postgres, setup

PASSING = ("made", "commit", "load")
"""The facts that belong to the time of the measurement, not to the machine."""
_PACKAGES = ("polars", "django", "psycopg", "django-import-export")


def read_facts() -> dict[str, object]:
    """Return the facts about the machine and the time. `load` is the load average of the last minute."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**9
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _read_commit(), "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(), "memory GB": memory, "system": platform.system(), "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version, "PostgreSQL": _read_postgres(), **{name: version(name) for name in _PACKAGES},
    }  # fmt: skip


def _read_commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=setup.ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _read_postgres() -> str:
    if os.environ.get("DATABASE_URL"):
        return "of DATABASE_URL"
    if not postgres.is_installed():
        return "none"
    words = subprocess.run(
        [postgres.find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    return words[2] if len(words) > 2 else "unknown"
