"""A server on loopback with the sample agency, for programs that use the client."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.serving import Server, serve
from tests.databases import Home, copy_home

ROOT = Path(__file__).parents[2]
AGENCY, CHIEF = "riverton-pd", "000117"
MAKE_TOKEN = """
import django
django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
import sys
from datetime import UTC, datetime
from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory.agency.agencies import find_agency
from musterbook.directory.apply.snapshot_queries import read_operator
from musterbook.directory.audit.trail import AuditContext
agency, data = find_agency(sys.argv[1]), TokenData(f"HR {datetime.now(UTC)}", frozenset(sys.argv[3:]), 90)
context = AuditContext(datetime.now(UTC), sys.argv[2], "page")
print(tokens.create_token(agency, data, context, read_operator(agency, sys.argv[2]))[1])
"""


@dataclass(frozen=True)
class Served:
    """A server: its installation, the address of the sample agency, and a token that may do everything."""

    home: Home
    server: Server
    address: str
    token: str


def run(going: Coroutine[Any, Any, Any]) -> Any:
    """The result of what is awaited, in a thread of its own: a browser of other tests has a loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, going).result()


def make_token(home: Home, *permissions: str) -> str:
    """The secret of a new token of the chief, with these permissions or with all."""
    from musterbook.directory.permissions import PERMISSIONS

    done = home.run(sys.executable, "-c", MAKE_TOKEN, AGENCY, CHIEF, *(permissions or PERMISSIONS), timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fill(home: Home) -> None:
    """Give the installation the sample agency and its users."""
    for arguments in (
        ("agency", "apply", str(ROOT / "examples" / "agency.toml")),
        ("import", str(ROOT / "examples" / "first-night.csv"), "--agency", AGENCY, "--no-mail"),
    ):
        done = home.muster(*arguments, timeout=120)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a worker, for all tests of a module."""
    with copy_home(_migrated, tmp_path_factory.mktemp("served") / "home") as home:
        fill(home)
        token = make_token(home)
        with serve(home, "--workers", "1") as server:
            yield Served(home, server, f"http://127.0.0.1:{server.port}/{AGENCY}", token)
