"""The case of many agencies: each night on a copy of the same installation, with a real server that a user visits."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import installations
from benchmarks.api_runs import run_server
from benchmarks.bench import Bench
from benchmarks.feed_runs import add_figures
from benchmarks.jobs import make_files, run_job
from benchmarks.measurements import Results
from benchmarks.plans import AGENCIES, AGENCY_WAITS, Plan
from tests.attacks.serving import free_port
from tests.databases import Home

SMALL = 5
"""The small agencies next to the large one."""
_BASE, _NEXT = "plain.csv", "plain-changed.csv"
_TURNS = {"small": (_NEXT, _BASE), "large": (_BASE, _NEXT)}
"""The files of a small agency, which has the users already, and of the large one, which has none."""
_IDLE, _IDLE_QUICK = 30.0, 1.0
"""Seconds for which the pages of an idle installation are visited."""
_MUSTER = str(Path(sys.executable).with_name("muster"))


def measure(plan: Plan, results: Results) -> None:
    """Measure nights of more and more agencies, and then a small agency next to a large file."""
    for agencies in filter(None, plan.agencies):
        _measure_on_each(plan, results, agencies * plan.feed_users, agencies)
    if plan.feed_rows:
        _measure_on_each(plan, results, plan.feed_rows, None)


def _measure_on_each(plan: Plan, results: Results, users: int, agencies: int | None) -> None:
    """Measure on each database. `agencies`: None for small ones next to one with a file of so many users."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        files = Path(folder)
        if not installations.has_room(files, users * 2):
            raise SystemExit(f"The disk of {folder} has no room for {users:,} users; TMPDIR names another folder.")
        make_files(files / "small", plan.feed_users, _BASE, _NEXT)
        if agencies is None:
            make_files(files / "large", users, _BASE, _NEXT)
        for database in plan.databases:
            with ExitStack() as stack:
                bench = Bench(plan, results, files, database, users, stack)
                if agencies is None:
                    _measure_waits(bench)
                else:
                    _measure_nights(bench, agencies)


def _measure_nights(bench: Bench, agencies: int) -> None:
    row = bench.make_row(AGENCIES)
    print(f"{bench.database}, {agencies:,} agencies, preparation …", file=sys.stderr)
    home = _import_first(bench)
    add_figures(row, run_job("agencies", home, part="prepare", number=agencies))
    bench.settle(home)
    with bench.copy_home(home) as copy, _serve(copy) as port:
        seconds = _IDLE_QUICK if bench.plan.quick else _IDLE
        add_figures(row, run_job("agencies", copy, part="visit", port=port, seconds=seconds, workers=1))
    for number in range(bench.plan.runs):
        for workers in bench.plan.workers:
            bench.announce(f"{agencies:,} agencies, workers: {workers}", number)
            with bench.copy_home(home) as copy:
                part = min(bench.plan.part, agencies)
                file = str(bench.files / "small" / _NEXT)
                add_figures(row, run_job("agencies", copy, part="arrive", file=file, number=part))
                with _serve(copy) as port:
                    night = {"port": port, "workers": workers, "number": part}
                    add_figures(row, run_job("agencies", copy, part="run_night", **night))
            bench.results.put(row)


def _measure_waits(bench: Bench) -> None:
    row = bench.make_row(AGENCY_WAITS)
    home = _import_first(bench)
    run_job("agencies", home, part="prepare", number=SMALL)
    bench.settle(home)
    small, large = ([str(bench.files / size / name) for name in names] for size, names in _TURNS.items())
    for number in range(bench.plan.runs):
        for workers in bench.plan.workers:
            bench.announce(f"{AGENCY_WAITS}, workers: {workers}", number)
            with bench.copy_home(home) as copy:
                done = run_job("agencies", copy, part="run_waits", workers=workers, small=small, large=large)
                add_figures(row, done)
            bench.results.put(row)


def _import_first(bench: Bench) -> Home:
    home = bench.make_empty()
    run_job("run", home, file=str(bench.files / "small" / _BASE), mode="update")
    return home


@contextmanager
def _serve(home: Home) -> Iterator[int]:
    """Serve the pages of the installation without a worker. Yield the port."""
    port = free_port()
    command = [_MUSTER, "serve", "--port", str(port), "--workers", "2", "--no-worker"]
    with run_server(command, home.environment | {"MUSTER_URL": f"http://127.0.0.1:{port}"}, port, "/healthz"):
        yield port
