"""Measurements of the peers: the same users from the same file, by them and by Musterbook in turn."""

import sys

from benchmarks.bench import Bench
from benchmarks.jobs import make_files, run_job, time_import
from benchmarks.peers import kolibri as bulkimportusers
from benchmarks.plans import PEERS, Row
from tests.databases import Home


def measure_importexport(bench: Bench) -> None:
    """Measure django-import-export and Musterbook: all new, unchanged, and 1 % changed, each on a copy of the same database."""
    make_files(bench.files, bench.users, "plain.csv", "plain-changed.csv")
    empty = bench.make_empty()
    loaded = bench.copy_loaded(empty, bench.files / "plain.csv")
    rows = {case: bench.make_row(case) for case in PEERS}
    for number in range(bench.plan.runs):
        for case, row in rows.items():
            bench.announce(case, number)
            _measure_both(bench, row, empty if case == "peer-new" else loaded)
            bench.results.put(row)


def _measure_both(bench: Bench, row: Row, before: Home) -> None:
    file, mode = PEERS[row.case].file, PEERS[row.case].mode
    with bench.copy_home(before) as ours:
        state = bench.run(row, ours, file, mode, state=True)
    new = row.case == "peer-new"
    for name, hooked in (("peer", False),) if new else (("peer", False), ("peer hooked", True)):
        with bench.copy_home(before) as theirs:
            done = run_job("peer", theirs, file=str(bench.files / file), new=new, hooked=hooked)
        row.add(name, done["seconds"])
        if done["state"] != state:
            raise SystemExit(f"django-import-export left other users than we did: {done['counts']}, {row.counts}.")


def measure_kolibri(bench: Bench) -> None:
    """Measure Kolibri's `bulkimportusers` and `muster import`, or note why that is not possible."""
    row = bench.make_row("kolibri")
    try:
        _measure_kolibri(bench, row, bulkimportusers.find_kolibri())
    except bulkimportusers.CannotRun as error:
        row.remarks.append(f"Kolibri: not run: {error}")
        print(row.remarks[-1], file=sys.stderr)
        bench.results.put(row)


def _measure_kolibri(bench: Bench, row: Row, program: bulkimportusers.Kolibri) -> None:
    """Measure Kolibri by the whole command minus the command with one user, and Musterbook within the process.

    The difference of two of our commands would be noise.
    """
    make_files(bench.files, bench.users, "all.csv")
    everybody, one = bench.files / "all.csv", bench.files / "one.csv"
    with everybody.open(encoding="utf-8") as file:
        one.write_text(file.readline() + file.readline(), encoding="utf-8")
    empty = bench.make_empty()
    for number in range(bench.plan.runs):
        bench.announce("kolibri", number)
        with bench.copy_home(empty) as home:
            bench.run(row, home, "all.csv", "update")
        with bench.copy_home(empty) as home:
            row.add("command", time_import(home, everybody, "update"))
        start, whole = (program.time_import(users, bench.files / "kolibri") for users in (one, everybody))
        row.add("kolibri command", whole)
        row.add("kolibri command, one user", start)
        row.add("peer", whole - start)
        bench.results.put(row)
