"""Databases for tests that start real processes: each test gets one of its own, empty and migrated."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

_MUSTER = str(Path(sys.executable).parent / "muster")
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
        return self.run(_MUSTER, *arguments, timeout=timeout)

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run any command to its end, on this installation."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `muster` on this installation, for a test that watches or kills it, and that waits for its end."""
        pipe = subprocess.PIPE
        return subprocess.Popen([_MUSTER, *arguments], env=self.environment, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def template(folder: Path, server: str) -> Iterator[Home]:
    """A migrated installation, of which `copied` makes copies; on PostgreSQL it is a database of the server's."""
    with _created(server) as url:
        home = Home(folder, url)
        done = home.run(sys.executable, "-m", "django", "migrate", "--verbosity", "0", timeout=300)
        assert done.returncode == 0, done.stderr
        yield home


@contextmanager
def empty(server: str) -> Iterator[str]:
    """The URL of a new database of the server's without tables ("" for SQLite), gone afterwards."""
    with _created(server) as url:
        yield url


@contextmanager
def copied(original: Home, folder: Path) -> Iterator[Home]:
    """A copy of an installation, gone afterwards."""
    shutil.copytree(original.folder, folder, dirs_exist_ok=True)
    with _created(original.database_url, copy=True) as url:
        yield Home(folder, url)


@contextmanager
def _created(server: str, *, copy: bool = False) -> Iterator[str]:
    """A new database beside the one of the URL, empty or a copy of it; "" where there is no URL."""
    if not server:
        yield ""
        return
    name = f"muster_{os.getpid()}_{next(_numbers)}"
    # Through the server's own database: one cannot be copied while anybody is connected to it.
    with psycopg.connect(_at(server, "postgres"), autocommit=True) as connection:
        like = f' TEMPLATE "{urlsplit(server).path.strip("/")}"' if copy else ""
        connection.execute(f'CREATE DATABASE "{name}"{like}')
        try:
            yield _at(server, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _at(server: str, name: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}/{name}{'?' if parts.query else ''}{parts.query}"
