"""Measurements of programs: requests to `muster serve` and to other servers of SCIM, in turn, on the same users.

Every burst of one program is followed by the same burst of the next, so that another load of the machine disturbs all.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import api_requests, installations
from benchmarks.api_client import Done, Program
from benchmarks.api_requests import QUICK, Kind, Sizes, User
from benchmarks.bench import Bench
from benchmarks.bursts import CASE, MUSTERBOOK, add_burst
from benchmarks.jobs import make_files, run_job
from benchmarks.measurements import Results
from benchmarks.peers import scim_servers
from benchmarks.plans import Plan, Row
from scripts import setup
from tests.attacks.serving import free_port
from tests.databases import Home, make_empty

_FILE = "plain.csv"
_MUSTER = str(Path(sys.executable).parent / "muster")
_TOKENS, _TOKENS_QUICK = 60, 2
_WARM = 8
_START_SECONDS = 300
"""The longest that a program takes until it answers: one of them reads all its users first."""
_BURST_SECONDS = 8
"""After so many seconds, a burst ends, even if it has not sent all its requests."""
_BATCH = "REST: users:batch, each user"
Served = tuple[Program, list[Kind]]


def measure(plan: Plan, results: Results) -> None:
    """Measure on each database, for each size."""
    for users in plan.users:
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            if not installations.has_room(Path(folder), users):
                raise SystemExit(f"The disk of {folder} has no room for {users:,} users; TMPDIR names another folder.")
            make_files(Path(folder), users, _FILE)
            for database in plan.databases:
                with ExitStack() as stack:
                    _measure_database(Bench(plan, results, Path(folder), database, users, stack))


def _measure_database(bench: Bench) -> None:
    sizes = QUICK if bench.plan.quick else Sizes()
    row = bench.make_row(CASE)
    home = bench.make_empty()
    run_job("run", home, file=str(bench.files / _FILE), mode="update")
    known = run_job("programs", home, tokens=_TOKENS_QUICK if bench.plan.quick else _TOKENS)
    bench.settle(home)
    users = [(number, external_id, username) for number, external_id, username in known["users"]]
    rows = _read_rows(bench.files / _FILE, users, sizes.batch)
    ours = bench.stack.enter_context(_serve_ours(home, known["tokens"]))
    rest = [(ours, api_requests.list_rest(users, sizes))]
    scim = [
        (ours, api_requests.list_scim("/bench/scim/v2", users, sizes, bulk=True)),
        *_serve_peers(bench, row, home, sizes),
    ]
    for program, kinds in (*rest, *scim):
        _warm(program, kinds)
    for number in range(bench.plan.runs):
        bench.announce(CASE, number)
        for served in (rest, scim):
            _measure_bursts(row, served, number)
            bench.results.put(row)
        _measure_batch(row, ours, rows, number)
        bench.results.put(row)


def _warm(program: Program, kinds: Sequence[Kind]) -> None:
    """Send some requests of each kind, so that the processes have loaded what they need."""
    for kind in kinds:
        program.send_all([kind.make(place) for place in range(min(kind.number, _WARM))], _BURST_SECONDS)


def _measure_bursts(row: Row, served: Sequence[Served], turn: int) -> None:
    """Measure each kind of request, of one program after the other."""
    for kind in served[0][1]:
        for program, kinds in served:
            same = next((one for one in kinds if one.name == kind.name), None)
            if same:
                first = turn * same.number
                requests = [same.make(first + place) for place in range(same.number)]
                _add(row, kind.name, program, program.send_all(requests, _BURST_SECONDS), same.users)


def _add(row: Row, what: str, program: Program, done: Done, users: int) -> None:
    units = len(done.waits) * users
    processor = None if done.processor is None else done.processor / units
    add_burst(row, what, program.name, done.waits, done.seconds / units, processor)


def _measure_batch(row: Row, program: Program, rows: Sequence[dict[str, str]], turn: int) -> None:
    """Measure a batch until its import has ended: it updates every user that it has."""
    done = program.send_all([api_requests.make_batch(rows, turn)], _BURST_SECONDS)
    _add(row, _BATCH, program, done, len(rows))


def _read_rows(file: Path, users: Sequence[User], number: int) -> list[dict[str, str]]:
    """Return the rows of some of the users, as the file has them."""
    known = pl.col("EXTERNAL_ID").is_in([external_id for _, external_id, _ in users])
    return pl.read_csv(file, infer_schema=False).fill_null("").filter(known).head(number).to_dicts()


@contextmanager
def _serve_ours(home: Home, secrets: Sequence[str]) -> Iterator[Program]:
    port = free_port()
    command = [_MUSTER, "serve", "--port", str(port), "--workers", "2"]
    with run_server(command, home.environment | {"MUSTER_URL": f"http://127.0.0.1:{port}"}, port, "/healthz") as pid:
        yield Program(MUSTERBOOK, port, pid, secrets)


def _serve_peers(bench: Bench, row: Row, home: Home, sizes: Sizes) -> list[Served]:
    """Return the other servers with their users, or note why there are none."""
    try:
        fetched = scim_servers.fetch()
    except scim_servers.CannotRun as error:
        row.remarks.append(f"scim2-server and django-scim2: not run: {error}")
        print(row.remarks[-1], file=sys.stderr)
        return []
    folder = bench.files / f"{bench.database}-scim-peers"
    folder.mkdir()
    url = bench.stack.enter_context(make_empty(home.database_url)) if home.database_url else ""
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join((str(setup.ROOT), str(fetched))), "BENCH_URL": url,
        "BENCH_FOLDER": str(folder), "BENCH_USERS": str(bench.files / _FILE),
    }  # fmt: skip
    made = [sys.executable, "-m", "benchmarks.peers.scim_django.site"]
    subprocess.run(made, cwd=setup.ROOT, env=environment, check=True)
    return [_serve_peer(bench, name, environment, sizes) for name in (scim_servers.MEMORY, scim_servers.DJANGO)]


def _serve_peer(bench: Bench, name: str, environment: Mapping[str, str], sizes: Sizes) -> Served:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.scim_servers", name, str(port)]
    pid = bench.stack.enter_context(
        run_server(command, environment, port, f"{scim_servers.PATH}/ServiceProviderConfig")
    )
    program = Program(name, port, pid, [scim_servers.TOKEN])
    users = _find_users(program, name, bench.files / _FILE)
    return program, api_requests.list_scim(scim_servers.PATH, users, sizes, bulk=name == scim_servers.MEMORY)


def _find_users(program: Program, name: str, file: Path) -> list[User]:
    """Return some users with their ids at that server."""
    frame = pl.read_csv(file, infer_schema=False, n_rows=api_requests.Sizes().reads)
    listed = list(zip(frame["EXTERNAL_ID"], frame["USERNAME"], strict=True))
    if name == scim_servers.DJANGO:
        return [(number, *user) for number, user in enumerate(listed, 1)]
    with program.connect() as connection:
        return [(_find_id(connection, username), external_id, username) for external_id, username in listed]


def _find_id(connection: Any, username: str) -> str:
    found = connection.send(api_requests.find_user(scim_servers.PATH, username))[1]
    return str(found["Resources"][0]["id"])


@contextmanager
def run_server(command: list[str], environment: Mapping[str, str], port: int, path: str) -> Iterator[int]:
    """Run a server until the end of the block. Yield its process when it answers at the path."""
    process = subprocess.Popen(command, cwd=setup.ROOT, env=environment)
    try:
        _wait(process, port, path)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise SystemExit(f"{process.args!r} did not start.")
