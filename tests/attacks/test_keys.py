"""Attacks on the secret keys: weak ones, a rotation that is killed, old keys that live on, and a key that is shown somewhere."""

import json
import os
import random
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from musterbook.config import home, secret_keys
from tests.cli.test_people import serving
from tests.databases import Home, copy_home

DUMP = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from django.db import connection
with connection.cursor() as cursor:
    for table in connection.introspection.table_names():
        cursor.execute(f'SELECT * FROM "{table}"')
        for row in cursor.fetchall():
            print(table, repr(row))
"""


@dataclass(frozen=True)
class KeyedHome(Home):
    """An installation with further environment variables."""

    more: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        return super().environment | dict(self.more)


def make_keyed(of: Home, **more: str) -> KeyedHome:
    return KeyedHome(of.folder, of.database_url, tuple(more.items()))


def fill(of: Home, number: int) -> int:
    done = of.run(sys.executable, "-m", "tests.attacks.lived_in", str(number), timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def check_sealed(of: Home) -> int:
    done = of.run(sys.executable, "-m", "tests.attacks.lived_in", "check")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def listed(of: Home) -> list[dict[str, object]]:
    done = of.muster("keys", "list", "--output", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def count_events(rows: str) -> int:
    """How many events of a changed key there are."""
    return sum(row.startswith("directory_event ") and "agency.secret-key-changed" in row for row in rows.splitlines())


def secret(of: Home) -> str:
    return (of.folder / home.KEY_FILE).read_text()


@pytest.mark.any_database
def test_no_command_works_with_a_weak_key(fresh_home: Home) -> None:
    of = make_keyed(fresh_home, MUSTER_SECRET_KEY="changeme123" * 4)
    for command in (("agency", "list"), ("serve", "--no-worker", "--port", "8977"), ("worker", "--once")):
        done = of.muster(*command)
        assert done.returncode == 2, done
        assert "The secret key of MUSTER_SECRET_KEY repeats itself. Make a new one: python3 -c" in done.stderr
        assert "Traceback" not in done.stderr
    assert "ImproperlyConfigured" in of.run(sys.executable, "-c", "import musterbook.wsgi").stderr


def test_a_rotation_leaves_nothing_sealed_with_the_old_key(fresh_home: Home) -> None:
    number = fill(fresh_home, 20)
    old = secret(fresh_home)
    name = secret_keys.Key(old, "").name
    done = fresh_home.muster("keys", "rotate")
    assert done.returncode == 0, done.stderr
    assert f"Values sealed again: {number}." in done.stderr
    assert secret(fresh_home) != old
    assert check_sealed(fresh_home) == number
    rows = fresh_home.run(sys.executable, "-c", DUMP).stdout
    assert f"aesgcm:{secret_keys.Key(secret(fresh_home), '').name}:" in rows
    assert f"aesgcm:{name}" not in rows
    # Nothing of older versions is left either.
    assert "fernet:" not in rows and "gAAAA" not in rows
    assert count_events(rows) == 2  # one for each agency
    assert "django_session " not in rows
    assert fresh_home.muster("audit", "verify").returncode == 0
    for kept in (home.KEY_FILE, secret_keys.OLD_FILE):
        assert (fresh_home.folder / kept).stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def _many(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, int]]:
    """An installation with so many sealed values that a rotation takes time, and their number."""
    with copy_home(_migrated, tmp_path_factory.mktemp("many") / "home") as home:
        yield home, fill(home, 1500)


@pytest.fixture
def many(_many: tuple[Home, int], tmp_path: Path) -> Iterator[tuple[Home, int]]:
    """A copy of that installation."""
    original, number = _many
    with copy_home(original, tmp_path / "home") as home:
        yield home, number


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_killed_at_any_moment_loses_nothing_and_is_completed(many: tuple[Home, int], seed: int) -> None:
    of, number = many
    chance = random.Random(seed)
    before = secret(of)
    process = of.start("keys", "rotate")
    limit = time.monotonic() + 120
    while secret(of) == before and process.poll() is None and seed and time.monotonic() < limit:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.25) if seed else chance.uniform(0, 1.5))
    process.kill()
    process.communicate()
    assert check_sealed(of) == number
    done = of.muster("keys", "reseal")
    assert done.returncode == 0, done.stderr
    assert check_sealed(of) == number
    ring = listed(of)
    assert seed == 0 or secret(of) != before  # only the first may be killed before the key changes
    if secret(of) != before:
        assert [key["state"] for key in ring] == ["current", "old"]
        rows = of.run(sys.executable, "-c", DUMP).stdout
        assert count_events(rows) == 2
        old = ring[1]["needed_by"]
        assert isinstance(old, dict) and set(old) <= {"links of audit trails"}
    assert "✗ secret keys" not in of.muster("doctor").stdout


@pytest.mark.any_database
def test_many_rotations_at_once_lose_no_key(fresh_home: Home) -> None:
    number = fill(fresh_home, 5)
    started = [fresh_home.start("keys", "rotate") for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    for process in started:
        process.communicate()
    assert fresh_home.muster("keys", "reseal").returncode == 0
    assert check_sealed(fresh_home) == number
    assert [key["state"] for key in listed(fresh_home)] == ["current"] + ["old"] * 4


def _link(of: Home) -> str:
    return of.muster("invite", "--agency", "alpha-pd", "E-1", "--print-link").stdout.strip()


def _opens(link: str) -> bool:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with browser.open(link) as answer:
            page: str = answer.read().decode()
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    return 'type="password"' in page


@pytest.mark.any_database
def test_a_running_server_takes_a_new_key_at_once_and_links_in_mails_survive(
    fresh_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(fresh_home, 2)
    with serving(fresh_home, named=monkeypatch):
        link = _link(fresh_home)
        assert _opens(link)
        for _ in range(2):
            assert fresh_home.muster("keys", "rotate").returncode == 0
            assert _opens(link)
        done = fresh_home.muster("keys", "rotate", "--compromised")
        assert done.returncode == 0
        assert "replace the providers' secrets" in done.stderr
        assert not _opens(link)
        assert _opens(_link(fresh_home))


@pytest.mark.any_database
def test_a_key_of_the_environment_is_changed_there_and_old_values_are_read_with_the_old_one(fresh_home: Home) -> None:
    old, new = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    before = make_keyed(fresh_home, MUSTER_SECRET_KEY=old)
    number = fill(before, 5)
    refused = before.muster("keys", "rotate")
    assert (refused.returncode, "MUSTER_OLD_SECRET_KEYS" in refused.stderr) == (2, True)
    lost = make_keyed(fresh_home, MUSTER_SECRET_KEY=new)
    assert "sealed values cannot be read" in lost.muster("doctor").stdout
    after = make_keyed(fresh_home, MUSTER_SECRET_KEY=new, MUSTER_OLD_SECRET_KEYS=f"x,{old}")
    assert check_sealed(after) == number
    assert "Run: muster keys reseal" in after.muster("doctor").stdout
    assert after.muster("keys", "reseal").returncode == 0
    name = secret_keys.Key(old, "").name
    trails = after.muster("keys", "retire", name)
    assert trails.returncode in (2, 3)  # nothing but the audit trail can need it now
    assert check_sealed(lost) == number


@pytest.mark.any_database
def test_a_key_that_is_needed_is_not_retired_unless_forced(fresh_home: Home) -> None:
    fill(fresh_home, 5)
    name = secret_keys.Key(secret(fresh_home), "").name
    assert fresh_home.muster("keys", "rotate").returncode == 0
    refused = fresh_home.muster("keys", "retire", name)
    assert (refused.returncode, "links in emails (accepted until" in refused.stderr) == (3, True)
    assert fresh_home.muster("keys", "retire", "0123456789").returncode == 2
    current = secret_keys.Key(secret(fresh_home), "").name
    assert fresh_home.muster("keys", "retire", current, "--force").returncode == 2
    assert fresh_home.muster("keys", "retire", name, "--force").returncode == 0
    assert name not in (fresh_home.folder / secret_keys.OLD_FILE).read_text()
    states = {str(key["name"]): key["state"] for key in listed(fresh_home)}
    assert states[current] == "current"
    assert states.get(name, "missing") == "missing"


@pytest.mark.any_database
def test_the_key_is_shown_nowhere(fresh_home: Home) -> None:
    fill(fresh_home, 2)
    shown = [secret(fresh_home)]
    commands = (
        ("keys", "list"), ("keys", "list", "--output", "json"), ("keys", "rotate"), ("keys", "rotate", "--compromised"),
        ("keys", "reseal"), ("keys", "retire", "nothing"), ("doctor",), ("migrate",), ("audit", "verify"),
        ("audit", "--agency", "alpha-pd"), ("keys", "list"),
    )  # fmt: skip
    output = ""
    for command in commands:
        done = fresh_home.muster(*command)
        output += done.stdout + done.stderr
        shown.append(secret(fresh_home))
    (fresh_home.folder / secret_keys.OLD_FILE).write_text(f"{shown[0]}\tyesterday\tsigns\n")
    output += fresh_home.muster("keys", "list").stderr
    for path in fresh_home.folder.rglob("*.log*"):
        output += path.read_text()
    for one in set(shown):
        assert one not in output
        assert one[:16] not in output


@pytest.mark.any_database
def test_the_key_is_in_no_process_list_and_no_child_of_ours_inherits_it(fresh_home: Home) -> None:
    key = secrets.token_urlsafe(48)
    of = make_keyed(fresh_home, MUSTER_SECRET_KEY=key)
    with serving(of) as (process, _):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert key.encode() not in path.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
        assert process.poll() is None


@pytest.mark.any_database
def test_a_lost_old_keys_file_stops_every_command_instead_of_losing_more(fresh_home: Home) -> None:
    fill(fresh_home, 2)
    assert fresh_home.muster("keys", "rotate").returncode == 0
    (fresh_home.folder / secret_keys.OLD_FILE).write_bytes(os.urandom(64) + b"\xff")
    done = fresh_home.muster("keys", "rotate")
    assert (done.returncode, "of old keys cannot be read" in done.stderr) == (2, True)
    assert (fresh_home.folder / secret_keys.OLD_FILE).read_bytes().endswith(b"\xff")
