"""The execution of a plan: it makes files and databases, and runs imports and limits in turn, each in a process of its own."""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import agency_runs, api_runs, feed_runs, installations, isolation_runs, machine, peer_runs
from benchmarks.bench import Bench
from benchmarks.jobs import get_source, make_files, run_job, time_import
from benchmarks.limits import Manner
from benchmarks.measurements import Results
from benchmarks.plans import IMPORTS, SMALL_AGENCY, Plan, Row
from tests.databases import Home

_EDITS, _EDITS_QUICK = 20, 3
_STARTS, _STARTS_QUICK = 5, 1
_PAGES, _PAGES_QUICK = 100, 1
_WITH_COMMAND, _WITH_COMMAND_QUICK = ("new", "unchanged", "changed"), ("changed",)
"""The cases whose whole command is measured too."""
_MANNERS = {"changed": Manner.UPDATED, "rotated": Manner.HANDED_ON, "everybody": Manner.UPDATED}


def measure(plan: Plan, results: Results) -> None:
    """Measure every case of the plan, and store each result at once. Write profiles, if requested, into its folder."""
    if "start" in plan.cases:
        _measure_start(plan, results)
    if {*plan.imports, "edit", "list", "pages", "isolation"} & {*plan.cases}:
        for users in plan.users:
            _measure_size(plan, results, users)
    _measure_peers(plan, results)
    for case, runs in (("feeds", feed_runs), ("agencies", agency_runs), ("api", api_runs)):
        if case in plan.cases:
            runs.measure(plan, results)


def _measure_peers(plan: Plan, results: Results) -> None:
    """Measure other programs that import users."""
    for users in plan.peer_users if "peers" in plan.cases else ():
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            for database in plan.databases:
                with ExitStack() as stack:
                    bench = Bench(plan, results, Path(folder), database, users, stack)
                    peer_runs.measure_importexport(bench)
    for users in plan.kolibri_users if "kolibri" in plan.cases else ():
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder, ExitStack() as stack:
            peer_runs.measure_kolibri(Bench(plan, results, Path(folder), "sqlite", users, stack))


def _measure_size(plan: Plan, results: Results, users: int) -> None:
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        files = Path(folder)
        if not installations.has_room(files, users):
            raise SystemExit(f"The disk of {folder} has no room for {users:,} users; TMPDIR names another folder.")
        make_files(files, users, "all.csv", "empty.csv", *{IMPORTS[case].file for case in plan.imports})
        for database in plan.databases:
            with ExitStack() as stack:
                _measure_imports(Bench(plan, results, files, database, users, stack))


def _measure_start(plan: Plan, results: Results) -> None:
    """Measure commands that do nothing, and a Python that does nothing."""
    row = Row("start", "any", 0, made=machine.read_facts())
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        home = Home(Path(folder), "")
        for _ in range(plan.runs * (_STARTS_QUICK if plan.quick else _STARTS)):
            for name, command in (
                ("python", (sys.executable, "-c", "")),
                ("muster --version", ()),
                ("muster import --help", ()),
            ):
                since = time.perf_counter()
                process = home.run(*command) if command else home.muster(*name.split()[1:])
                row.add(name, time.perf_counter() - since)
                if process.returncode != 0:
                    raise SystemExit(f"{name} ended with {process.returncode}:\n{process.stderr}")
    results.put(row)


def _measure_imports(bench: Bench) -> None:
    """Measure the cases that need the whole agency."""
    empty = bench.make_empty()
    loaded = bench.stack.enter_context(bench.copy_home(empty))
    if "new" in bench.plan.cases:
        _measure_new(bench, empty, loaded)
    else:
        run_job("run", loaded, file=str(bench.files / "all.csv"), mode="update")
    bench.settle(loaded)
    rows = {case: bench.make_row(case) for case in bench.plan.imports if case != "new"}
    for number in range(bench.plan.runs):
        for case, row in rows.items():
            bench.announce(case, number)
            _measure_again(bench, row, loaded)
            bench.results.put(row)
    if "edit" in bench.plan.cases:
        _measure_edits(bench, empty, loaded)
    if "isolation" in bench.plan.cases and bench.database == "postgresql":
        isolation_runs.measure(bench, empty, loaded)
    listed = [case for case in ("list", "pages") if case in bench.plan.cases]
    if listed:
        run_job("live", loaded, file=str(bench.files / "all.csv"))
        bench.settle(loaded)
    for case in listed:
        _measure_pages(bench, loaded, case)


