"""The process that reads one file. Its memory and time are limited, and it loads only the core rules of Musterbook.

`imports/sandbox` starts it. Its task is a line of JSON before the file. Its results go into files that are open when it
starts. It has no access to settings, the database or secrets.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from signal import SIGKILL
from typing import IO, Any

import polars as pl

from musterbook.config import process
from musterbook.core.domain.columns import BY_HEADING
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts, Table
from musterbook.core.reading import corrections, intake
from musterbook.core.reading.budget import Limits

NO_MEMORY = 77
"""The exit status of the process if it gets no more memory."""
FRAMES = ("original", "faults", "skipped")
"""The parts of a table that are passed as one frame each. The rest of a table is JSON."""


def main() -> None:  # pragma: no cover  (runs only in the process: its parts are below, and tested there)
    """Run the process. Its arguments are the limits, then the file descriptors that it writes to."""
    process.die_with_parent(SIGKILL)
    memory, seconds, *numbers = map(int, sys.argv[1:])
    confine(memory, seconds)
    try:
        work(sys.stdin.buffer, [os.fdopen(number, "wb") for number in numbers])
    except MemoryError:
        os._exit(NO_MEMORY)
    except BaseException:  # noqa: BLE001  (the parent process reads this, and logs it)
        traceback.print_exc()
        status = 1
    else:
        status = 0
    sys.stderr.flush()
    # Skip the usual cleanup: the remaining objects are not needed, and freeing them takes time.
    os._exit(status)


def confine(memory: int, seconds: int) -> None:  # pragma: no cover  (it would limit the tests)
    """Limit this process to that many more bytes and seconds of processor time, if the system supports it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime) + seconds + 1
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        most = pages * resource.getpagesize() + memory
        # Do not limit the whole address space: the table engine reserves half a gigabyte of it without using it.
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def work(source: IO[bytes], answers: Sequence[IO[bytes]]) -> None:
    """Perform the task in the first line on the file that follows it, or on the file that it names."""
    asked = json.loads(source.readline())
    path = asked.get("path")
    content = Path(path).read_bytes() if path else source.read()
    options = intake.ReadOptions(**{**asked["options"], "limits": Limits(**asked["options"]["limits"])})
    table = corrections.mend(intake.read(content, options), asked["mended"])
    del content
    if "which" in asked:
        _write_results(table, asked, answers[0])
    else:
        give(table, answers)
    for answer in answers:
        answer.flush()


def _write_results(table: Table, asked: Mapping[str, Any], answer: IO[bytes]) -> None:
    from musterbook.core.reporting import results_file  # it imports the plans, and takes a moment to load

    rows, found = pl.read_parquet(asked["rows"]), pl.scan_parquet(asked["problems"]).filter(~pl.col("note")).collect()
    answer.writelines(results_file.in_parts(table, rows, found, asked["which"]))


def give(table: Table, answers: Sequence[IO[bytes]]) -> None:
    """Write a table to the answers: its frames, then the rest."""
    for name, answer in zip(FRAMES, answers, strict=False):
        getattr(table, name).write_ipc(answer)
    told = {
        "file": asdict(table.file),
        "surplus": {str(row): list(cells) for row, cells in table.surplus.items()},
        "problems": [asdict(problem) for problem in table.problems],
        "notes": [asdict(note) for note in table.notes],
    }
    answers[len(FRAMES)].write(json.dumps(told).encode())


def take(answers: Sequence[IO[bytes]]) -> Table:
    """Return the table that `give` has written."""
    told = json.loads(answers[len(FRAMES)].read())
    frames = {name: pl.read_ipc(answer) for name, answer in zip(FRAMES, answers, strict=False)}
    facts = told["file"] | {name: tuple(told["file"][name]) for name in ("headings", "ignored")}
    file = FileFacts(**facts | {"samples": tuple(map(tuple, told["file"]["samples"]))})
    return Table(
        cells=_cells(frames["original"], frames["skipped"], file),
        file=file,
        faults=frames["faults"],
        skipped=frames["skipped"],
        original=frames["original"],
        surplus={int(row): cells for row, cells in told["surplus"].items()},
        problems=tuple(Problem(**problem) for problem in told["problems"]),
        notes=tuple(Problem(**note) for note in told["notes"]),
    )


def _cells(original: pl.DataFrame, skipped: pl.DataFrame, file: FileFacts) -> pl.DataFrame:
    """Return the cells of the known columns. They are part of `original`, so they are not passed twice."""
    kept = original.filter(~pl.col("row").is_in(skipped["row"].implode())) if skipped.height else original
    places = {str(file.headings.index(heading)): BY_HEADING[column].field for heading, column in file.mapped.items()}
    read = places if original.width > 1 else {}
    return kept.select("row", *(pl.col(place).fill_null("").alias(field) for place, field in read.items()))


if __name__ == "__main__":  # pragma: no cover
    main()
