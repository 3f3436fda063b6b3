"""The PostgreSQL of the tests leaves nothing behind, and the closing line of ./test counts what was counted."""

import ast
import os
import stat
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from scripts import postgres, setup, testing
from scripts.setup import ROOT
from tests import forks, parts

needs_postgres = pytest.mark.skipif(not postgres.is_installed(), reason="there is no PostgreSQL on this machine")
_MAIN = '\nif __name__ == "__main__":\n'
_USE = "from scripts import postgres\nwith postgres.server() as url: print(url, flush=True); input()"


@needs_postgres
@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate], ids=["killed", "ended"])
def test_a_server_is_gone_when_its_user_is_gone(end: "Callable[[subprocess.Popen[str]], None]") -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _USE], stdin=pipe, stdout=pipe, text=True, env=environment) as user:
        assert user.stdout is not None
        url = user.stdout.readline().strip()
        folder = Path(parse_qs(urlsplit(url).query)["host"][0])
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
        end(user)
    until = time.monotonic() + 20
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_same_pythons_are_named_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (least, *_, (major, minor)) = setup.PYTHONS
    assert project["requires-python"] == f">={least[0]}.{least[1]},<{major}.{minor + 1}"
    names = [f"{major}.{minor}" for major, minor in setup.PYTHONS]
    listed = f"Python {', '.join(names[:-1])} or {names[-1]}"
    for document in ("README.md", "CONTRIBUTING.md", "docs/tutorial.md", "scripts/setup.py"):
        assert listed in (ROOT / document).read_text(encoding="utf-8"), document


def test_without_a_python_that_fits_setting_up_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "_runs_here", lambda _: False)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SystemExit, match=r"^Musterbook needs Python 3\.11, .* or 3\.14\. Install one of them"):
        setup._create()


def test_a_server_that_is_named_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://db/muster")
    with postgres.server() as url:
        assert url == "postgres://db/muster"


def test_the_counts_are_those_of_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>')
    assert testing.count_results(report, 1) == Counter(passed=3, failed=3, skipped=3)


def test_a_run_that_broke_off_is_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert testing.count_results(report, 3) == Counter(failed=1)
    report.write_text('<testsuites><testsuite tests="9" failures="0" errors="0" skipped="0"/></testsuites>')
    assert testing.count_results(report, 2) == Counter(passed=9, failed=1)


def test_skipped_tests_are_named_in_the_closing_line_if_there_are_any() -> None:
    assert testing.format_summary(Counter(passed=812)) == "812 passed, 0 failed"
    assert testing.format_summary(Counter(passed=1, failed=2, skipped=3)) == "1 passed, 2 failed, 3 skipped"


def _list_scripts() -> list[str]:
    """The programs of the checkout that have no suffix."""
    files = [path for path in ROOT.iterdir() if path.is_file() and not path.suffix]
    return sorted(path.name for path in files if path.read_bytes().startswith(b"#!/usr/bin/env python3"))


def _list_modules() -> list[str]:
    """The modules that can be run, without the processes that tests start."""
    folders = ("scripts", "benchmarks", "fault_harness", "examples")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "tests" / "files" / "make.py", ROOT / "tests" / "attacks" / "measured_import.py"]
    can_run = [path for path in files if _MAIN in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in can_run)


def test_every_program_begins_as_the_others_do() -> None:
    assert len(_list_scripts()) == 7
    for name in (*_list_scripts(), *(f"{module.replace('.', '/')}.py" for module in _list_modules())):
        text = (ROOT / name).read_text(encoding="utf-8")
        about = "None" if "ArgumentParser" in text or name in ("run", "bench", "faults") else "__doc__"
        assert f"{_MAIN}    with program.run({about}):\n" in text, name


