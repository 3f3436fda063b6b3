"""The installation looked after, by real processes: made on first use, looked into, copied, brought back."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import AGENCY, Muster, row
from tests.databases import Home, copy_home

_MUSTER = str(Path(sys.executable).parent / "muster")


@pytest.fixture(scope="module")
def _original(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation with the agency of AGENCY and two users."""
    folder = tmp_path_factory.mktemp("lived-in")
    (folder / "agency.toml").write_text(AGENCY, encoding="utf-8")
    roster = Muster(folder).file(row("ann"), row("bob"))
    with copy_home(_migrated, folder / "home") as home:
        assert home.muster("agency", "apply", str(folder / "agency.toml")).returncode == 0
        assert home.muster("import", str(roster), "--agency", "springfield-pd").returncode == 0
        yield home


@pytest.fixture
def lived_in(_original: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of that installation."""
    with copy_home(_original, tmp_path / "home") as home:
        yield home


def test_a_backup_brings_everything_back(lived_in: Home, tmp_path: Path) -> None:
    if lived_in.database_url and not (
        shutil.which("pg_dump") or list(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    ):
        pytest.skip("there is no pg_dump here")
    backup = str(tmp_path / "muster.tar")
    export = ("export", "--agency", "springfield-pd")
    before = lived_in.muster(*export).stdout
    assert lived_in.muster("backup", backup).returncode == 0
    assert Path(backup).stat().st_mode & 0o777 == 0o600
    assert "already exists" in lived_in.muster("backup", backup).stderr
    roster = Muster(tmp_path).file(row("cat"))
    lived_in.muster("import", str(roster), "--agency", "springfield-pd")
    refused = lived_in.muster("restore", backup)
    assert (refused.returncode, lived_in.muster(*export).stdout != before) == (3, True)
    assert "add --yes" in refused.stderr
    done = lived_in.muster("restore", backup, "--yes")
    assert (done.returncode, lived_in.muster(*export).stdout) == (0, before), done.stderr
    assert lived_in.muster("audit", "verify").returncode == 0
    assert len(list((lived_in.folder / "files").iterdir())) == 1


def test_what_is_no_backup_is_not_restored(lived_in: Home, tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_text("not a tar")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "no.tar", "agency.toml")
    for name in ("no.tar", "other.tar", "absent.tar"):
        done = lived_in.muster("restore", str(tmp_path / name), "--yes")
        assert (done.returncode, "muster backup" in done.stderr) == (3, True)
    assert lived_in.muster("agency", "list").stdout


def test_a_sound_installation_has_no_findings(lived_in: Home) -> None:
    done = lived_in.muster("doctor")
    assert (done.returncode, "✗" in done.stdout) == (0, False), done.stdout
    assert "audit trail: whole (3 events)" in done.stdout
    where = "PostgreSQL" if lived_in.database_url else str(lived_in.folder / "muster.sqlite3")
    assert [line for line in done.stdout.splitlines() if line.startswith("✓ database: ") and where in line]


@pytest.mark.any_database
def test_a_database_that_is_gone_is_found_and_no_new_one_is_called_whole(lived_in: Home) -> None:
    if lived_in.database_url:
        pytest.skip("a database of PostgreSQL is no file")
    (lived_in.folder / "muster.sqlite3").unlink()
    for command in ("doctor", "doctor", "migrate", "doctor"):
        done = lived_in.muster(command, timeout=300)
        assert (done.returncode, "✗ database: MUSTER_HOME has the files" in done.stdout) == (
            (0, False) if command == "migrate" else (1, True)
        ), done.stdout
    assert "muster restore FILE" in done.stdout


def test_a_restore_names_the_agencies_that_may_have_moved_away(lived_in: Home, tmp_path: Path) -> None:
    backup = str(tmp_path / "muster.tar")
    assert lived_in.muster("backup", backup).returncode == 0
    assert lived_in.muster("agency", "pause", "springfield-pd").returncode == 0
    assert "Not paused" not in lived_in.muster("recovered").stderr
    for command in (("restore", backup, "--yes"), ("recovered",)):
        said = lived_in.muster(*command, timeout=300).stderr
        assert "run `muster agency pause SLUG` for each of them. Not paused: springfield-pd." in said
    others = [f"a-{number}" for number in range(10)]
    assert lived_in.run(sys.executable, "-m", "tests.directory.driver", "agency", *others).returncode == 0
    assert "a-8, a-9, …." in lived_in.muster("recovered").stderr


def test_of_many_first_uses_at_once_one_makes_the_embedded_database(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home", "")
    started = [home.start("agency", "list") for _ in range(3)]
    assert [process.communicate(timeout=300)[1][:24] for process in started] == ["There is no agency yet. "] * 3
    assert [process.returncode for process in started] == [0] * 3
    assert (home.folder / "muster.sqlite3").stat().st_mode & 0o777 == 0o600


def test_doctor_reports_a_database_that_is_behind_and_migrate_corrects_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", "")
    home.folder.mkdir(mode=0o700)
    sqlite3.connect(home.folder / "muster.sqlite3").close()
    done = home.muster("doctor")
    assert (done.returncode, "changes are pending; the next command makes them" in done.stdout) == (
        0,
        True,
    )
    assert "changes made" in home.muster("migrate", timeout=300).stdout
    again = home.muster("migrate")
    assert again.stdout == "The database is up to date.\n"
    assert f"Database: {home.folder / 'muster.sqlite3'}" in again.stderr
    assert home.muster("doctor").returncode == 0


def test_an_unreachable_database_is_reported_in_one_line(tmp_path: Path) -> None:
    home = Home(tmp_path, "postgres://nobody@localhost:1/nothing")
    done = home.muster("agency", "list")
    assert (done.returncode, done.stdout) == (5, "")
    assert "The database could not be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert home.muster("doctor").returncode == 1
    wrong = replace(home, database_url="mysql://x").muster("agency", "list")
    assert (wrong.returncode, "DATABASE_URL" in wrong.stderr) == (2, True)


def test_a_reader_that_goes_away_is_no_error(lived_in: Home) -> None:
    command = f"'{_MUSTER}' export --agency springfield-pd | true"
    done = subprocess.run(
        ["bash", "-c", command], env=lived_in.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["--version", "--help", "import --help", "agency list", "example"])
def test_a_reader_that_has_gone_before_is_no_error(lived_in: Home, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [_MUSTER, *command.split()], env=lived_in.environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )  # fmt: skip
    os.close(writer)
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["agency list", "doctor", "example", "export --agency springfield-pd"])
def test_a_closed_standard_output_is_no_error(lived_in: Home, command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{_MUSTER}' {command} >&-"], env=lived_in.environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["import", "--help"], ["example"]])
def test_help_and_version_load_neither_django_nor_polars(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom musterbook.cli.main import main\n"
        f"sys.argv = ['muster', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(str({'django', 'polars', 'rich'} & set(sys.modules)) if {'django', 'polars', 'rich'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
@pytest.mark.any_database
def test_a_backup_is_restored_over_a_damaged_database_which_is_kept_aside(
    lived_in: Home, tmp_path: Path, damage: str
) -> None:
    backup, file = str(tmp_path / "muster.tar"), lived_in.folder / "muster.sqlite3"
    assert lived_in.muster("backup", backup, "--unencrypted").returncode == 0
    whole = file.read_bytes()
    file.write_bytes(b"x" * len(whole) if damage == "overwritten" else whole[: len(whole) // 3])
    for part in ("-wal", "-shm"):
        file.with_name(f"{file.name}{part}").unlink(missing_ok=True)
    output = lived_in.muster("doctor").stdout
    assert "muster restore" in output and "DATABASE_URL" not in output
    refused = lived_in.muster("agency", "list")
    assert refused.returncode == 5
    assert refused.stderr.startswith(f"{file}: ") and "`muster restore FILE --yes`" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert lived_in.muster("restore", backup).returncode == 3
    done = lived_in.muster("restore", backup, "--yes")
    assert done.returncode == 0, done.stderr
    assert "springfield-pd" in lived_in.muster("agency", "list").stdout
    assert [path for path in lived_in.folder.iterdir() if ".damaged-" in path.name]


@pytest.mark.any_database
def test_a_folder_that_cannot_be_used_is_named_with_the_remedy_and_without_a_trace(
    fresh_home: Home, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", Path("/proc/muster")):
        done = replace(fresh_home, folder=folder).muster("keys", "list")
        assert done.returncode == 5
        assert "Traceback" not in done.stderr and "The log has the details" not in done.stderr
        assert str(folder) in done.stderr and "MUSTER_HOME" in done.stderr
        findings = replace(fresh_home, folder=folder).muster("doctor")
        assert findings.returncode == 1
        faults = [line for line in findings.stdout.splitlines() if "✗" in line]
        assert fresh_home.database_url or len(faults) == 1, findings.stdout
        assert "restore" not in findings.stdout
