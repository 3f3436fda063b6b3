"""The benchmark runs from end to end on a small agency, and what it imports is what it says; no seconds are judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import people
from tests.databases import Home

ROOT = Path(__file__).parents[2]
_USERS = 500


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        people.make(tmp_path / name, _USERS)
    for file in ("all.csv", "changed.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_day_changes_some_users_and_makes_as_many_rows_faulty(tmp_path: Path) -> None:
    people.make(tmp_path, _USERS)
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("all.csv", "changed.csv"))
    assert len(before) == len(after) == _USERS + 1
    assert sum(was != now for was, now in zip(before, after, strict=True)) == 10


@pytest.mark.usefixtures("fresh_home")
def test_a_quick_run_measures_every_case(fresh_home: Home, tmp_path: Path) -> None:
    database = "postgresql" if fresh_home.database_url else "sqlite"
    environment = {**os.environ, "DATABASE_URL": fresh_home.database_url}
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--users",
        str(_USERS),
        "--database",
        database,
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "last.json").read_text(encoding="utf-8"))["rows"]
    outcomes = {row["case"]: {name: n for name, n in row["counts"].items() if n} for row in rows}
    assert outcomes["new"] == {"rows": _USERS, "added": _USERS}
    assert outcomes["unchanged"] == {"rows": _USERS, "unchanged": _USERS}
    assert outcomes["changed"] == {"rows": _USERS, "updated": 5, "unchanged": _USERS - 10, "errored": 5}
    assert all(row["limit"] > 0 and row["target"] > 0 for row in rows)
