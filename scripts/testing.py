"""All tests: the quick checks, the tests on SQLite and on PostgreSQL, and their coverage."""

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts import advisories, checks, postgres, run_folders, setup

OUT = setup.ROOT / "build" / "tests"
COVERED_WHOLLY = "musterbook/core/*,musterbook/directory/*"
COVERED_AT_LEAST = 95
ATTACKS = "tests/attacks"
WHOLE, FAST = "whole", "fast"
SIDE_BY_SIDE = ("-n", str(min((os.cpu_count() or 1) + 1, 8)), "--dist", "loadfile", "--no-loadscope-reorder")
"""The options that run one test file at a time on each processor, and another while a test waits for a process or a browser."""
_PYTHON = str(setup.PYTHON)
_MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of this run's own is made in it)
_ROOM = 8 * 2**30
"""The bytes that a run of all tests may need for its temporary files."""


def main(arguments: list[str]) -> int:
    """Run all tests, or with arguments for pytest only those tests.

    They run on SQLite (`--postgres`: on PostgreSQL); all attacks, `tests/attacks`, run on both. `--fast`: on SQLite, without a
    browser and what takes longest, and with a fifth of the generated examples.
    """
    if not arguments:
        return _run_all()
    if arguments == ["--fast"]:
        os.environ["HYPOTHESIS_PROFILE"] = "dev"
        with keep_files_in_memory():
            return _run_some([*SIDE_BY_SIDE, f"--part={FAST}", "-q"])
    if [argument.rstrip("/") for argument in arguments] == [ATTACKS]:
        return max(_run_some([ATTACKS, *SIDE_BY_SIDE, *database]) for database in ([], ["--postgres"]))
    return _run_some(arguments)


def _run_some(arguments: list[str]) -> int:
    chosen = [argument for argument in arguments if argument != "--postgres"]
    with ExitStack() as stack:
        url = stack.enter_context(start_postgres()) if "--postgres" in arguments else ""
        return subprocess.run([_PYTHON, "-m", "pytest", *chosen], env=_make_environment(url), check=False).returncode


def _run_all() -> int:
    for old in [*setup.ROOT.glob(".coverage*"), *OUT.glob("*.xml")]:
        old.unlink()
    OUT.mkdir(parents=True, exist_ok=True)
    took: dict[str, float] = {}
    with _measure(took, "checks"), _load_tests_meanwhile():
        counts = Counter("passed" if passed else "failed" for passed in checks.run().values())
    with keep_files_in_memory(), start_postgres() as url:
        for database, where in (("SQLite", ""), ("PostgreSQL", url)):
            print(f"\n{database}:", flush=True)
            with _measure(took, database):
                counts += _run_tests(database.lower(), where)
    with _measure(took, "coverage"):
        counts += _check_coverage()
    with _measure(took, "advisories"):
        counts["failed"] += advisories.main()
    print(", ".join(f"{part}: {seconds:.0f} s" for part, seconds in took.items()))
    print(format_summary(counts))
    return 1 if counts["failed"] else 0


@contextmanager
def _load_tests_meanwhile() -> Iterator[None]:
    """Load all tests beside what the block does, so that pytest compiles them once, and not in each process that runs them."""
    command = [_PYTHON, "-m", "pytest", "--collect-only", "-qq"]
    with subprocess.Popen(command, cwd=setup.ROOT, env=_make_environment(""), stdout=subprocess.DEVNULL):
        yield


@contextmanager
def _measure(took: dict[str, float], part: str) -> Iterator[None]:
    """Note how many seconds the block takes."""
    begun = time.monotonic()
    try:
        yield
    finally:
        took[part] = time.monotonic() - begun


@contextmanager
def keep_files_in_memory() -> Iterator[None]:
    """Have all temporary files, databases among them, in memory where that has room: a test needs no disk to be right.

    Tests that kill processes need none either: what a killed process has written stays in memory as in the cache of a disk.
    """
    if "TMPDIR" in os.environ or not _has_room(_MEMORY):
        yield
        return
    folder = run_folders.make_folder(_MEMORY)
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    """Return whether the folder is there, has room for all temporary files, and programs may run in it."""
    if not folder.is_dir():
        return False
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize > _ROOM and not system.f_flag & os.ST_NOEXEC


def start_postgres() -> AbstractContextManager[str]:
    """Return a PostgreSQL for tests. Download it if the machine has none."""
    if not os.environ.get("DATABASE_URL") and not postgres.is_installed():
        print("There is no PostgreSQL on this machine; fetching one for the tests …", flush=True)
        setup.run_uv("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", str(postgres.FETCHED),
                 "-r", setup.POSTGRES_LOCK.name)  # fmt: skip
    return postgres.server()


def _run_tests(name: str, url: str) -> Counter[str]:
    """Run all tests, or with a URL those of the database. Return the counts. `tests/parts.py` says which measure coverage."""
    report = OUT / f"{name}.xml"
    only = ["--only-database"] if url else []
    done = subprocess.run(
        [_PYTHON, "-m", "coverage", "run", "-m", "pytest", *SIDE_BY_SIDE, f"--junit-xml={report}", f"--part={WHOLE}", *only],
        cwd=setup.ROOT, env=_make_environment(url), check=False,
    )  # fmt: skip
    return count_results(report, done.returncode)


def count_results(report: Path, status: int) -> Counter[str]:
    """Return the tests passed, failed and skipped, from pytest's report. An aborted run counts as one failed test."""
    if not report.exists():
        return Counter(failed=1)
    suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314  (pytest wrote it)
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    broke_off = status != 0 and not failed
    return Counter(passed=total - failed - skipped, failed=failed + broke_off, skipped=skipped)


def _check_coverage() -> Counter[str]:
    """Combine the coverage of both runs, and compare it with the requirements. Each requirement counts as one test."""
    coverage = [_PYTHON, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], cwd=setup.ROOT, check=True)
    everything = subprocess.run(
        [*coverage, "report", f"--fail-under={COVERED_AT_LEAST}"], cwd=setup.ROOT, check=False
    )  # fmt: skip
    wholly = subprocess.run(
        [*coverage, "report", f"--include={COVERED_WHOLLY}", "--fail-under=100"],
        cwd=setup.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if wholly.returncode:
        print(f"Every line and branch of musterbook/core and musterbook/directory must be covered.\n{wholly.stdout}")
    return Counter("failed" if done.returncode else "passed" for done in (everything, wholly))


def format_summary(counts: Counter[str]) -> str:
    """Return the last line: `N passed, N failed`, and `, N skipped` if any were."""
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


def _make_environment(url: str) -> dict[str, str]:
    # Tests start hundreds of processes. Each loads compiled modules, even where the shell asks for none to be written.
    without = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    # On PostgreSQL plans are made by as many threads as there are cores, and on SQLite, where most tests run, by one, which takes
    # less time for a few rows: what hangs on that is found in one of them.
    return {**inherited, "PYTHONUNBUFFERED": "1", **({"DATABASE_URL": url} if url else {"POLARS_MAX_THREADS": "1"})}
