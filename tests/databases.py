"""Databases for tests that start real processes: each test gets one of its own, empty and migrated."""

import fcntl
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests import forks

_ROOT = Path(__file__).parents[1]
_SHARED = _ROOT / "build" / "tests" / "migrated"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Home:
    """An installation of its own: a folder for MUSTER_HOME, and a DATABASE_URL ("" for SQLite in that folder)."""

    folder: Path
    database_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment with which a process works on this installation."""
        inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "MUSTER_HOME")}
        named = {"DATABASE_URL": self.database_url} if self.database_url else {}
        return (
            inherited
            | named
            | {"MUSTER_HOME": str(self.folder), "DJANGO_SETTINGS_MODULE": "musterbook.config.settings"}
        )

    def muster(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `muster` with its arguments to its end, on this installation."""
        return self.run(forks.MUSTER, *arguments, timeout=timeout)

    def run(self, *command: str, timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run any command to its end, on this installation, with these environment variables."""
        environment = self.environment | variables
        run = forks.run if forks.are_used and forks.can_run(command, environment) else _run_process
        return run(command, environment, timeout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `muster` on this installation, for a test that watches or kills it, and that waits for its end."""
        pipe = subprocess.PIPE
        return start([forks.MUSTER, *arguments], self.environment, stdout=pipe, stderr=pipe, text=True)


def start(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None, **streams: Any
) -> subprocess.Popen[Any]:
    """Start a command, for a test that watches or kills it, and that waits for its end."""
    if forks.are_used and forks.can_run(command, environment):
        return forks.Fork(command, environment, cwd, **streams)
    return subprocess.Popen(command, env=environment, cwd=cwd, **streams)


def _run_process(
    command: tuple[str, ...], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


@contextmanager
def template(folder: Path, server: str) -> Iterator[Home]:
    """Make a migrated installation in the new folder, of which `copy_home` makes copies; on PostgreSQL also a new database.

    With SQLite it is a copy of one that all runs of the same version share: a migration takes seconds.
    """
    with _create(server) as url:
        home = Home(folder, url)
        if url:
            _migrate(home)
        else:
            _copy_migrated(folder)
        yield home


def _migrate(home: Home) -> None:
    done = home.run(sys.executable, "-m", "django", "migrate", "--verbosity", "0", timeout=300)
    assert done.returncode == 0, done.stderr


def _copy_migrated(folder: Path) -> None:
    """Copy the migrated home of the product as it is now; make it first, for the first process that asks."""
    _SHARED.mkdir(parents=True, exist_ok=True)
    shared = _SHARED / _compute_version()
    with (_SHARED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            for old in filter(Path.is_dir, _SHARED.iterdir()):
                shutil.rmtree(old)
            new = _SHARED / "new"
            new.mkdir(mode=0o700)
            _migrate(Home(new, ""))
            new.rename(shared)
        shutil.copytree(shared, folder, dirs_exist_ok=True)


def _compute_version() -> str:
    """Return a digest of all that decides what a migrated home is: the product, its libraries and Python."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (*sorted((_ROOT / "musterbook").rglob("*.py")), _ROOT / "requirements.lock"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def make_empty(server: str) -> Iterator[str]:
    """The URL of a new database of the server's without tables ("" for SQLite), gone afterwards."""
    with _create(server) as url:
        yield url


@contextmanager
def copy_home(original: Home, folder: Path) -> Iterator[Home]:
    """A copy of an installation, gone afterwards."""
    shutil.copytree(original.folder, folder, dirs_exist_ok=True)
    with _create(original.database_url, copy=True) as url:
        yield Home(folder, url)


@contextmanager
def _create(server: str, *, copy: bool = False) -> Iterator[str]:
    """A new database beside the one of the URL, empty or a copy of it; "" where there is no URL."""
    if not server:
        yield ""
        return
    name = f"muster_{os.getpid()}_{next(_numbers)}"
    # Through the server's own database: one cannot be copied while anybody is connected to it.
    with psycopg.connect(_make_url(server, "postgres"), autocommit=True) as connection:
        like = f' TEMPLATE "{urlsplit(server).path.strip("/")}"' if copy else ""
        connection.execute(f'CREATE DATABASE "{name}"{like}')
        try:
            yield _make_url(server, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _make_url(server: str, name: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}/{name}{'?' if parts.query else ''}{parts.query}"
