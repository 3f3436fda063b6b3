"""Try whether the tests notice faults: `python -m scripts.mutation --minutes 30 [MODULES…]`.

It takes a random sample of all faults that `scripts.faults` can make, each module in proportion, changes a copy of the tree by
one of them at a time, and runs the tests that reach the changed statement, on SQLite. For a module of `core` they are those of
`tests/core`, `tests/laws` and `tests/cases`. For one of `directory`, they are those of `tests/directory` and some of
`tests/attacks` and `tests/cli`. A fault survives only if all of them pass. docs/contributing/mutation.md says more.
"""

import argparse
import hashlib
import json
import math
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from scripts import faults, program, setup
from scripts.fault_forks import KILLED, SURVIVED, TIMED_OUT
from scripts.fault_reach import Names, Reach
from scripts.faults import Fault

PACKAGES = (
    "musterbook/core",
    "musterbook/directory/apply",
    "musterbook/directory/imports",
    "musterbook/directory/audit",
)
RECORDS = setup.ROOT / "build" / "mutation"
_TESTS = ("tests/core", "tests/laws", "tests/cases")
_TESTS_OF_DIRECTORY = (
    "tests/directory", "tests/attacks/test_anchors.py", "tests/attacks/test_audit_trail.py",
    "tests/attacks/test_old_trails.py", "tests/cli/test_audit.py",
    "tests/cli/test_chosen.py", "tests/cli/test_import.py",
)  # fmt: skip
"""The folders and files whose tests try the faults: of a module of `core`, and of one of `directory`."""
LEFT_OUT = (
    "tests/directory/imports/test_killed.py", "tests/directory/imports/test_side_by_side.py",
    "tests/directory/imports/test_workers.py", "tests/directory/users/test_query_plans.py",
)  # fmt: skip
"""Tests that start many processes, or measure; none of them runs."""
_COMMAND = [sys.executable, "-m", "scripts.fault_tests"]
_TIMES, _AT_LEAST = 6.0, 30.0
"""A test has timed out after so many times its recorded time, and this many seconds."""


def order(by_module: dict[str, list[Fault]], seed: int) -> list[Fault]:
    """Return all faults so that the first of them, however many, are a sample in which each module has its share."""
    placed: list[tuple[float, str, Fault]] = []
    for module, found in sorted(by_module.items()):
        chance = random.Random(f"{seed} {module}")  # noqa: S311  (a sample, no secret)
        mixed = chance.sample(found, len(found))
        placed += [((at + chance.random()) / len(mixed), module, fault) for at, fault in enumerate(mixed)]
    return [fault for _, _, fault in sorted(placed, key=lambda each: each[:2])]


def interval(killed: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson)."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, killed / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return middle - half, middle + half


@dataclass
class Outcome:
    """What the tests did to one fault."""

    fault: Fault
    result: str
    text: str
    by: str = ""
    """The test that noticed it, or how long they all took."""


class WorkerEnded(Exception):
    """The process of a worker is gone: it was ended, or it failed, and standard error says why."""


