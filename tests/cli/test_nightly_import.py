"""The how-to of the nightly import, run literally: its commands, as a person would type them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.serving import serve
from tests.databases import Home

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the guide is for a POSIX shell")

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "nightly-import.md"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _read_blocks(kind: str) -> list[str]:
    """The blocks of the guide that are marked as this kind."""
    return [block for marked, block in _FENCE.findall(GUIDE.read_text(encoding="utf-8")) if marked == kind]


class Shell:
    """A shell with the installation of the test, and the folder that stands in for `/srv/hr`."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder = home, folder

    def run(self, text: str, number: str = "") -> subprocess.CompletedProcess[str]:
        """Run a block of the guide, with the number of an import for its `ID`. It finds `muster` on the path."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        fitted = re.sub(r"\bID\b", number, text.replace("/srv/hr", str(self.folder)))
        return subprocess.run(
            ["sh", "-ec", fitted], env={**self.home.environment, "PATH": path}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def work(self) -> None:
        """What a worker does meanwhile."""
        done = self.home.muster("worker", "--once", timeout=120)
        assert done.returncode == 0, done.stderr

    def list_imports(self) -> list[dict[str, str]]:
        """The imports of the agency, the latest first."""
        listed: list[dict[str, str]] = json.loads(
            self.home.muster("imports", "--agency", "riverton-pd", "--output", "json").stdout
        )
        return listed

    def count_active(self) -> int:
        """The number of users who are Active."""
        exported = self.home.muster("export", "--agency", "riverton-pd", "--format", "json")
        return sum(user["STATUS"] == "Active" for user in json.loads(exported.stdout))


@pytest.fixture
def shell(fresh_home: Home, tmp_path: Path) -> Shell:
    """A shell on an installation that has the sample agency, and HR's file of the first night."""
    folder = tmp_path / "hr"
    folder.mkdir()
    text = (ROOT / "examples" / "first-night.csv").read_text(encoding="utf-8")
    (folder / "roster.csv").write_text(text.replace(",Sergeant,", ",Sargent,", 2), encoding="utf-8")
    made = Shell(fresh_home, folder)
    assert fresh_home.muster("agency", "apply", str(ROOT / "examples" / "agency.toml")).returncode == 0
    return made


def test_the_guide_of_the_nightly_import_works_as_it_is_written(shell: Shell) -> None:
    add, give, check, run, apply, show, confirm, corrected = _read_blocks("sh")
    for block in (add, give):
        done = shell.run(block)
        assert done.returncode == 0, done.stderr
    checked = shell.run(check)
    assert checked.returncode == 0 and "roster.csv" in checked.stdout, checked.stderr
    assert shell.list_imports() == [], "a check takes nothing"
    active = _apply_first(shell, run, apply)
    _drop_rows(shell.folder / "roster.csv", 40)
    assert shell.run(give).returncode == 0
    _confirm_held(shell, run, show, confirm, active)
    _take_errors(shell)
    assert shell.run(corrected).returncode == 0
    done = shell.home.muster("imports", "show", shell.list_imports()[0]["import"], "--output", "json")
    counts = json.loads(done.stdout)["counts"]
    assert counts["updated"] + counts["added"] > 0


def _apply_first(shell: Shell, run: str, apply: str) -> int:
    """Apply the first file, which waits for a person. The number of users who are Active then."""
    ran = shell.run(run)
    assert ran.returncode in (0, 1), ran.stderr
    [first] = shell.list_imports()
    assert first["state"] == "previewed"
    assert shell.count_active() == 0
    assert shell.run(apply, first["import"]).returncode == 1, "two rows have an unknown rank"
    shell.work()
    active = shell.count_active()
    assert active > 200
    return active


def _confirm_held(shell: Shell, run: str, show: str, confirm: str, active: int) -> None:
    """Confirm an import that is held: the feed runs by itself now, and the file lacks forty of its users."""
    assert shell.run(run).returncode == 4
    held = shell.list_imports()[0]
    assert held["state"] == "held"
    assert "on hold" in shell.run(show, held["import"]).stdout.lower()
    number = _read_number(shell, held["import"])
    assert shell.run(confirm.replace("40", str(number + 1)), held["import"]).returncode == 4
    held = shell.list_imports()[0]
    assert shell.run(confirm.replace("40", str(number)), held["import"]).returncode == 1
    assert shell.count_active() == active - number
    shell.work()


def test_the_other_places_of_the_guide_work_as_they_are_written(shell: Shell) -> None:
    sftp, https, sent, send, command, cron = _read_blocks("")
    for name, block in (("sftp", sftp), ("https", https), ("sent", sent), ("command", command)):
        done = shell.run(_rename(block.partition("\nmuster feed set")[0], name))
        assert done.returncode == 0, done.stderr

    # The secret of an address is in a file. That of a server needs the server, which other tests have.
    (shell.folder / "secret").write_text("Bearer x", encoding="utf-8")
    secret = f"muster feed set{https.partition('muster feed set')[2]}".replace(
        "/run/secrets/hr-header", "/srv/hr/secret"
    )
    assert shell.run(_rename(secret, "https")).returncode == 0

    # A script gives the file to the feed.
    assert shell.run(_rename(cron.split(maxsplit=5)[5], "command")).returncode in (0, 1)
    assert [one["state"] for one in shell.list_imports()] == ["previewed"]

    # A program sends it.
    made = shell.run(_rename(f"muster feed set{sent.partition('muster feed set')[2]}", "sent"))
    [token] = re.findall(r"muster_feed_[0-9a-f]{64}", made.stdout)
    if shutil.which("curl"):
        with serve(shell.home, "--no-worker", "--workers", "1") as server:
            call = send.replace("https://muster.example.org", f"http://127.0.0.1:{server.port}").replace(
                "/hr/", "/sent/"
            )
            answer = shell.run(f"cd /srv/hr\nTOKEN={token}\n{call}")
        assert json.loads(answer.stdout)["import"] == shell.list_imports()[0]["import"], answer.stderr
        assert json.loads(answer.stdout)["file"]["name"] == "roster.csv"


def _rename(block: str, name: str) -> str:
    """The block for a feed of this name. In the guide, each is the only one."""
    return re.sub(r"(muster feed (?:add|set|run)) hr\b", rf"\1 {name}", block)


def _drop_rows(path: Path, number: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-number]), encoding="utf-8")


def _read_number(shell: Shell, import_: str) -> int:
    """The number of users who would lose access."""
    shown = shell.home.muster("imports", "show", import_, "--output", "json")
    [hold] = [one for one in json.loads(shown.stdout)["holds"] if one.get("kind") == "deactivations"]
    return int(hold["users"])


def _take_errors(shell: Shell) -> None:
    """Take the errors file from the folder `done`, and correct it."""
    done = shell.home.folder / "feeds" / "riverton-pd" / "hr" / "done"
    assert {"roster.csv", "roster.results.csv"} <= {path.name for path in done.iterdir()}
    text = (done / "roster.errors.csv").read_text(encoding="utf-8")
    assert text.count("Sargent") >= 2
    (shell.folder / "errors.csv").write_text(text.replace("Sargent", "Sergeant"), encoding="utf-8")
