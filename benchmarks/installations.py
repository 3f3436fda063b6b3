"""Installations to measure on, and cheap copies of them, which share blocks if the file system can do that."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.databases import Home

BYTES_A_USER = 7_000
"""The bytes on the disk for a user with one event, with indexes and the log of the write, in all copies of a run together."""
_numbers = itertools.count(1)


def has_room(folder: Path, users: int) -> bool:
    """Return whether the disk has room for the files and databases of that many users."""
    return shutil.disk_usage(folder).free > users * BYTES_A_USER


@contextmanager
def copy_installation(original: Home, folder: Path) -> Iterator[Home]:
    """Yield a copy of an installation in a new folder, which is removed afterwards."""
    _copy_folder(original.folder, folder)
    try:
        if not original.database_url:
            yield Home(folder, "")
            return
        with _copy_database(original.database_url) as url:
            yield Home(folder, url)
    finally:
        shutil.rmtree(folder)


def _copy_folder(original: Path, folder: Path) -> None:
    command = ["cp", "-R", "--reflink=auto", str(original), str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        shutil.copytree(original, folder, dirs_exist_ok=True)


@contextmanager
def _copy_database(original: str) -> Iterator[str]:
    """Yield a copy of the database of the URL, on the same server."""
    like, name = urlsplit(original).path.strip("/"), f"muster_bench_{os.getpid()}_{next(_numbers)}"
    # Connect to the server's own database: a database cannot be copied while anyone is connected to it.
    with psycopg.connect(_make_url(original, "postgres"), autocommit=True) as connection:
        # Without FILE_COPY (since version 15) the whole copy would be written to the log too.
        files = " STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"{files}')
        try:
            yield _make_url(original, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _make_url(server: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}/{name}{'?' if parts.query else ''}{parts.query}"
