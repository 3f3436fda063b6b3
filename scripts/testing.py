"""All tests: the quick checks, the tests on SQLite and on PostgreSQL, and their coverage."""

import os
import subprocess
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts import advisories, checks, postgres, setup

OUT = setup.ROOT / "build" / "tests"
COVERED_WHOLLY = "musterbook/core/*,musterbook/directory/*"
COVERED_AT_LEAST = 95
ATTACKS = "tests/attacks"
WHOLE, FAST = "whole", "fast"
_SIDE_BY_SIDE = ("-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadfile", "--no-loadscope-reorder")
"""The options that run one test file at a time on each processor."""
_PYTHON = str(setup.PYTHON)


def main(arguments: list[str]) -> int:
    """Run all tests, or with arguments for pytest only those tests.

    They run on SQLite (`--postgres`: on PostgreSQL); all attacks, `tests/attacks`, run on both. `--fast`: on SQLite, without a
    browser and what takes longest, and with a fifth of the generated examples.
    """
    if not arguments:
        return _run_all()
    if arguments == ["--fast"]:
        os.environ["HYPOTHESIS_PROFILE"] = "dev"
        return _run_some([*_SIDE_BY_SIDE, f"--part={FAST}", "-q"])
    if [argument.rstrip("/") for argument in arguments] == [ATTACKS]:
        return max(_run_some([ATTACKS, *_SIDE_BY_SIDE, *database]) for database in ([], ["--postgres"]))
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
    counts = Counter("passed" if passed else "failed" for passed in checks.run().values())
    with start_postgres() as url:
        for database, where in (("SQLite", ""), ("PostgreSQL", url)):
            print(f"\n{database}:", flush=True)
            counts += _run_tests(database.lower(), where)
    counts += _check_coverage()
    counts["failed"] += advisories.main()
    print(format_summary(counts))
    return 1 if counts["failed"] else 0


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
        [_PYTHON, "-m", "coverage", "run", "-m", "pytest", *_SIDE_BY_SIDE, f"--junit-xml={report}", f"--part={WHOLE}", *only],
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
    # Tests start hundreds of processes: each loads compiled modules, even where the shell asks for none to be written.
    without = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    # On SQLite plans are made by as many threads as there are cores, and here by one: what hangs on that is found in one of them.
    return {**inherited, "PYTHONUNBUFFERED": "1", **({"DATABASE_URL": url, "POLARS_MAX_THREADS": "1"} if url else {})}
