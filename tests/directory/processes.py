"""Several processes upon one installation, and what stands in its tables, read past the product."""

import os
import select
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO, cast

import psycopg

from tests import databases
from tests.databases import Home
from tests.directory.cast import file, people, person

ROOT = Path(__file__).parents[2]
_DRIVER = (sys.executable, "-m", "tests.directory.driver")
TABLES = ("user", "event", "traillink", "trailend", "mail", "importproblem")

ONE = file([*people(*range(1, 30)), person(30, EMAIL="no address")])
OTHER = file([
    *(person(n, EMAIL=f"user{n % 20 + 1}@agency.example", LAST_NAME="New") for n in range(1, 21)),
    *people(*range(40, 60)), person(61, EMAIL="no address"),
])  # fmt: skip


class Site:
    """An installation with a folder for files."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def do(self, *arguments: str, **variables: str) -> str:
        """Runs the driver to its end; gives the last line that it says."""
        done = self.home.run(*_DRIVER, *arguments, timeout=60, **variables)
        assert done.returncode == 0, done.stderr
        return (done.stdout.strip().splitlines() or [""])[-1]

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Starts the driver."""
        environment = self.home.environment | variables
        if "DOOMED" in variables:
            # What is killed may not be measured: it would leave half of a report.
            environment.pop("COVERAGE_PROCESS_CONFIG", None)
        pipe = subprocess.PIPE
        return databases.start([*_DRIVER, *arguments], environment, ROOT, stdout=pipe, stderr=pipe, text=True)

    def file(self, name: str, content: bytes) -> str:
        """The path of a new file."""
        path = self.home.folder / name
        path.write_bytes(content)
        return os.fspath(path)

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        if self.home.database_url:
            with psycopg.connect(self.home.database_url, options="-c muster.agency=*") as server:
                return server.execute(sql.encode()).fetchall()
        with closing(sqlite3.connect(self.home.folder / "muster.sqlite3")) as connection:
            return connection.execute(sql).fetchall()

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row that an import writes, but the imports' own."""
        order = {"trailend": "agency_id"}
        return {
            name: self.select(f"SELECT * FROM directory_{name} ORDER BY {order.get(name, 'id')}") for name in TABLES
        }

    def states(self) -> list[str]:
        """The states of all imports, the oldest first."""
        return [state for (state,) in self.select("SELECT state FROM directory_import ORDER BY id")]

    def names(self, slug: str = "springfield") -> dict[str, tuple[Any, ...]]:
        """The users of an agency: external ID → email, last name, active."""
        rows = self.select(
            "SELECT u.external_id, u.email, u.last_name, u.active FROM directory_user u"
            f" JOIN directory_agency a ON a.id = u.agency_id WHERE a.slug = '{slug}' ORDER BY u.id"
        )
        return {external_id: (email, name, bool(active)) for external_id, email, name, active in rows}


def wait_until_one_begins(processes: "Sequence[subprocess.Popen[str]]", seconds: float = 2) -> None:
    """Waits until one of them says its first line, which nobody may have read, or so long."""
    select.select([process.stdout for process in processes if process.stdout], [], [], seconds)


def until(process: "subprocess.Popen[str]", stage: str) -> str:
    """Waits until the process tells that stage; gives the line."""
    for line in cast("TextIO", process.stdout):
        if line.startswith(stage):
            return line
    raise AssertionError(f"{stage} was never reached: {cast('TextIO', process.stderr).read()}")