class Worker:
    """A process that runs tests in a copy of the tree."""

    def __init__(self, folder: Path) -> None:
        pipe = subprocess.PIPE
        self.folder = folder
        self._process = subprocess.Popen(
            _COMMAND, cwd=folder, env=_environment(folder), stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        self._read()

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give an order, and return the answer."""
        stream = cast("IO[str]", self._process.stdin)
        stream.write(json.dumps(order) + "\n")
        stream.flush()
        answer: dict[str, Any] = self._read()
        return answer

    def _read(self) -> Any:
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise WorkerEnded("A process of the tests ended.")
        return json.loads(line)

    def end(self) -> None:
        """End the process, with the tests that it runs."""
        self._process.terminate()
        self._process.wait()


def _environment(folder: Path) -> dict[str, str]:
    (folder / "build" / "temporary").mkdir(parents=True, exist_ok=True)
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    }
    return inherited | {
        "PYTHONPATH": str(folder), "TMPDIR": str(folder / "build" / "temporary"), "HYPOTHESIS_PROFILE": "dev",
        "POLARS_MAX_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


@contextmanager
def copies(number: int) -> Iterator[list[Worker]]:
    """Copy the tree so many times, with a worker in each, and end and remove them afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="muster-mutation-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        first = Path(name) / "1"
        _copy(first)
        _prepare(first)
        folders = [first, *(shutil.copytree(first, Path(name) / str(each)) for each in range(2, number + 1))]
        workers = []
        for folder in folders:
            workers.append(Worker(folder))
            stack.callback(workers[-1].end)
        yield workers


def _copy(folder: Path) -> None:
    """Copy what git tracks, and what is new and not ignored, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=setup.ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (setup.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(setup.ROOT / name, folder / name)


def _prepare(folder: Path) -> None:
    """Compile everything once, and make the database that all tests start with."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiles = [sys.executable, "-m", "compileall", "-q", "musterbook", "tests", "scripts"]
    subprocess.run(compiles, cwd=folder, env=environment, check=True)
    makes = [*_COMMAND, "database"]
    subprocess.run(makes, cwd=folder, env=_environment(folder), check=True, stdout=subprocess.DEVNULL)


def recorded(worker: Worker, files: list[str]) -> Reach:
    """Return what the tests of these files reach: as recorded for the code and each file as they are now, or recorded now."""
    paths = {file: RECORDS / f"{file.replace('/', '-')}-{digest}.json" for file, digest in _fingerprints(files).items()}
    missing = {file: str(path) for file, path in paths.items() if not path.exists()}
    if missing:
        print(f"Recording what {len(missing)} files of tests reach …", flush=True)
        RECORDS.mkdir(parents=True, exist_ok=True)
        answer = worker.ask({"record": {"files": missing}})
        if answer["failures"]:
            print(f"These tests fail without any fault, and are left out:\n{answer['failures']}", flush=True)
    reach = Reach()
    for path in paths.values():
        if path.exists():
            reach.add(json.loads(path.read_text(encoding="utf-8")))
    if not reach.tests:
        sys.exit("No test was recorded.")
    return reach


def _list_tests(names: Iterable[str]) -> list[str]:
    """Return the files of tests that files and folders have."""
    paths = [setup.ROOT / name for name in names]
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("test_*.py")))]
    return [name for file in found if (name := file.relative_to(setup.ROOT).as_posix()) not in LEFT_OUT]


def _fingerprints(files: list[str]) -> dict[str, str]:
    """Return a digest for each file of tests: of the package, of what all tests use, and of the file itself."""
    shared = hashlib.sha256()
    for path in sorted(path for top in ("musterbook", "tests") for path in (setup.ROOT / top).rglob("*.py")):
        if not path.name.startswith("test_"):
            shared.update(path.read_bytes())
    digests = {}
    for file in files:
        own = shared.copy()
        own.update((setup.ROOT / file).read_bytes())
        digests[file] = own.hexdigest()[:16]
    return digests


def run(
    workers: list[Worker], chosen: list[Fault], reach: Reach, until: float, longest: float, *, last: bool
) -> Iterator[Outcome]:
    """Try the faults in their order until the time is over. With `last`, those that run at import, and take long, are last."""
    sources = {fault.file: (setup.ROOT / fault.file).read_text(encoding="utf-8") for fault in chosen}
    names = Names(setup.ROOT)
    if last:
        chosen = sorted(chosen, key=lambda fault: reach.choose(fault, names)[1])
    waiting: queue.SimpleQueue[Fault] = queue.SimpleQueue()
    for fault in chosen:
        waiting.put(fault)
    done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

    def work(worker: Worker) -> None:
        with suppress(queue.Empty, WorkerEnded):
            while time.monotonic() < until:
                fault = waiting.get_nowait()
                done.put(_try(worker, fault, sources[fault.file], reach, names, longest))
        done.put(None)

    for worker in workers:
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    for _ in workers:
        yield from iter(done.get, None)


