"""The quick checks, run in parallel: format, rules, types, architecture, templates, spelling, words and documents."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

from scripts import setup

CHECKS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "rules": ["ruff", "check", "--quiet", "."],
    "types": ["mypy", "--no-error-summary"],
    "architecture": ["lint-imports", "--no-logo"],
    "templates": ["djlint", "--lint", "--quiet", "musterbook/web/templates"],
    "spelling": ["codespell"],
    "repository": ["python", "-m", "pytest", "--quiet", "--no-header", "tests/test_repository.py"],
    "words and documents": [
        "python",
        "-m",
        "pytest",
        "--quiet",
        "--no-header",
        "tests/test_words.py",
        "tests/test_contributing.py",
        "tests/test_reference.py",
    ],
}
"""The name and the command of each check. All commands exit with 0 if there is nothing to correct."""


def main() -> int:
    """Run every check, and print the output of those that fail. Return 0 if none does."""
    return 0 if all(run().values()) else 1


def run() -> dict[str, bool]:
    """Run every check. Return the name of each and whether it passed."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(CHECKS, pool.map(_run_check, CHECKS), strict=True))


def _run_check(name: str) -> bool:
    program, *arguments = CHECKS[name]
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    done = subprocess.run(
        [str(setup.PROGRAMS / program), *arguments],
        cwd=setup.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    passed = done.returncode == 0
    print(f"{'ok    ' if passed else 'FAILED'}  {name}" + ("" if passed else f"\n{done.stdout}"), flush=True)
    return passed
