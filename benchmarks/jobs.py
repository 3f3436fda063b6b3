"""Starts what is measured: jobs of `work` and commands, each in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts import setup
from tests.databases import Home

_DONE = (0, 1)
"""The exit statuses of an import that was done; 1: some rows excepted."""
_PATIENCE = 4 * 3600


def job(name: str, home: Home | None, /, **arguments: Any) -> dict[str, Any]:
    """One job of `work`, on an installation if one is named; gives what it measured, and the seconds of its process."""
    since = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.work", name, json.dumps(arguments)],
        cwd=setup.ROOT, env=home.environment if home else None, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"The job {name} of the benchmark failed; the lines above say why.")
    return {**json.loads(done.stdout.splitlines()[-1]), "process": time.perf_counter() - since}


def make(folder: Path, users: int, *files: str) -> None:
    """Makes the folder, and in it the files named of an agency of so many users."""
    folder.mkdir(exist_ok=True)
    job("make", None, folder=str(folder), users=users, files=files)


def imported(home: Home, file: Path, mode: str) -> float:
    """The seconds of the whole command `muster import`, from its start to its end."""
    since = time.perf_counter()
    done = home.muster("import", str(file), "--agency", "bench", "--mode", mode, timeout=_PATIENCE)
    seconds = time.perf_counter() - since
    if done.returncode not in _DONE:
        raise SystemExit(f"muster import ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def source(home: Home) -> dict[str, str]:
    """Where an installation's rows are, as `work.limit` takes it."""
    return {"url": home.database_url, "folder": str(home.folder)}