def _try(worker: Worker, fault: Fault, source: str, reach: Reach, names: Names, longest: float) -> Outcome:
    start = time.monotonic()
    found, at_import = reach.choose(fault, names)
    numbers = reach.limit(found, longest)
    order = {
        "file": fault.file, "source": faults.change(fault, source), "tests": [reach.tests[number] for number in numbers],
        "seconds": [_AT_LEAST + _TIMES * reach.seconds[number] for number in numbers],
        "groups": reach.group(numbers), "at_import": at_import,
    }  # fmt: skip
    answer = worker.ask(order)
    tried = f"{len(numbers)} tests" if len(numbers) == len(found) else f"{len(numbers)} of {len(found)} tests"
    about = f"{time.monotonic() - start:.0f} s, {tried}{', at import' * at_import}"
    return Outcome(fault, answer["result"], faults.describe(fault, source), answer.get("test", about))


def report(outcomes: list[Outcome], seed: int) -> str:
    """Return the counts by package, the share that the tests notice, and every fault that they do not."""
    rows: list[tuple[str, ...]] = [("package", "faults", KILLED, SURVIVED, TIMED_OUT, "noticed", "95 % interval")]
    for package in [*PACKAGES, "all"]:
        results = Counter(each.result for each in outcomes if package == "all" or each.fault.file.startswith(package))
        total = sum(results.values())
        if total:
            noticed = results[KILLED] + results[TIMED_OUT]
            low, high = interval(noticed, total)
            rows.append((package, str(total), *(str(results[key]) for key in (KILLED, SURVIVED, TIMED_OUT)),
                         f"{noticed / total:.1%}", f"{low:.1%} to {high:.1%}"))  # fmt: skip
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|---" * len(rows[0]) + "|")
    missed = sorted(f"{each.result}: {each.text}" for each in outcomes if each.result != KILLED)
    return "\n".join([f"Seed {seed}", *table, "", *missed])


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = [path for name in options.modules or PACKAGES for path in _files(name)]
    faults.fetch()
    by_module = {file: faults.find(file, (setup.ROOT / file).read_text(encoding="utf-8")) for file in files}
    chosen = order({file: found for file, found in by_module.items() if found}, options.seed)[: options.most]
    folders = [
        folder for part, tests in (("/core/", _TESTS), ("/directory/", _TESTS_OF_DIRECTORY))
        if any(part in file for file in files) for folder in tests
    ]  # fmt: skip
    outcomes: list[Outcome] = []
    try:
        with copies(options.workers) as workers:
            files = _list_tests(folders)
            reach = recorded(workers[0], files)
            for worker in workers:
                worker.ask({"warm": files})
            print(f"{len(chosen)} faults to choose from, for {options.minutes:g} minutes …", flush=True)
            for outcome in run(
                workers,
                chosen,
                reach,
                time.monotonic() + options.minutes * 60,
                options.longest,
                last=bool(options.most),
            ):
                outcomes.append(outcome)
                print(f"{len(outcomes)} {outcome.result}: {outcome.text} ({outcome.by})", flush=True)
    except KeyboardInterrupt:
        print("Interrupted.", flush=True)
    print(f"\n{report(outcomes, options.seed)}")
    return 0


def _files(name: str) -> list[str]:
    """Return the files of a module or package, given by its path or its name."""
    path = setup.ROOT / (name if "/" in name else name.replace(".", "/"))
    path = path if path.exists() else path.with_suffix(".py")
    if not path.exists():
        sys.exit(f"There is no module {name}.")
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [each.relative_to(setup.ROOT).as_posix() for each in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.mutation", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULES", help=f"modules or packages; {', '.join(PACKAGES)} if none is given"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults are tried (30)")
    parser.add_argument(
        "--longest", type=float, default=math.inf, metavar="SECONDS",
        help="how long the tests of one fault may take, as they were recorded: the slowest are left out (no limit)",
    )  # fmt: skip
    parser.add_argument("--most", type=int, default=None, help="the largest number of faults to try (all)")
    parser.add_argument("--seed", type=int, default=1, help="the number that the sample comes from (1)")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="processes at once (half the cores)"
    )
    return parser


if __name__ == "__main__":
    with program.run(None):
        sys.exit(main())
