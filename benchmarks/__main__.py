"""Reads the command line of `./bench`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure, plot, report
from benchmarks.measurements import Kept
from benchmarks.plans import CASES, DATABASES, Plan

_HERE = Path(__file__).resolve().parent
_SIZES_OF_A_PLOT = 3


def main(arguments: Sequence[str]) -> int:
    """Measures what the arguments ask for; prints the tables of all that is kept, and draws it if that is asked for."""
    asked = _parser().parse_args(arguments)
    # Whoever ends a run ends it so that its databases go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    # Five million users are a file of a gigabyte.
    os.environ.setdefault("MUSTER_MAX_FILE_MB", "4096")
    # What was measured with a profile, or once with few users, takes the place of nothing.
    name = "profile" if asked.profile else "quick" if asked.quick else "last"
    kept = Kept(asked.out, name)
    if not asked.plot and not asked.table:
        measure.measure(_plan(asked), kept)
    text = report.text(kept.rows)
    (asked.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    if asked.plot or (name == "last" and len(asked.users or []) >= _SIZES_OF_A_PLOT):
        return _draw(kept, asked.picture)
    return 0


def _draw(kept: Kept, picture: Path) -> int:
    try:
        picture.write_text(plot.drawn(kept.rows), encoding="utf-8")
    except plot.NothingToDraw as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Drawn: {picture.name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./bench", description="How long imports take, and how long they must.",
        epilog="Each row takes the place of the row of the same case, database and size that is kept in the folder.",
    )  # fmt: skip
    _many(parser, "--users", "size of the agency; repeatable (default 50,000)")
    _many(parser, "--peer-users", "users beside django-import-export; repeatable (default 10,000)")
    _many(parser, "--kolibri-users", "users beside Kolibri; repeatable (default 1,000)")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--case", choices=CASES, action="append", help="repeatable (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (default 3)")
    parser.add_argument("--quick", action="store_true", help="few users, one run, no Kolibri: shows that it works")
    parser.add_argument("--profile", action="store_true", help="one run of each; a profile of each stage in the folder")
    parser.add_argument("--table", action="store_true", help="measure nothing; the tables of what is kept")
    parser.add_argument("--plot", action="store_true", help="measure nothing; draw what is kept")
    parser.add_argument(
        "--picture", type=Path, default=_HERE / "plot.svg", help="where to (default benchmarks/plot.svg)"
    )
    parser.add_argument(
        "--out", type=Path, default=_HERE / "out", help="folder of the figures (default benchmarks/out)"
    )
    return parser


def _many(parser: argparse.ArgumentParser, name: str, said: str) -> None:
    parser.add_argument(name, type=int, metavar="N", action="append", help=said)


def _plan(asked: argparse.Namespace) -> Plan:
    cases = asked.case or [case for case in CASES if not (asked.quick and case == "kolibri")]
    return Plan(
        users=tuple(asked.users or [2_000 if asked.quick else 50_000]),
        databases=DATABASES if asked.database == "both" else (asked.database,),
        cases=tuple(case for case in CASES if case in cases),
        runs=1 if asked.quick or asked.profile else asked.runs,
        out=asked.out,
        peer_users=tuple(asked.peer_users or [500 if asked.quick else 10_000]),
        kolibri_users=tuple(asked.kolibri_users or [20 if asked.quick else 1_000]),
        profile=asked.profile,
        quick=asked.quick,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
