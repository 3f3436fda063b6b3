"""Carries a plan out: makes files and databases, and runs imports and limits in turn, each in a process of its own."""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import installations, machine, peer_runs
from benchmarks.bench import Bench
from benchmarks.jobs import imported, job, make, source
from benchmarks.limits import Manner
from benchmarks.measurements import Kept
from benchmarks.plans import IMPORTS, SMALL_AGENCY, Plan, Row
from tests.databases import Home

_EDITS, _EDITS_QUICK = 20, 3
_STARTS, _STARTS_QUICK = 5, 1
_PAGES, _PAGES_QUICK = 100, 1
_COMMANDED, _COMMANDED_QUICK = ("new", "unchanged", "changed"), ("changed",)
"""The cases of which the whole command is measured too."""
_MANNERS = {"changed": Manner.UPDATED, "rotated": Manner.HANDED_ON, "everybody": Manner.UPDATED}


def measure(plan: Plan, kept: Kept) -> None:
    """Every case of the plan, kept as it comes; profiles, if asked for, are written into its folder."""
    if "start" in plan.cases:
        _start(plan, kept)
    if {*plan.imports, "edit", "list", "pages"} & {*plan.cases}:
        for users in plan.users:
            _size(plan, kept, users)
    for users in plan.peer_users if "peers" in plan.cases else ():
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            for database in plan.databases:
                with ExitStack() as stack:
                    bench = Bench(plan, kept, Path(folder), database, users, stack)
                    peer_runs.importexport(bench)
    for users in plan.kolibri_users if "kolibri" in plan.cases else ():
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder, ExitStack() as stack:
            peer_runs.kolibri(Bench(plan, kept, Path(folder), "sqlite", users, stack))


def _size(plan: Plan, kept: Kept, users: int) -> None:
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        files = Path(folder)
        if not installations.room(files, users):
            raise SystemExit(f"The disk of {folder} has no room for {users:,} users; TMPDIR names another folder.")
        make(files, users, "all.csv", "empty.csv", *{IMPORTS[case].file for case in plan.imports})
        for database in plan.databases:
            with ExitStack() as stack:
                _imports(Bench(plan, kept, files, database, users, stack))


def _start(plan: Plan, kept: Kept) -> None:
    """How long commands take that do nothing, beside a Python that does nothing."""
    row = Row("start", "any", 0, made=machine.facts())
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        home = Home(Path(folder), "")
        for _ in range(plan.runs * (_STARTS_QUICK if plan.quick else _STARTS)):
            for name, command in (
                ("python", (sys.executable, "-c", "")),
                ("muster --version", ()),
                ("muster import --help", ()),
            ):
                since = time.perf_counter()
                done = home.run(*command) if command else home.muster(*name.split()[1:])
                row.add(name, time.perf_counter() - since)
                if done.returncode != 0:
                    raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")
    kept.put(row)


def _imports(bench: Bench) -> None:
    """The cases that need the whole agency, each so many times as the plan says."""
    empty = bench.empty()
    loaded = bench.stack.enter_context(bench.copied(empty))
    if "new" in bench.plan.cases:
        _new(bench, empty, loaded)
    else:
        job("run", loaded, file=str(bench.files / "all.csv"), mode="update")
    bench.settle(loaded)
    rows = {case: bench.row(case) for case in bench.plan.imports if case != "new"}
    for number in range(bench.plan.runs):
        for case, row in rows.items():
            bench.say(case, number)
            _again(bench, row, loaded)
            bench.kept.put(row)
    if "edit" in bench.plan.cases:
        _edit(bench, empty, loaded)
    listed = [case for case in ("list", "pages") if case in bench.plan.cases]
    if listed:
        job("live", loaded, file=str(bench.files / "all.csv"))
        bench.settle(loaded)
    for case in listed:
        _pages(bench, loaded, case)


def _new(bench: Bench, empty: Home, loaded: Home) -> None:
    """Everybody is new; the users of the first run stay in `loaded`."""
    row, case = bench.row("new"), IMPORTS["new"]
    for number in range(bench.plan.runs):
        bench.say("new", number)
        if number:
            with bench.copied(empty) as home:
                bench.run(row, home, case.file, case.mode)
        else:
            bench.run(row, loaded, case.file, case.mode)
        _limit(row, "read", file=str(bench.files / case.file))
        with bench.copied(empty) as home:
            _limit(row, "write", done=source(loaded), fresh=source(home), manner=Manner.ADDED.value)
        _commands(bench, row, empty)
        bench.kept.put(row)


def _again(bench: Bench, row: Row, loaded: Home) -> None:
    """One run of a case that finds the users there, and of its limits."""
    case = IMPORTS[row.case]
    with bench.copied(loaded) as home:
        _limit(row, "read", file=str(bench.files / case.file), done=source(home))
        bench.run(row, home, case.file, case.mode)
        if row.case in _MANNERS:
            with bench.copied(loaded) as fresh:
                _limit(row, "write", done=source(home), fresh=source(fresh), manner=_MANNERS[row.case].value)
    _commands(bench, row, loaded)


def _limit(row: Row, limit: str, **arguments: object) -> None:
    for name, seconds in job("limit", None, name=limit, **arguments)["seconds"].items():
        row.add(name, seconds)


def _commands(bench: Bench, row: Row, like: Home) -> None:
    """The whole command, and the same with an empty file, of the cases that have it."""
    if row.case not in (_COMMANDED_QUICK if bench.plan.quick else _COMMANDED):
        return
    case = IMPORTS[row.case]
    with bench.copied(like) as home:
        row.add("command-empty", imported(home, bench.files / "empty.csv", "update"))
        row.add("command", imported(home, bench.files / case.file, case.mode))


def _edit(bench: Bench, empty: Home, loaded: Home) -> None:
    """One user after another edited, here and in a small agency."""
    row = bench.row("edit")
    make(bench.files / "small", SMALL_AGENCY, "all.csv")
    small = bench.loaded(empty, bench.files / "small" / "all.csv")
    for number in range(bench.plan.runs):
        bench.say("edit", number)
        for name, agency, file in (("run", loaded, "all.csv"), ("small", small, "small/all.csv")):
            with bench.copied(agency) as home:
                done = job(
                    "edit", home, file=str(bench.files / file), times=_EDITS_QUICK if bench.plan.quick else _EDITS
                )
            row.add(name, *done["seconds"]["run"])
        bench.kept.put(row)


def _pages(bench: Bench, loaded: Home, case: str) -> None:
    """The queries of All Users and its search (list), or whole pages of it and of others (pages)."""
    module = {"list": "listing", "pages": "pages"}[case]
    row = bench.row(case)
    bench.say(case, 0)
    runs = _PAGES_QUICK if bench.plan.quick else _PAGES
    for name, seconds in job("listed", loaded, module=module, runs=runs)["seconds"].items():
        row.add(name, *seconds)
    bench.kept.put(row)
