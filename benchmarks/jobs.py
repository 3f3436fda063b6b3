"""The measured processes: jobs of `work`, and commands."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts import setup
from tests.databases import Home

_DONE = (0, 1)
"""The exit statuses of an import that was applied; 1 means that some rows were not."""
_PATIENCE = 4 * 3600


def run_job(name: str, home: Home | None, /, **arguments: Any) -> dict[str, Any]:
    """Run one job of `work`, on an installation if one is given. Return its measurements, and the seconds of its process."""
    since = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.work", name, json.dumps(arguments)],
        cwd=setup.ROOT, env=home.environment if home else None, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if process.returncode != 0:
        raise SystemExit(f"The job {name} of the benchmark failed; the lines above say why.")
    return {**json.loads(process.stdout.splitlines()[-1]), "process": time.perf_counter() - since}


def make_files(folder: Path, users: int, *files: str) -> None:
    """Make the folder, and the named files of an agency of that many users in it."""
    folder.mkdir(exist_ok=True)
    run_job("make", None, folder=str(folder), users=users, files=files)


def time_import(home: Home, file: Path, mode: str) -> float:
    """Return the seconds of the whole command `muster import`, from its start to its end."""
    since = time.perf_counter()
    process = home.muster("import", str(file), "--agency", "bench", "--mode", mode, timeout=_PATIENCE)
    seconds = time.perf_counter() - since
    if process.returncode not in _DONE:
        raise SystemExit(f"muster import ended with {process.returncode}:\n{process.stdout}{process.stderr}")
    return seconds


def get_source(home: Home) -> dict[str, str]:
    """Return the location of an installation's rows, as `work.time_limit` takes it."""
    return {"url": home.database_url, "folder": str(home.folder)}
