"""Run rounds of load and faults, and report what was injected and what was lost."""

import argparse
import contextlib
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fault_harness import report
from fault_harness.round import Result, Round
from fault_harness.site import Site
from scripts import postgres, program

_IN_A_ROUND = 50
_BUILD = Path(__file__).parents[1] / "build" / "faults"
_DATABASES = ("postgres", "sqlite")


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for. Return 0 if nothing was lost, otherwise 1."""
    given = _read(arguments)
    for number in (
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGINT,
    ):  # what was started ends, and what was mounted is removed
        signal.signal(number, lambda *_: sys.exit("Canceled."))
    results: list[Result] = []
    for seed, faults, database in plan_rounds(given.seed, given.faults, given.database):
        print(f"Seed {seed}, {database}: {faults} steps with a fault each", flush=True)
        results.append(run_round(seed, faults, database, quiet=given.quiet))
        write_reports(results, given.report)
        for finding in results[-1].findings:
            print(f"LOST  {finding.check}: {finding.what}", flush=True)
    print(report.build_text(results))
    print(
        "To run a round again: ./faults --seed SEED --faults STEPS --database DATABASE, as the lines above name them."
    )
    return 1 if any(one.findings for one in results) else 0


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./faults",
        description=(
            "Start the web server, two workers, a receiver of webhooks and PostgreSQL with a standby on this machine, let files"
            " arrive by a folder, by REST and by commands, and injure the processes, the disk, the clock and the connections"
            " meanwhile. Then read the books by plain SQL. Exit status: 0 nothing was lost; 1 something was."
        ),
    )
    parser.add_argument(
        "--faults", type=_positive, default=40, metavar="N", help="take so many steps with a fault each (40)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="repeat the schedule of this seed, with the same --faults; by default, a new one",
    )
    parser.add_argument(
        "--database",
        choices=[*_DATABASES, "both"],
        default="postgres",
        help="postgres (the usual), sqlite, or both in turn",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=_BUILD,
        metavar="DIR",
        help="write report.json and report.md there (build/faults)",
    )
    parser.add_argument("--quiet", action="store_true", help="do not print each fault")
    given = parser.parse_args(arguments)
    if given.seed is None:
        given.seed = secrets.randbelow(1_000_000)
    if given.database != "sqlite" and not postgres.is_installed():
        parser.error("PostgreSQL is not installed. Use --database sqlite.")
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def plan_rounds(seed: int, faults: int, database: str) -> list[tuple[int, int, str]]:
    """Return the rounds of a run: seed, steps and database of each. A round has at most 50 steps, and each database a round."""
    databases = _DATABASES if database == "both" else (database,)
    size = min(_IN_A_ROUND, -(-faults // len(databases)))
    sizes = [size] * (faults // size) + [faults % size] * bool(faults % size)
    return [(seed + number, size, databases[number % len(databases)]) for number, size in enumerate(sizes)]


def run_round(seed: int, faults: int, database: str, *, quiet: bool = True) -> Result:
    """Run one round in a new folder, which is removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="muster-faults-", ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        site = stack.enter_context(Site(Path(folder), database))
        return Round(site, seed, (lambda _: None) if quiet else _say).run(faults)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def write_reports(results: Sequence[Result], folder: Path) -> None:
    """Write both reports, after each round."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.build_json(results), encoding="utf-8")
    (folder / "report.md").write_text(report.build_text(results), encoding="utf-8")


if __name__ == "__main__":
    with program.run(None):
        sys.exit(main(sys.argv[1:]))
