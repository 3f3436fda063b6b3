"""Other servers of SCIM, from PyPI, served by the same granian as Musterbook: scim2-server and django-scim2.

scim2-server keeps its users in memory, so it has one process. Its own command serves each request by wsgiref, which is
slower. django-scim2 keeps them in a database of the same kind as ours, and has as many processes. Both know one token, which
they need not look up; they have no limit of requests, no audit trail, no search index, and check almost nothing.

`python -m benchmarks.peers.scim_servers NAME PORT` serves one. BENCH_USERS names the file of its users, one of ours.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from scripts import program, setup

TOKEN, PATH = "for-the-benchmark-alone", "/scim/v2"
MEMORY, DJANGO = "scim2-server", "django-scim2"
_FETCHED = setup.ROOT / "build" / "scim-peers"
_APPLICATIONS = {MEMORY: ("scim_memory", 1), DJANGO: ("scim_django.site", 2)}
"""Program → the module of its application, and the processes that serve it."""


class CannotRun(Exception):
    """The programs are not installed and cannot be installed. The message says why."""


def fetch() -> Path:
    """Return the folder of the programs. Install them there, once. Raise CannotRun."""
    if _FETCHED.exists():
        return _FETCHED
    draft = _FETCHED.with_name("scim-peers.new")
    shutil.rmtree(draft, ignore_errors=True)
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        raise CannotRun("there is no uv to install them with.")
    options = ["--quiet", "--require-hashes", "--no-deps", "--target", str(draft), "-r", str(setup.PEERS_LOCK)]
    done = subprocess.run(
        [found, "pip", "install", "--python", sys.executable, *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotRun(f"uv cannot install them: {done.stderr.strip().splitlines()[-1:]}")
    draft.rename(_FETCHED)
    return _FETCHED


def read_people() -> Iterator[dict[str, Any]]:
    """Yield the users of the file as resources of SCIM. Their external ids are those of the file."""
    for row in pl.read_csv(os.environ["BENCH_USERS"], infer_schema=False).fill_null("").iter_rows(named=True):
        yield make_person(
            row["USERNAME"], row["EXTERNAL_ID"], (row["FIRST_NAME"], row["LAST_NAME"]), row["EMAIL"],
            active=row["STATUS"] == "Active",
        )  # fmt: skip


def make_person(
    username: str, external_id: str, names: tuple[str, str], email: str, *, active: bool = True
) -> dict[str, Any]:
    """Return a user as every provider of identities sends one."""
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": username,
        "externalId": external_id,
        "name": {"givenName": names[0], "familyName": names[1]},
        "emails": [{"value": email, "primary": True, "type": "work"}],
        "active": active,
    }


def main(name: str, port: str) -> None:
    """Serve a program until it is ended."""
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    module, workers = _APPLICATIONS[name]
    server = Server(
        f"benchmarks.peers.{module}:application", address="127.0.0.1", port=int(port), interface=Interfaces.WSGI,
        workers=workers, blocking_threads=4, websockets=False, http=HTTPModes.http1, log_level=LogLevels.warning,
    )  # fmt: skip
    server.serve()


if __name__ == "__main__":
    with program.run(__doc__):
        main(sys.argv[1], sys.argv[2])
