"""Measures the peers: the same users from the same file, ours and theirs in turn."""

import sys

from benchmarks.bench import Bench
from benchmarks.jobs import imported, job, make
from benchmarks.peers import kolibri as bulkimportusers
from benchmarks.plans import PEERS, Row
from tests.databases import Home


def importexport(bench: Bench) -> None:
    """django-import-export and ours: everybody new, the same again, 1 % changed; each on a copy of the same database."""
    make(bench.files, bench.users, "plain.csv", "plain-changed.csv")
    empty = bench.empty()
    loaded = bench.loaded(empty, bench.files / "plain.csv")
    rows = {case: bench.row(case) for case in PEERS}
    for number in range(bench.plan.runs):
        for case, row in rows.items():
            bench.say(case, number)
            _both(bench, row, empty if case == "peer-new" else loaded)
            bench.kept.put(row)


def _both(bench: Bench, row: Row, before: Home) -> None:
    file, mode = PEERS[row.case].file, PEERS[row.case].mode
    with bench.copied(before) as ours:
        state = bench.run(row, ours, file, mode, state=True)
    new = row.case == "peer-new"
    for name, hooked in (("peer", False),) if new else (("peer", False), ("peer hooked", True)):
        with bench.copied(before) as theirs:
            done = job("peer", theirs, file=str(bench.files / file), new=new, hooked=hooked)
        row.add(name, done["seconds"])
        if done["state"] != state:
            raise SystemExit(f"django-import-export left other users than we did: {done['counts']}, {row.counts}.")


def kolibri(bench: Bench) -> None:
    """Kolibri's `bulkimportusers` and `muster import`, or why not."""
    row = bench.row("kolibri")
    try:
        _kolibri(bench, row, bulkimportusers.installed())
    except bulkimportusers.CannotRun as error:
        row.remarks.append(f"Kolibri: not run: {error}")
        print(row.remarks[-1], file=sys.stderr)
        bench.kept.put(row)


def _kolibri(bench: Bench, row: Row, program: bulkimportusers.Kolibri) -> None:
    """Theirs: the whole command, less the same with one user. Ours: from within; a difference of our commands would be noise."""
    make(bench.files, bench.users, "all.csv")
    everybody, one = bench.files / "all.csv", bench.files / "one.csv"
    with everybody.open(encoding="utf-8") as file:
        one.write_text(file.readline() + file.readline(), encoding="utf-8")
    empty = bench.empty()
    for number in range(bench.plan.runs):
        bench.say("kolibri", number)
        with bench.copied(empty) as home:
            bench.run(row, home, "all.csv", "update")
        with bench.copied(empty) as home:
            row.add("command", imported(home, everybody, "update"))
        start, whole = (program.imported(users, bench.files / "kolibri") for users in (one, everybody))
        row.add("kolibri command", whole)
        row.add("kolibri command, one user", start)
        row.add("peer", whole - start)
        bench.kept.put(row)
