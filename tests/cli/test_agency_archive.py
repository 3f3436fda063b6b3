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
from tests.directory.installation.test_agency_archive import CONTEXT
# The last step before the end: all rows and files are written.
verify.verify_trail = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
opener = backup_encryption.Opener(backup_encryption.parse_identities(sys.argv[2]))
agency_archive_import.import_agency(Path(sys.argv[1]), opener, CONTEXT, slug="north-pd")
"""


@pytest.fixture
def other_home(tmp_path: Path) -> Iterator[databases.Home]:
    """Another installation: on SQLite, whichever database the first one has."""
    with databases.template(tmp_path / "other", "") as home:
        yield home


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
    fresh_home: databases.Home, other_home: databases.Home, tmp_path: Path
) -> None:
    # A passphrase takes a second and a gigabyte, and one that a busy machine chose the effort for may be refused by another.
    identity, key = x25519.Identity.generate(), tmp_path / "key.txt"
    key.write_text(str(identity))
    there, back = tmp_path / "there.age", tmp_path / "back.age"
    lock, opener = ("--recipient", str(identity.to_public())), ("--identity", str(key))
    make(fresh_home, "fill", "springfield-pd")
    make(other_home, "fill", "shelbyville-pd")
    before = show(fresh_home, "springfield-pd")
    assert "is paused" in muster(fresh_home, "agency", "pause", "springfield-pd")
    assert "is paused. Nothing was changed" in muster(
        fresh_home, "import", str(Path("examples/first-night.csv")), "--agency", "springfield-pd", status=3
    )
    told = muster(fresh_home, "agency", "export", "springfield-pd", str(there), *lock)
    digest = told.split("Digest: ")[1].split()[0]
    killed = other_home.run(sys.executable, "-c", _KILLED, str(there), str(identity), timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "north-pd" not in muster(other_home, "agency", "list")
    # It has other ids there, and the same content.
    done = muster(
        other_home, "agency", "import", str(there), *opener, "--expect", digest, "--slug", "north-pd"
    )  # fmt: skip
    assert "north-pd was imported: 4 users" in done and "It is paused" in done and "numbers were in use" in done
    assert show(other_home, "north-pd") == before
    assert "north-pd: whole" in muster(other_home, "audit", "verify")
    assert "would run twice" in muster(fresh_home, "agency", "resume", "springfield-pd", status=3)
    assert "is resumed" in muster(other_home, "agency", "resume", "north-pd")
    muster(other_home, "agency", "pause", "north-pd")
    muster(other_home, "agency", "export", "north-pd", str(back), *lock)
    refused = muster(fresh_home, "agency", "import", str(back), *opener, status=3)
    assert "in this installation already" in refused
    assert show(fresh_home, "springfield-pd") == before