def _measure_new(bench: Bench, empty: Home, loaded: Home) -> None:
    """Measure an import of new users. The users of the first run stay in `copy_loaded`."""
    row, case = bench.make_row("new"), IMPORTS["new"]
    for number in range(bench.plan.runs):
        bench.announce("new", number)
        if number:
            with bench.copy_home(empty) as home:
                bench.run(row, home, case.file, case.mode)
        else:
            bench.run(row, loaded, case.file, case.mode)
        _add_limit(row, "read", file=str(bench.files / case.file))
        with bench.copy_home(empty) as home:
            _add_limit(row, "write", done=get_source(loaded), fresh=get_source(home), manner=Manner.ADDED.value)
        _measure_commands(bench, row, empty)
        bench.results.put(row)


def _measure_again(bench: Bench, row: Row, loaded: Home) -> None:
    """Run a case with existing users once, and its limits."""
    case = IMPORTS[row.case]
    with bench.copy_home(loaded) as home:
        _add_limit(row, "read", file=str(bench.files / case.file), done=get_source(home))
        bench.run(row, home, case.file, case.mode)
        if row.case in _MANNERS:
            with bench.copy_home(loaded) as fresh:
                _add_limit(
                    row, "write", done=get_source(home), fresh=get_source(fresh), manner=_MANNERS[row.case].value
                )
    _measure_commands(bench, row, loaded)


def _add_limit(row: Row, limit: str, **arguments: object) -> None:
    for name, seconds in run_job("limit", None, name=limit, **arguments)["seconds"].items():
        row.add(name, seconds)


def _measure_commands(bench: Bench, row: Row, original: Home) -> None:
    """Measure the whole command, and the same command with an empty file, for the cases that have it."""
    if row.case not in (_WITH_COMMAND_QUICK if bench.plan.quick else _WITH_COMMAND):
        return
    case = IMPORTS[row.case]
    with bench.copy_home(original) as home:
        row.add("command-empty", time_import(home, bench.files / "empty.csv", "update"))
        row.add("command", time_import(home, bench.files / case.file, case.mode))


def _measure_edits(bench: Bench, empty: Home, loaded: Home) -> None:
    """Measure edits of one user after another, in this agency and in a small one."""
    row = bench.make_row("edit")
    make_files(bench.files / "small", SMALL_AGENCY, "all.csv")
    small = bench.copy_loaded(empty, bench.files / "small" / "all.csv")
    for number in range(bench.plan.runs):
        bench.announce("edit", number)
        for name, agency, file in (("run", loaded, "all.csv"), ("small", small, "small/all.csv")):
            with bench.copy_home(agency) as home:
                done = run_job(
                    "edit", home, file=str(bench.files / file), times=_EDITS_QUICK if bench.plan.quick else _EDITS
                )
            row.add(name, *done["seconds"]["run"])
        bench.results.put(row)


def _measure_pages(bench: Bench, loaded: Home, case: str) -> None:
    """Measure the queries of All Users and its search (list), or whole pages (pages)."""
    module = {"list": "listing", "pages": "pages"}[case]
    row = bench.make_row(case)
    bench.announce(case, 0)
    runs = _PAGES_QUICK if bench.plan.quick else _PAGES
    for name, seconds in run_job("listed", loaded, module=module, runs=runs)["seconds"].items():
        row.add(name, *seconds)
    bench.results.put(row)
