"""The command, run within the test's own process, and a small agency to run it on."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pytest_django import DjangoDbBlocker
from typer.main import get_command

from musterbook.cli import commands
from tests.built_once import built_once

AGENCY = """
slug = "springfield-pd"
name = "Springfield Police Department"
default_country = "US"
deactivation_limit = { users = 1, percent = 0, most = 500 }

[[roles]]
name = "Admin"
[[roles]]
name = "Officer"
[[roles]]
name = "Clerk"
permissions = ["users.view", "users.import"]

[[ranks]]
name = "Sergeant"
abbreviation = "Sgt"

[[groups]]
external_id = "PATROL-1"
name = "Patrol, first district"
"""
HEADINGS = (
    "EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE", "SUPERVISOR_EMAIL", "RANK",
)  # fmt: skip

_COMMAND = get_command(commands.app)


@dataclass(frozen=True)
class CommandResult:
    """How a command ended."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """What it wrote to standard output."""
        return self.out.decode()

    @property
    def json(self) -> Any:
        """The JSON that it wrote to standard output."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Muster:
    """The command `muster`, in a folder of the test's own."""

    folder: Path

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> CommandResult:
        """Run the command to its end."""
        result = CliRunner().invoke(_COMMAND, [str(argument) for argument in arguments], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return CommandResult(result.exit_code, result.stdout_bytes, result.stderr)

    def file(self, *rows: str, name: str = "roster.csv", headings: tuple[str, ...] = HEADINGS) -> Path:
        """A file of these rows, each `E-1 ann Officer …`: see `row`."""
        path = self.folder / name
        path.write_text("\n".join([",".join(headings), *rows, ""]), encoding="utf-8")
        return path

    def imported(self, *rows: str, mode: str = "update", also: tuple[str, ...] = ()) -> CommandResult:
        """Import these rows, and have the answer as JSON."""
        return self(
            "import", self.file(*rows), "--agency", "springfield-pd", "--mode", mode, "--output", "json", *also
        )  # fmt: skip

    def begin_with(self, *rows: str, also: tuple[str, ...] = ()) -> None:
        """Import these rows, as many tests begin."""
        import_rows(rows, also)


@built_once
def import_rows(rows: tuple[str, ...], also: tuple[str, ...]) -> None:
    """Import these rows into the agency of AGENCY."""
    with tempfile.TemporaryDirectory() as folder:
        done = Muster(Path(folder)).imported(*rows, also=also)
        assert done.status == 0, done.text


def row(
    name: str, *, status: str = "Active", role: str = "Officer", boss: str = "", rank: str = "", badge: str = ""
) -> str:
    """A row for the person of that name, of which all else is made."""
    badge = badge or f"B-{name}"
    mail = f"{name}@springfield.example"
    return f"E-{name},{mail},{badge},{name.title()},Smith,{status},{name},{role},{boss},{rank}"


@pytest.fixture(scope="session")
def _database_marked(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The tests' database says that it is up to date, as one does that a command has made."""
    with django_db_blocker.unblock():
        from musterbook.directory.installation import migration

        migration.migrate()


@pytest.fixture
def muster(_database_marked: None, db: None, tmp_path: Path) -> Muster:
    """The command, on an empty directory."""
    return Muster(tmp_path)


@pytest.fixture
def springfield(muster: Muster) -> Muster:
    """The command, on a directory that has the agency of AGENCY, without users."""
    (muster.folder / "agency.toml").write_text(AGENCY, encoding="utf-8")
    apply_agency()
    return muster


@built_once
def apply_agency() -> None:
    """Create the agency of AGENCY."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agency.toml"
        path.write_text(AGENCY, encoding="utf-8")
        assert Muster(path.parent)("agency", "apply", path).status == 0


@built_once
def build_directory(rows: tuple[str, ...], headings: tuple[str, ...] = HEADINGS, also: tuple[str, ...] = ()) -> None:
    """Create the agency of AGENCY, and import these rows."""
    apply_agency()
    with tempfile.TemporaryDirectory() as folder:
        muster = Muster(Path(folder))
        done = muster("import", muster.file(*rows, headings=headings), "--agency", "springfield-pd", *also)
        assert done.status == 0, done.text
