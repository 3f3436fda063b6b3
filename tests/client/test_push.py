"""The scripts of the how-to *Push a file from a script*, run as they are written."""

import os
import shutil
from pathlib import Path

import pytest

from musterbook.client import Agency
from tests.client.conftest import ROOT, Served, make_token
from tests.client.guides import read_blocks, run_shell, save_scripts

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the guide is for a POSIX shell"),
    pytest.mark.skipif(not shutil.which("curl"), reason="one of the scripts uses curl"),
    pytest.mark.any_database,
]
GUIDE = "how-to/push-from-a-script.md"
SCRIPTS = {"push.py": 0, "push.sh": 1}


class Night:
    """A folder with the scripts, the file of HR, and the token."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served, self.folder, self.file = served, folder, folder / "roster.csv"
        self.token = folder / "token"
        save_scripts(GUIDE, folder)
        self.give_token(make_token(served.home, "users.import", "users.synchronize"))

    def give_token(self, token: str) -> None:
        """Keep the token as the guide keeps it: with the end of a line."""
        self.token.write_text(f"{token}\n", encoding="utf-8")

    def push(self, script: str, address: str = "") -> tuple[int, str]:
        """The exit status and the output of a script, started by the commands of the guide."""
        block = [block for kind, block in read_blocks(GUIDE) if kind == "sh"][SCRIPTS[script]]
        done, _ = run_shell([block], self.folder, {
            "https://muster.example.org/springfield-pd": address or self.served.address,
            "/etc/muster-push/token": str(self.token), "/srv/hr/roster.csv": str(self.file),
        })  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, f"{done.stdout}{done.stderr}"


@pytest.fixture
def night(served: Served, tmp_path: Path) -> Night:
    """The first night: nobody has changed."""
    made = Night(served, tmp_path)
    shutil.copy(ROOT / "examples" / "first-night.csv", made.file)
    return made


def count_imports(served: Served) -> int:
    """The number of imports of the agency."""
    with Agency(served.address, served.token) as agency:
        return len(list(agency.imports.search()))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_file_is_pushed_and_the_status_says_what_was_done(served: Served, night: Night, script: str) -> None:
    status, said = night.push(script)
    assert (status, "applied" in said) == (0, True), said
    imports = count_imports(served)
    assert night.push(script)[0] == 0
    assert count_imports(served) == imports, "the same file is one import"
    lines = night.file.read_text(encoding="utf-8").splitlines(keepends=True)

    broken = [*lines[:9], lines[9].replace(",Active,", ",Actve,"), *lines[10:]]
    night.file.write_text("".join(broken), encoding="utf-8")
    status, said = night.push(script)
    assert status == 1, said
    errors = night.folder / "roster.errors.csv"
    assert errors.exists() == (script == "push.py")

    night.file.write_text("".join(lines[:100]), encoding="utf-8")
    status, said = night.push(script)
    assert status == 4 and "held" in said, said

    night.file.write_text("NOTHING,KNOWN\n1,2\n", encoding="utf-8")
    status, said = night.push(script)
    assert status == 3 and "refused" in said, said


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_token_without_permission_and_a_server_that_is_away_are_told_apart(night: Night, script: str) -> None:
    night.give_token(make_token(night.served.home, "users.import"))
    status, said = night.push(script)
    assert status == 3 and "users.synchronize" in said, said
    status, said = night.push(script, "http://127.0.0.1:9/riverton-pd")
    assert status == 5, said