@pytest.mark.parametrize("command", _list_scripts())
def test_help_of_every_script_explains_it_and_starts_nothing(command: str) -> None:
    done = subprocess.run([ROOT / command, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"./{command}" in done.stdout or command == "screenshots"


@pytest.mark.parametrize("name", _list_modules())
def test_help_of_every_module_that_is_a_program_explains_it_and_does_nothing(name: str) -> None:
    if "django" in name:
        pytest.importorskip("django_scim")
    before = _list_times()
    done = forks.run((sys.executable, "-m", name.removesuffix(".__main__"), "--help"), os.environ, 60)
    assert (done.returncode, done.stderr) == (0, "")
    about = ast.get_docstring(ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")))
    assert done.stdout.startswith("usage: ") or done.stdout.strip() == about
    assert _list_times() == before


def _list_times() -> dict[Path, int]:
    """When the files were written that some of the programs write."""
    folders = ("docs/reference", "docs/pictures", "examples", "tests/files", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).iterdir() if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize("command", [["./check", "--help"], [sys.executable, "-m", "scripts.mutation", "--help"]])
def test_a_program_whose_output_nobody_reads_ends_quietly(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, cwd=ROOT, env=buffered, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_failure_of_another_pipe_is_not_quiet() -> None:
    code = "from scripts import program\nwith program.run(None): raise BrokenPipeError('of another process')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "BrokenPipeError: of another process")


def test_temporary_files_are_in_memory_while_all_tests_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(testing, "_MEMORY", tmp_path)
    monkeypatch.setattr(testing, "_ROOM", 0)
    with testing.keep_files_in_memory():
        folder = Path(os.environ["TMPDIR"])
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert (list(tmp_path.iterdir()), os.environ.get("TMPDIR")) == ([], None)


def test_temporary_files_stay_where_they_are_without_room_in_memory_or_if_the_user_has_named_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for memory, room, named in ((tmp_path / "none", 0, None), (tmp_path, 2**80, None), (tmp_path, 0, "named")):
        monkeypatch.delenv("TMPDIR", raising=False)
        if named:
            monkeypatch.setenv("TMPDIR", named)
        monkeypatch.setattr(testing, "_MEMORY", memory)
        monkeypatch.setattr(testing, "_ROOM", room)
        with testing.keep_files_in_memory():
            assert (os.environ.get("TMPDIR"), list(tmp_path.iterdir())) == (named, [])


def test_what_runs_on_one_database_is_a_test_that_runs_there() -> None:
    for entry in (*parts._ON_SQLITE, *parts._ON_POSTGRESQL):
        file, _, test = entry.partition("[")[0].partition("::")
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), entry
        assert entry.startswith(parts._ON_BOTH), entry
    assert not any(entry.startswith(parts._ON_SQLITE) for entry in parts._ON_POSTGRESQL)


def test_measured_files_come_first_and_of_each_kind_the_longest(request: pytest.FixtureRequest) -> None:
    items = request.session.items
    ordered = parts.order(items)
    assert sorted(map(id, ordered)) == sorted(map(id, items))
    tests = Counter(item.path for item in ordered)
    measured = {item.path for item in ordered if parts.is_measured(item)}
    places = [(item.path not in measured, tests[item.path], item.path, not parts.is_measured(item)) for item in ordered]
    assert places == sorted(places)


_RUN = """
from pathlib import Path
import sys, tempfile
from scripts import run_folders
run_folders.use_folder(run_folders.make_folder(Path(sys.argv[1])))
print(tempfile.mkdtemp(), flush=True)
sys.stdin.read()
"""


@contextmanager
def _run_in_folder(parent: Path) -> Iterator["tuple[subprocess.Popen[str], Path]"]:
    """A process whose temporary files are in a folder below this one, and what it has begun there."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, str(parent)], cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_a_run_neither_waits_for_nor_removes_what_is_no_folder_of_a_run(tmp_path: Path) -> None:
    """Others can write into the folder of temporary files, too."""
    os.mkfifo(tmp_path / "muster-run-pipe")
    (tmp_path / "muster-run-link").symlink_to(tmp_path)
    with _run_in_folder(tmp_path) as (_, begun):
        assert begun.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["muster-run-link", "muster-run-pipe"]


def test_the_temporary_files_of_a_run_are_gone_when_it_ends(tmp_path: Path) -> None:
    with _run_in_folder(tmp_path) as (_, begun):
        assert begun.is_dir()
        assert begun.parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_files_of_a_run_that_was_killed_are_gone_when_another_one_begins(tmp_path: Path) -> None:
    with _run_in_folder(tmp_path) as (killed, left):
        killed.kill()
    with _run_in_folder(tmp_path) as (_, other):
        assert left.exists(), "another run may have just made the folder, and not locked it yet"
        for folder in tmp_path.iterdir():
            os.utime(folder, (0, 0))
        with _run_in_folder(tmp_path):
            assert (left.parent.exists(), other.exists()) == (False, True)


_REACHES = """
import coverage, sys
from tests import parts
measuring = coverage.Coverage.current()
def reach(name):
    exec(compile("reached = 1", name, "exec"), {})
reach("before.py")
with parts.pause_coverage():
    reach("paused.py")
    assert parts.FOR_PROCESSES not in parts.os.environ
reach("after.py")
assert parts.os.environ[parts.FOR_PROCESSES]
data = measuring.get_data()
print([name for name in data.measured_files() if data.lines(name)])
"""


def test_what_a_test_reaches_is_not_counted_while_coverage_is_paused(tmp_path: Path) -> None:
    (tmp_path / "reaches.py").write_text(_REACHES)
    (tmp_path / "setup.cfg").write_text("[coverage:run]\npatch = subprocess\n")
    for name in ("before", "paused", "after"):
        (tmp_path / f"{name}.py").write_text("reached = 1")
    done = subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--source=.", "reaches.py"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [name in done.stdout for name in ("before.py", "paused.py", "after.py")] == [True, False, True]
