"""docs/how-to/point-in-time-recovery.md, run literally: PostgreSQL goes back to the moment before a wrong import."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts import postgres
from tests.attacks.serving import free_port
from tests.cli.conftest import AGENCY, Muster, row
from tests.databases import Home

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "how-to" / "point-in-time-recovery.md").read_text(encoding="utf-8")
_SERVICES = "/srv/recovery"


def read_blocks(kind: str) -> list[str]:
    """The blocks of the page that are marked as this kind."""
    found = re.findall(rf"^ *```{kind}\n(.*?)^ *```$", _PAGE, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


class Machine:
    """A machine with PostgreSQL, in a folder that stands in for /srv and /var/lib/postgresql."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.port = folder, folder / "main", free_port()
        self._user = postgres._find_user() if os.geteuid() == 0 else None
        folder.chmod(0o755)
        (folder / "owned").mkdir()
        self.data = folder / "owned" / "main"
        if self._user:
            shutil.chown(folder / "owned", self._user)
        self.shell("initdb --username muster --auth trust --encoding UTF8 --locale C --no-sync")
        self.configure(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")

    @property
    def url(self) -> str:
        """The DATABASE_URL of the database."""
        return f"postgresql://muster@127.0.0.1:{self.port}/muster"

    def fit(self, text: str) -> str:
        """The text of the page with the folder of the test."""
        return text.replace(_SERVICES, str(self.folder / "owned" / "recovery"))

    def configure(self, text: str) -> None:
        """Add lines to postgresql.conf."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(self.fit(text))

    def make_folders(self, text: str) -> None:
        """Run the command of the page that root types. Without root, the folders belong to the user of the test."""
        owned = f"-o {self._user} -g $(id -gn {self._user}) " if self._user else ""
        subprocess.run(["sh", "-ec", self.fit(text).replace("-o postgres -g postgres ", owned)], check=True, timeout=60)

    def shell(self, text: str) -> str:
        """Run commands of the page as the user of PostgreSQL; give what they say."""
        environment = {
            "PATH": f"{postgres.find_binaries()}:{os.environ['PATH']}", "PGDATA": str(self.data), "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port), "PGUSER": "muster", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        # A server that is started goes on: it gets no pipe of ours.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                ["sh", "-ec", self.fit(text)], env=environment, cwd=self.folder / "owned", stdout=said, stderr=said,
                stdin=subprocess.DEVNULL, user=self._user, extra_groups=[] if self._user else None, timeout=300, check=False,
            )  # fmt: skip
            said.seek(0)
            text = said.read()
        assert done.returncode == 0, text
        return text


@pytest.fixture
def machine() -> Iterator[Machine]:
    if not postgres.is_installed() or postgres.find_binaries() == postgres.BUNDLED:
        pytest.skip("this machine has no PostgreSQL with pg_basebackup")
    with tempfile.TemporaryDirectory(prefix="muster-recovery-") as folder:
        made = Machine(Path(folder))
        try:
            yield made
        finally:
            made.shell("pg_ctl stop --mode immediate || true")


def test_the_database_goes_back_to_the_moment_before_a_wrong_import(
    machine: Machine, database_server: str, tmp_path: Path
) -> None:
    if not database_server:
        pytest.skip("it is about PostgreSQL")
    folders, base, back, to = read_blocks("sh")
    assert "-o postgres -g postgres " in folders
    machine.make_folders(folders)
    home = _install(machine, tmp_path)
    for _week in range(2):
        machine.shell(base)
    _import(home, tmp_path, "cat")
    before = _export(home)
    time.sleep(2)
    _import(home, tmp_path, "wrong")
    assert len(_export(home)) == len(before) + 1
    listed = json.loads(home.muster(*_find_command("muster imports"), timeout=60).stdout)
    began = max(datetime.fromisoformat(entry["at"]) for entry in listed)
    machine.shell(back)
    assert "2026-11-29 14:04:59+00" in to
    machine.shell(to.replace("2026-11-29 14:04:59+00", (began - timedelta(seconds=1)).isoformat(sep=" ")))
    _wait(machine)
    assert "its end was removed" in home.muster("doctor").stdout
    done = home.muster(*_find_command("muster recovered"))
    assert (done.returncode, "All users must sign in again" in done.stderr) == (0, True), done.stderr
    assert _export(home) == before
    found = home.muster(*_find_command("muster doctor")).stdout
    assert "✓ audit trail: whole" in found and "✓ files: 2 kept files are whole" in found, found
    _import(home, tmp_path, "dan")
    assert home.muster("audit", "verify").returncode == 0


def _install(machine: Machine, folder: Path) -> Home:
    """An installation on the machine's PostgreSQL, with the settings of the page, an agency and two users."""
    [settings] = read_blocks("ini")
    machine.configure(settings)
    machine.shell('pg_ctl start --wait --log "$PGDATA.log"; createdb muster')
    home = Home(folder / "home", machine.url)
    home.folder.mkdir(mode=0o700)
    (folder / "agency.toml").write_text(AGENCY, encoding="utf-8")
    for arguments in (["migrate"], ["agency", "apply", str(folder / "agency.toml")]):
        done = home.muster(*arguments, timeout=300)
        assert done.returncode == 0, done.stderr
    _import(home, folder, "ann", "bob")
    return home


def _import(home: Home, folder: Path, *names: str) -> None:
    done = home.muster("import", str(Muster(folder).file(*map(row, names))), "--agency", "springfield-pd", timeout=120)
    assert done.returncode == 0, done.stderr


def _export(home: Home) -> Any:
    return json.loads(home.muster("export", "--agency", "springfield-pd", "--format", "json").stdout)


def _find_command(begin: str) -> list[str]:
    """The arguments of a command of `muster` that the page names in a block."""
    [line] = {line.strip() for line in _PAGE.splitlines() if line.strip().startswith(begin)}
    return line.split()[1:]


def _wait(machine: Machine) -> None:
    """Wait until PostgreSQL accepts changes, as the page says."""
    [command] = re.findall(r"`(psql -c [^`]+)`", _PAGE)
    for _ in range(600):
        if " f\n" in machine.shell(command.replace("psql", "psql --dbname muster")):
            return
        time.sleep(0.2)
    raise AssertionError((machine.folder / "owned" / "main.log").read_text())
