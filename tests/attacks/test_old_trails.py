"""A trail from before trails had keys: it verifies after `muster migrate`, and is guarded and sealed by a key from then on."""

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.attacks.old_installations import execute, is_postgres
from tests.databases import Home


def test_an_old_trail_verifies_after_the_upgrade_and_is_sealed_by_a_key_from_then_on(old_home: Home) -> None:
    done = old_home.muster("migrate", timeout=300)
    assert done.returncode == 0, done.stderr
    done = old_home.muster("audit", "verify")
    assert done.stdout == "springfield: whole (events: 7, links: 3)\n", done.stdout + done.stderr
    assert old_home.muster("audit", "head").stdout.startswith("springfield 3:")
    # To migrate again seals nothing again.
    assert old_home.muster("migrate", timeout=300).returncode == 0
    assert old_home.muster("audit", "head").stdout.startswith("springfield 3:")


def test_a_migration_of_old_rows_does_not_let_them_be_rewritten(old_home: Home) -> None:
    old_home.muster("migrate", timeout=300)

    def rewrite(run: Callable[..., Any]) -> None:
        with pytest.raises((psycopg.Error, sqlite3.Error), match="append-only"):
            run("UPDATE directory_event SET actor = 'E-1' WHERE id = 1")
        _unguard(run)
        run("UPDATE directory_event SET actor = 'E-1' WHERE id = 1")

    execute(old_home, rewrite)
    done = old_home.muster("audit", "verify")
    assert (done.returncode, "not whole: the events of link 1" in done.stdout) == (1, True)
    done = old_home.muster("doctor")
    assert "nothing refuses changes of directory_event" in done.stdout
    old_home.muster("migrate", timeout=300)
    assert "nothing refuses changes" not in old_home.muster("doctor").stdout


def _unguard(run: Callable[..., Any]) -> None:
    if is_postgres(run):
        run("DROP TRIGGER directory_event_change ON directory_event")
    else:
        run("DROP TRIGGER directory_event_update")
