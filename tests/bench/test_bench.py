"""The benchmark runs from end to end on a small agency, and what it imports is what it says; no seconds are judged."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import api_runs, jobs
from benchmarks.__main__ import main
from benchmarks.plans import CASES
from tests import forks
from tests.databases import Home

pytestmark = pytest.mark.any_database


ROOT = Path(__file__).parents[2]
_USERS = 500
_OTHERS = tuple(
    chain.from_iterable(("--case", case) for case in CASES if case not in ("api", "agencies", "feeds", "kolibri"))
)


@pytest.fixture
def _quick_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The jobs and servers of the benchmark are forks: they start quickly, and nobody judges their seconds here."""
    monkeypatch.setattr(jobs, "subprocess", SimpleNamespace(run=_run_job, PIPE=subprocess.PIPE))
    monkeypatch.setattr(api_runs, "subprocess", forks.make_stand_in())
    monkeypatch.setenv("MUSTER_MAX_FILE_MB", "4096")  # the command sets it
    ends = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, ends)


def _run_job(command: list[str], env: dict[str, str] | None, **_: object) -> "subprocess.CompletedProcess[str]":
    done = forks.run(tuple(command), env or os.environ, 3600)
    sys.stderr.write(done.stderr)
    return done


def _quick(home: Home, out: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """The rows of a quick run with profiles by their cases."""
    database = "postgresql" if home.database_url else "sqlite"
    assert main(["--quick", "--profile", "--database", database, "--out", str(out), *arguments]) == 0
    rows = json.loads((out / "profile.json").read_text(encoding="utf-8"))["rows"]
    return {row["case"]: row for row in rows}


@pytest.mark.usefixtures("_quick_processes")
def test_a_quick_run_measures_every_case_and_profiles_each_stage(
    fresh_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_home.database_url)
    rows = _quick(fresh_home, tmp_path, "--users", str(_USERS), "--peer-users", "200", *_OTHERS)
    outcomes = {case: {name: n for name, n in row["counts"].items() if n} for case, row in rows.items()}
    assert outcomes["new"] == {"rows": _USERS, "added": _USERS}
    assert outcomes["unchanged"] == {"rows": _USERS, "unchanged": _USERS}
    assert outcomes["changed"] == {"rows": _USERS, "updated": 5, "unchanged": _USERS - 10, "errored": 5}
    assert outcomes["rotated"] == {"rows": _USERS, "updated": 15, "handovers": 10, "unchanged": _USERS - 15}
    assert outcomes["everybody"] == {"rows": _USERS, "updated": _USERS}
    assert outcomes["peer-changed"] == {"rows": 200, "updated": 5, "unchanged": 195}
    assert set(rows["new"]["seconds"]) > {"run", "read", "write", "process", "planning"}
    assert set(rows["changed"]["seconds"]) > {"run", "read", "select", "write", "command", "command-empty"}
    assert set(rows["edit"]["seconds"]) == {"run", "small"}
    assert {"run", "peer", "peer hooked"} < set(rows["peer-unchanged"]["seconds"])
    assert set(rows["start"]["seconds"]) == {"python", "muster --version", "muster import --help"}
    assert not (tmp_path / "last.json").exists()
    said = capsys.readouterr().out
    assert said == (tmp_path / "profile.md").read_text(encoding="utf-8") + "\n"
    assert "**Against the targets**" in said
    profiles = {
        path.stem.rpartition("new-")[2]: path.read_text(encoding="utf-8") for path in tmp_path.glob("*-500-new-*.txt")
    }
    assert {"reading", "planning", "writing", "committing"} <= set(profiles)
    assert "intake.py" in profiles["reading"] and "frames.py" in profiles["writing"]


@pytest.mark.usefixtures("_quick_processes")
def test_a_quick_run_of_feeds_lets_workers_import_what_arrives(
    fresh_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_home.database_url)
    small = ("--feeds", "4", "--feed-users", "20", "--rows", "300")
    rows = _quick(fresh_home, tmp_path, "--case", "feeds", *small)
    assert rows["feeds"]["counts"] == {"feeds": 4, "users": 80}
    assert {"looking", "finding"} < set(rows["feeds"]["seconds"])
    for workers in ("1 worker", "2 workers"):
        assert {f"all applied, {workers}", f"all settled, {workers}"} < set(rows["feeds"]["seconds"])
        assert len(rows["feed-waits"]["seconds"][f"wait, changed, {workers}"]) == 5


@pytest.mark.parametrize("option", ["--table", "--plot"])
def test_tables_and_pictures_are_made_of_what_is_kept_without_measuring(tmp_path: Path, option: str) -> None:
    kept = {"rows": [{"case": "new", "database": "sqlite", "users": 10, "seconds": {"run": [1.5]}, "peak_bytes": [5]}]}
    (tmp_path / "last.json").write_text(json.dumps(kept))
    picture = tmp_path / "plot.svg"
    command = [sys.executable, "-m", "benchmarks", option, "--out", str(tmp_path), "--picture", str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| 1.50 " in done.stdout
    assert picture.exists() == (option == "--plot")
    assert json.loads((tmp_path / "last.json").read_text()) == kept
