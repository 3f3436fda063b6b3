"""Reads the command line of `./bench`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure, report
from benchmarks.plans import CASES, DATABASES, Plan

_OUT = Path(__file__).resolve().parent / "out"


def main(arguments: Sequence[str]) -> int:
    """Measures what the arguments ask for; prints the table, and keeps it with every figure."""
    plan = _asked(arguments)
    plan.out.mkdir(exist_ok=True)
    print(report.kept(measure.measured(plan), plan.out))
    return 0


def _asked(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="./bench", description="How long imports take, and how long they must.")
    parser.add_argument(
        "--users", type=int, action="append", help="size of the agency; may be given twice (default 50,000)"
    )
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--case", choices=CASES, action="append", help="may be given several times (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (default 3)")
    parser.add_argument(
        "--quick", action="store_true", help="5,000 users, one run: shows that it works, measures little"
    )
    parser.add_argument(
        "--profile", action="store_true", help="one run of each, with a profile of each stage in benchmarks/out"
    )
    parser.add_argument("--out", type=Path, default=_OUT, help="folder for the figures (default benchmarks/out)")
    asked = parser.parse_args(arguments)
    databases = DATABASES if asked.database == "both" else (asked.database,)
    once = asked.quick or asked.profile
    return Plan(
        users=tuple(asked.users or [5_000 if asked.quick else 50_000]),
        databases=databases,
        cases=tuple(case for case in CASES if case in (asked.case or CASES)),
        runs=1 if once else asked.runs,
        profile=asked.profile,
        out=asked.out,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
