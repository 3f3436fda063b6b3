"""`muster agency pause`, `export`, `import`, `resume`: an agency moves between installations, on either database."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyrage import x25519

from tests import databases
from tests.directory.installation import moved

_KILLED = """
import os, signal, sys, django; django.setup()
from pathlib import Path
from musterbook.directory.audit import verify
from musterbook.directory.installation import agency_archive_import, backup_encryption
from musterbook.directory.storage import isolation
isolation.open_process()
from tests.directory.installation.test_agency_archive import CONTEXT
# The last step before the end: all rows and files are written.
verify.verify_trail = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
opener = backup_encryption.Opener(backup_encryption.parse_identities(sys.argv[2]))
agency_archive_import.import_agency(Path(sys.argv[1]), opener, CONTEXT, slug="north-pd")
"""


@pytest.fixture(params=["first", "second", "neither"])
def homes(
    request: pytest.FixtureRequest, fresh_home: databases.Home, _migrated: databases.Home, tmp_path: Path
) -> Iterator[tuple[databases.Home, databases.Home]]:
    """Two installations, of which one or neither is on SQLite where the tests run on PostgreSQL. On SQLite, both are."""
    if not fresh_home.database_url and request.param != "neither":
        pytest.skip("on SQLite, both are on SQLite")
    on_sqlite = not fresh_home.database_url or request.param != "neither"
    made = (
        databases.template(tmp_path / "other", "") if on_sqlite else databases.copy_home(_migrated, tmp_path / "other")
    )
    with made as other:
        (other.folder / "secret-key").unlink(missing_ok=True)  # each installation makes its own
        yield (other, fresh_home) if request.param == "first" else (fresh_home, other)


def make(home: databases.Home, act: str, slug: str) -> str:
    done = home.run(sys.executable, "-m", "tests.directory.installation.moved", act, slug, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def show(home: databases.Home, slug: str) -> dict[str, list[dict[str, object]]]:
    return moved.without_move(json.loads(make(home, "show", slug)))


def muster(home: databases.Home, *arguments: str, status: int = 0) -> str:
    done = home.muster(*arguments, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_agency_moves_to_another_installation_and_back(
    homes: tuple[databases.Home, databases.Home], tmp_path: Path
) -> None:
    first, second = homes
    # A passphrase takes a second and a gigabyte, and one that a busy machine chose the effort for may be refused by another.
    identity, key = x25519.Identity.generate(), tmp_path / "key.txt"
    key.write_text(str(identity))
    there, back = tmp_path / "there.age", tmp_path / "back.age"
    lock, opener = ("--recipient", str(identity.to_public())), ("--identity", str(key))
    before = moved.without_move(json.loads(make(first, "fill", "springfield-pd")))
    make(second, "fill", "shelbyville-pd")
    assert "is paused" in muster(first, "agency", "pause", "springfield-pd")
    assert "is paused. Nothing was changed" in muster(
        first, "import", str(Path("examples/first-night.csv")), "--agency", "springfield-pd", status=3
    )
    told = muster(first, "agency", "export", "springfield-pd", str(there), *lock)
    digest = told.split("Digest: ")[1].split()[0]
    killed = second.run(sys.executable, "-c", _KILLED, str(there), str(identity), timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "north-pd" not in muster(second, "agency", "list")
    # It has other ids there, and the same content.
    done = muster(
        second, "agency", "import", str(there), *opener, "--expect", digest, "--slug", "north-pd"
    )  # fmt: skip
    assert "north-pd was imported: 4 users" in done and "It is paused" in done and "numbers were in use" in done
    assert show(second, "north-pd") == before
    assert "north-pd: whole" in muster(second, "audit", "verify")
    assert "would run twice" in muster(first, "agency", "resume", "springfield-pd", status=3)
    assert "is resumed" in muster(second, "agency", "resume", "north-pd")
    muster(second, "agency", "pause", "north-pd")
    muster(second, "agency", "export", "north-pd", str(back), *lock)
    refused = muster(first, "agency", "import", str(back), *opener, status=3)
    assert "in this installation already" in refused
    assert show(first, "springfield-pd") == before
