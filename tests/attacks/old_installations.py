"""Installations as older versions left them: before trails had keys, and before backups had seals."""

import hashlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from musterbook.config import encryption, secret_keys
from tests import databases
from tests.databases import Home

_BEFORE = "0012_mails_to_forget"
"""The last change of the directory's tables before trails had keys."""


@pytest.fixture(scope="session")
def _old_original(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation as the version before keys left it, with a trail of two links."""
    with databases.make_empty(database_server) as url:
        home = Home(tmp_path_factory.mktemp("old") / "home", url)
        home.folder.mkdir()
        done = home.run(
            sys.executable, "-m", "django", "migrate", "directory", _BEFORE, "--verbosity", "0", timeout=300
        )
        assert done.returncode == 0, done.stderr
        execute(home, _old_trail)
        yield home


_UNSEALED = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from django.core.management import call_command
for told in (["directory", "0011_people"], ["accounts", "0004_factor_due"], ["sessions"], ["mfa"], ["usersessions"]):
    call_command("migrate", *told, verbosity=0)
"""
"""Makes the tables of the last version whose backups had no seal."""

_DUMP = """
import json, sys; from pathlib import Path; import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from musterbook.directory.installation import backups, migration
print(json.dumps({"database": backups._dump_database(Path(sys.argv[1])).name, "changes": migration.list_recorded()}))
"""


@pytest.fixture
def unsealed_home(database_server: str, tmp_path: Path) -> Iterator[Home]:
    """An installation as the last version left it whose backups had no seal, with a trail of two links."""
    with databases.make_empty(database_server) as url:
        home = Home(tmp_path / "unsealed", url)
        home.folder.mkdir()
        done = home.run(sys.executable, "-c", _UNSEALED, timeout=300)
        assert done.returncode == 0, done.stderr
        execute(home, _old_trail)
        yield home


def seal_as_before(home: Home, secret: str) -> None:
    """Gives the agency two providers with sealed secrets, one without the name of its key, and signs somebody in."""
    key = secret_keys.Key(secret, "")
    box = encryption._make_old_cipher(key.derive("secrecy"))
    named, nameless = (box.encrypt(text).decode() for text in (b"named", b"nameless"))
    providers = [{"slug": "a", "secret": f"fernet:{key.name}:{named}"}, {"slug": "b", "secret": nameless}]

    def write(run: Callable[..., Any]) -> None:
        run("UPDATE directory_agency SET sign_on = ?", json.dumps(providers))
        run("INSERT INTO django_session (session_key, session_data, expire_date) VALUES ('a', 'b', '2099-01-01')")

    execute(home, write)


def dump_database(home: Home, folder: Path) -> dict[str, object]:
    """Dumps the database into the folder; gives what a manifest says of it."""
    done = home.run(sys.executable, "-c", _DUMP, str(folder))
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    # An older version had a library that is no longer used.
    return found | {"changes": [*found["changes"], "socialaccount.0001_initial"]}  # type: ignore[misc]


def execute(home: Home, work: Callable[[Callable[..., Any]], None]) -> None:
    """Does work with what runs one statement, on a connection of its own."""
    if home.database_url:
        with psycopg.connect(home.database_url, autocommit=True, options="-c muster.agency=*") as server:
            work(lambda sql, *values: server.execute(sql.replace("?", "%s").encode(), values))
        return
    with closing(sqlite3.connect(home.folder / "muster.sqlite3", isolation_level=None)) as file:
        work(lambda sql, *values: file.execute(sql, values))


def _old_trail(run: Callable[..., Any]) -> None:
    run(
        "INSERT INTO directory_agency (id, slug, name, created_at, default_country, limit_users, limit_percent, limit_most,"
        " sends_mail, mails_off, mapping, invitation_days, password_length, password_days, lock_failures, lock_minutes,"
        " idle_minutes, sign_on, reuse_days, sign_in_notice, unused_days, second_factor)"
        " VALUES (1, 'springfield', 'Springfield', '2026-01-01 00:00:00+00', '', 10, 10, 500, true, '[]', '{}', 7, 12, 0, 5,"
        " 0, 30, '[]', 0, '', 0, false)"
    )
    before, number = "0" * 64, 0
    for link, agent in ((1, ""), (2, "Firefox")):
        digest = hashlib.sha256(before.encode())
        first = number + 1
        for _ in range(3):
            number += 1
            events = (
                number,
                1,
                f"2026-01-0{link} 07:00:00.000000",
                "",
                "cli",
                "",
                "agency.changed",
                "",
                "",
                "",
                "",
                "{}",
            )
            also = ("", agent, "") if agent else ()
            digest.update(("\x1f".join(map(str, events)) + "\x1f".join(also) + "\n").encode())
            run(
                "INSERT INTO directory_event (id, agency_id, at, actor, through, address, kind, subject_external_id, changes,"
                " agent, outcome) VALUES (?, 1, ?, '', 'cli', '', 'agency.changed', '', '{}', ?, '')",
                number, events[2] + ("+00" if is_postgres(run) else ""), agent,
            )  # fmt: skip
        before = digest.hexdigest()
        run(
            'INSERT INTO directory_traillink (agency_id, number, "first", "last", digest) VALUES (1, ?, ?, ?, ?)',
            link, first, number, before,
        )  # fmt: skip
        run(
            "INSERT INTO directory_passage (agency_id, at, actor, through, kind, outcome, of_id, \"first\", \"last\")"
            " VALUES (1, ?, '', 'cli', 'agency.changed', '', NULL, ?, ?)",
            events[2] + ("+00" if is_postgres(run) else ""), first, number,
        )  # fmt: skip
    run("INSERT INTO directory_trailend (agency_id, links, digest) VALUES (1, 2, ?)", before)
    if is_postgres(run):
        run("SELECT setval(pg_get_serial_sequence('directory_event', 'id'), 6)")


def is_postgres(run: Callable[..., Any]) -> bool:
    return "server" in run.__code__.co_freevars
