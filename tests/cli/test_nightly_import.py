"""The how-to of the nightly import, run literally: its commands and its script, as a person would type them."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.databases import Home

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the script is for a POSIX shell")

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "nightly-import.md"
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Shell:
    """A shell with the installation of the test, and the folder that stands in for `/srv/hr`."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder = home, folder

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a block of the guide. It finds `muster` on the path."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", self.fit(text)], env={**self.home.environment, "PATH": path}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def fit(self, text: str) -> str:
        """The text of the guide with the folder of the test."""
        return text.replace("/srv/hr", str(self.folder))

    def read_last(self) -> dict[str, object]:
        """What the script wrote to `last.json`."""
        last: dict[str, object] = json.loads((self.folder / "last.json").read_text(encoding="utf-8"))
        return last


@pytest.fixture
def shell(fresh_home: Home, tmp_path: Path) -> Shell:
    """A shell on an installation that has the sample agency after its first night."""
    folder = tmp_path / "hr"
    folder.mkdir()
    text = (ROOT / "examples" / "first-night.csv").read_text(encoding="utf-8")
    (folder / "roster.csv").write_text(text.replace(",Sergeant,", ",Sargent,", 2), encoding="utf-8")
    made = Shell(fresh_home, folder)
    assert fresh_home.muster("agency", "apply", str(ROOT / "examples" / "agency.toml")).returncode == 0
    return made


def test_the_guide_of_the_nightly_import_works_as_it_is_written(shell: Shell) -> None:
    by_hand, script, confirm, corrected = _FENCE.findall(GUIDE.read_text(encoding="utf-8"))
    assert shell.run(by_hand).returncode in (0, 1)
    (shell.folder / "nightly.sh").write_text(shell.fit(script), encoding="utf-8")
    run = "sh /srv/hr/nightly.sh"
    assert shell.run(run).returncode == 1, "two rows have an unknown rank"
    active = _count_active(shell)

    # A file without forty of its people is held, and its key is not used up.
    _drop_rows(shell.folder / "roster.csv", 40)
    _forget_key(shell)
    held = shell.run(run)
    assert held.returncode == 4, held.stderr
    hold = shell.read_last()["holds"][0]  # type: ignore[index]  # a list of objects
    assert {name: hold[name] for name in ("code", "kind", "active")} == {
        "code": "limit", "kind": "deactivations", "active": active,
    }  # fmt: skip
    number = hold["users"]
    assert shell.run(confirm.replace("40", str(number + 1))).returncode == 4
    assert shell.run(confirm.replace("40", str(number))).returncode == 1
    assert _count_active(shell) == active - number
    again = shell.run(run)
    assert again.returncode == 1, "a retry of the night answers with the import that ran"
    assert shell.read_last()["import"] == _list_imports(shell)[0]["import"]

    # The errors file is a workbook of text cells: corrected in a spreadsheet, it comes back without damage.
    errors = shell.folder / "errors.xlsx"
    _correct_rank(errors, "Sargent", "Sergeant")
    shell.run(corrected)
    done = shell.home.muster("imports", "show", _list_imports(shell)[0]["import"], "--output", "json")
    assert json.loads(done.stdout)["counts"]["updated"] + json.loads(done.stdout)["counts"]["added"] > 0


def _drop_rows(path: Path, number: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-number]), encoding="utf-8")


def _forget_key(shell: Shell) -> None:
    """The next night has another key: the script is of another day."""
    script = shell.folder / "nightly.sh"
    script.write_text(script.read_text(encoding="utf-8").replace("roster-", "next-"), encoding="utf-8")


def _count_active(shell: Shell) -> int:
    exported = shell.home.muster("export", "--agency", "riverton-pd", "--format", "json")
    return sum(user["STATUS"] == "Active" for user in json.loads(exported.stdout))


def _list_imports(shell: Shell) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(
        shell.home.muster("imports", "--agency", "riverton-pd", "--output", "json").stdout
    )
    return listed


def _correct_rank(workbook: Path, wrong: str, right: str) -> None:
    """Replace a text in all parts of a workbook, as a spreadsheet does that keeps text cells as they are."""
    with zipfile.ZipFile(workbook) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(workbook, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(wrong.encode(), right.encode()))
