"""Installations to measure on, and cheap copies of them: blocks shared where the file system can, else copied as they are."""

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
"""What a user with one event takes on the disk, with indexes and the log of the write, in all copies of a run together."""
_numbers = itertools.count(1)


def room(folder: Path, users: int) -> bool:
    """Whether the disk has room for the files and databases of so many users."""
    return shutil.disk_usage(folder).free > users * BYTES_A_USER


@contextmanager
def copied(original: Home, folder: Path) -> Iterator[Home]:
    """A copy of an installation in a folder that is not there yet; gone afterwards."""
    _copy(original.folder, folder)
    try:
        if not original.database_url:
            yield Home(folder, "")
            return
        with _database(original.database_url) as url:
            yield Home(folder, url)
    finally:
        shutil.rmtree(folder)


def _copy(original: Path, folder: Path) -> None:
    command = ["cp", "-R", "--reflink=auto", str(original), str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        shutil.copytree(original, folder, dirs_exist_ok=True)


@contextmanager
def _database(original: str) -> Iterator[str]:
    """A copy of the database of the URL, on the same server."""
    like, name = urlsplit(original).path.strip("/"), f"muster_bench_{os.getpid()}_{next(_numbers)}"
    # Through the server's own database: one cannot be copied while anybody is connected to it.
    with psycopg.connect(_at(original, "postgres"), autocommit=True) as connection:
        # Without FILE_COPY, which came with version 15, the whole copy would be written to the log too.
        files = " STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"{files}')
        try:
            yield _at(original, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _at(server: str, name: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}/{name}{'?' if parts.query else ''}{parts.query}"
