"""The case of feeds: each measurement on a copy of the same installation, with one worker and with two."""

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import installations
from benchmarks.bench import Bench
from benchmarks.jobs import make_files, run_job
from benchmarks.measurements import Results
from benchmarks.plans import FEED_WAITS, Plan, Row
from tests.databases import Home

WORKERS = (1, 2)
SMALL_FEEDS = 5
"""The small feeds next to the large one."""
_BASE, _NEXT = "plain.csv", "plain-changed.csv"
_TURNS = {"small": (_NEXT, _BASE), "large": (_BASE, _NEXT)}
"""The files of a small feed, whose agency has the users already, and of the large one, whose agency has none."""
_LOOKS = 5


def measure(plan: Plan, results: Results) -> None:
    """Measure many feeds that are due at once, and small ones next to a large one."""
    for feeds in filter(None, plan.feeds):
        _measure_on_each(plan, results, feeds * plan.feed_users, feeds)
    if plan.feed_rows:
        _measure_on_each(plan, results, plan.feed_rows, None)


def _measure_on_each(plan: Plan, results: Results, users: int, feeds: int | None) -> None:
    """Measure on each database. `feeds`: how many there are, None for small ones next to a large one with so many users."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        files = Path(folder)
        if not installations.has_room(files, users * len(WORKERS)):
            raise SystemExit(f"The disk of {folder} has no room for {users:,} users; TMPDIR names another folder.")
        make_files(files / "small", plan.feed_users, _BASE, _NEXT)
        if feeds is None:
            make_files(files / "large", users, _BASE, _NEXT)
        for database in plan.databases:
            with ExitStack() as stack:
                bench = Bench(plan, results, files, database, users, stack)
                if feeds is None:
                    _measure_waits(bench)
                else:
                    _measure_many(bench, feeds)


def _prepare(bench: Bench, row: Row, feeds: int) -> Home:
    print(f"{bench.database}, {feeds:,} feeds, preparation …", file=sys.stderr)
    home = bench.make_empty()
    run_job("run", home, file=str(bench.files / "small" / _BASE), mode="update")
    add_figures(row, run_job("feeds", home, part="prepare", number=feeds))
    bench.settle(home)
    return home


def _measure_many(bench: Bench, feeds: int) -> None:
    row = bench.make_row("feeds")
    home = _prepare(bench, row, feeds)
    file = str(bench.files / "small" / _NEXT)
    add_figures(row, run_job("feeds", home, part="look", runs=1 if bench.plan.quick else _LOOKS))
    bench.results.put(row)
    for number in range(bench.plan.runs):
        for workers in WORKERS:
            bench.announce(f"feeds, workers: {workers}", number)
            with bench.copy_home(home) as copy:
                add_figures(row, run_job("feeds", copy, part="arrive", file=file, name="night.csv"))
                add_figures(row, run_job("feeds", copy, part="run_night", workers=workers))
            bench.results.put(row)


def _measure_waits(bench: Bench) -> None:
    row = bench.make_row(FEED_WAITS)
    home = _prepare(bench, row, SMALL_FEEDS)
    small, large = ([str(bench.files / size / name) for name in names] for size, names in _TURNS.items())
    for number in range(bench.plan.runs):
        for workers in WORKERS:
            bench.announce(f"{FEED_WAITS}, workers: {workers}", number)
            with bench.copy_home(home) as copy:
                add_figures(row, run_job("feeds", copy, part="run_waits", workers=workers, small=small, large=large))
            bench.results.put(row)


def add_figures(row: Row, done: Mapping[str, Any]) -> None:
    """Add the seconds and counts of a job to the row."""
    for name, seconds in done.get("seconds", {}).items():
        row.add(name, *seconds)
    row.counts.update(done.get("counts", {}))
