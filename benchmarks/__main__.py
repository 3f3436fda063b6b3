"""The command line of `./bench`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure, plot, report
from benchmarks.measurements import Results
from benchmarks.plans import CASES, DATABASES, NIGHTS, WORKERS, Plan
from scripts import program

_HERE = Path(__file__).resolve().parent
_SIZES_OF_A_PLOT = 3


def main(arguments: Sequence[str]) -> int:
    """Run the requested measurements. Print the tables of all stored results, and draw the plot if requested."""
    options = _make_parser().parse_args(arguments)
    # A terminated run also removes its databases.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    # Five million users are a file of a gigabyte.
    os.environ.setdefault("MUSTER_MAX_FILE_MB", "4096")
    # Results of --profile and --quick have files of their own and replace nothing.
    name = "profile" if options.profile else "quick" if options.quick else "last"
    results = Results(options.out, name)
    if not options.plot and not options.table:
        measure.measure(_make_plan(options), results)
    text = report.make_report(results.rows)
    (options.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    if options.plot or (name == "last" and len(options.users or []) >= _SIZES_OF_A_PLOT):
        return _draw(results, options.picture)
    return 0


def _draw(results: Results, picture: Path) -> int:
    try:
        picture.write_text(plot.draw_plot(results.rows), encoding="utf-8")
    except plot.NothingToDraw as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Drawn: {picture.name}")
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./bench", description="Measure imports and pages next to the bare limits of the same work.",
        epilog="Each row replaces the stored row of the same case, database and size, except with --quick and --profile.",
    )  # fmt: skip
    _add_number(parser, "--users", "size of the agency; repeatable (default 50,000)")
    _add_number(parser, "--peer-users", "users of the runs with django-import-export; repeatable (default 10,000)")
    _add_number(parser, "--kolibri-users", "users of the runs with Kolibri; repeatable (default 1,000)")
    _add_number(parser, "--feeds", "feeds that are due at once; repeatable (default 2,000; 0: none)")
    _add_number(parser, "--agencies", "agencies in one night; repeatable (default 250, 500, 1,000 and 2,000; 0: none)")
    _add_number(parser, "--workers", "workers of that night; repeatable (default 1, 2 and 4)")
    parser.add_argument("--part", type=int, default=0, metavar="N", help="measure so many imports of that night only")
    parser.add_argument("--feed-users", type=int, metavar="N", help="users of each of these agencies (default 500)")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="rows of the large file next to small ones (default 1,000,000; 0: none)"
    )
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--case", choices=CASES, action="append", help="repeatable (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (default 3)")
    parser.add_argument("--quick", action="store_true", help="few users, one run, no Kolibri: shows that it works")
    parser.add_argument(
        "--profile", action="store_true", help="one run of each; a profile of each stage in the folder of --out"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing; the tables of the stored results")
    parser.add_argument("--plot", action="store_true", help="measure nothing; draw the stored results")
    parser.add_argument(
        "--picture",
        type=Path,
        default=_HERE / "plot.svg",
        help="the file that --plot draws (default benchmarks/plot.svg)",
    )
    parser.add_argument(
        "--out", type=Path, default=_HERE / "out", help="folder of the figures (default benchmarks/out)"
    )
    return parser


def _add_number(parser: argparse.ArgumentParser, name: str, help_text: str) -> None:
    parser.add_argument(name, type=int, metavar="N", action="append", help=help_text)


def _make_plan(options: argparse.Namespace) -> Plan:
    cases = options.case or [case for case in CASES if not (options.quick and case == "kolibri")]
    return Plan(
        users=tuple(options.users or [2_000 if options.quick else 50_000]),
        databases=DATABASES if options.database == "both" else (options.database,),
        cases=tuple(case for case in CASES if case in cases),
        runs=1 if options.quick or options.profile else options.runs,
        out=options.out,
        peer_users=tuple(options.peer_users or [500 if options.quick else 10_000]),
        kolibri_users=tuple(options.kolibri_users or [20 if options.quick else 1_000]),
        feeds=tuple(options.feeds or [8 if options.quick else 2_000]),
        agencies=tuple(options.agencies or ([4, 8] if options.quick else NIGHTS)),
        workers=tuple(options.workers or WORKERS),
        part=options.part,
        feed_users=options.feed_users or (100 if options.quick else 500),
        feed_rows=options.rows if options.rows is not None else (1_000 if options.quick else 1_000_000),
        profile=options.profile,
        quick=options.quick,
    )


if __name__ == "__main__":
    with program.run(None):
        sys.exit(main(sys.argv[1:]))
