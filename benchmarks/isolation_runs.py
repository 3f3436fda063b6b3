"""The case of isolation: the same work with row-level security and without it, in turn, on one PostgreSQL."""

from benchmarks.bench import Bench
from benchmarks.jobs import run_job
from tests.databases import Home

_ROUNDS, _ROUNDS_QUICK = 40, 1


def measure(bench: Bench, empty: Home, loaded: Home) -> None:
    """Measure pages, searches, claims and an import of everybody."""
    row = bench.make_row("isolation")
    times = _ROUNDS_QUICK if bench.plan.quick else _ROUNDS
    with bench.copy_home(loaded) as home:
        for name, seconds in run_job("isolated", home, runs=times)["seconds"].items():
            row.add(name, *seconds)
    for number in range(bench.plan.runs):
        bench.announce("isolation", number)
        for manner in ("on", "off"):
            for name, original, file in (("new", empty, "all.csv"), ("unchanged", loaded, "all.csv")):
                with bench.copy_home(original) as home:
                    done = run_job("isolate", home, file=str(bench.files / file), on=manner == "on")
                row.add(f"import, {name}, {manner}", done["seconds"]["run"])
        bench.results.put(row)
