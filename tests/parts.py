"""The two parts of the tests on each database: one measures coverage, which takes nearly twice as long; the other does not.

`./test` runs both. A test without coverage still fails when it must: only what it reaches is not counted.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from scripts.testing import FAST, PARTS

COVERED, OTHERS = PARTS
_ROOT = Path(__file__).parents[1]
_MANY_PROCESSES = (
    "tests/directory/imports/test_killed.py", "tests/directory/imports/test_side_by_side.py",
    "tests/directory/imports/test_workers.py", "tests/directory/users/test_query_plans.py", "tests/test_scripts.py",
)  # fmt: skip
"""Tests that start many processes, or measure."""
_NOT_COVERED = (
    "tests/laws", "tests/cases", "tests/bench", *_MANY_PROCESSES,
    *(f"tests/attacks/test_{name}.py" for name in (
        "authenticators", "forgotten", "hashing", "hosts_and_cookies", "keys", "large_uploads", "library_urls", "limits",
        "lockout", "markup", "pages_fuzz", "pending_sign_ins", "policy", "queries", "reader_fuzz", "redirects",
        "sign_in_names", "tickets", "turns",
    )),
)  # fmt: skip
"""Tests that reach nothing that other tests do not reach; so do all journeys in a browser."""
_COVERED_ON_POSTGRESQL = (
    "tests/directory", "tests/cli", "tests/attacks/test_anchors.py", "tests/attacks/test_application_role.py",
    "tests/attacks/test_audit_trail.py", "tests/attacks/test_backups.py", "tests/attacks/test_connections.py",
    "tests/attacks/test_old_trails.py",
)  # fmt: skip
"""Tests that reach what is for PostgreSQL alone."""


_NOT_FAST = ("tests/bench", "tests/attacks", "tests/cli/test_installation.py", *_MANY_PROCESSES)


def is_in(item: pytest.Item, part: str) -> bool:
    """Return whether a test belongs to the part, on the database of DATABASE_URL."""
    if part == FAST:
        return not (_path(item).startswith(_NOT_FAST) or _needs_browser(item))
    return part_of(item) == part


def part_of(item: pytest.Item) -> str:
    """Return the part to which a test belongs, on the database of DATABASE_URL."""
    path = _path(item)
    costly = path.startswith(_NOT_COVERED) or _needs_browser(item)
    elsewhere = bool(os.environ.get("DATABASE_URL")) and not path.startswith(_COVERED_ON_POSTGRESQL)
    return OTHERS if costly or elsewhere else COVERED


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(_ROOT).as_posix()


def _needs_browser(item: pytest.Item) -> bool:
    return "browser" in getattr(item, "fixturenames", ())


def order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests by file, the files with the fewest tests first: these take longest, and must not run alone at the end."""
    counts = Counter(item.path for item in items)
    return sorted(items, key=lambda item: (counts[item.path], item.path))
