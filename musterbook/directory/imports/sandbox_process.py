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
from musterbook.core.domain.columns import ALL
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import FileFacts, Table
from musterbook.core.reading import corrections, intake
from musterbook.core.reading.budget import FileLimits

NO_MEMORY = 77
"""The exit status of the process if it gets no more memory."""
FRAMES = ("original", "faults", "skipped")
"""The parts of a table that are passed as one frame each. The rest of a table is JSON."""


def main() -> None:  # pragma: no cover  (runs only in the process: its parts are below, and tested there)
    """Run the process. Its arguments are the limits, then the file descriptors that it writes to."""
    process.die_with_parent(SIGKILL)
    memory, seconds, *numbers = map(int, sys.argv[1:])
    limit_resources(memory, seconds)
    try:
        run_task(sys.stdin.buffer, [os.fdopen(number, "wb") for number in numbers])
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


def limit_resources(memory: int, seconds: int) -> None:  # pragma: no cover  (it would limit the tests)
    """Limit this process to that many more bytes and seconds of processor time, if the system supports it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + seconds + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        limit = pages * resource.getpagesize() + memory
        # Do not limit the whole address space: the table engine reserves half a gigabyte of it without using it.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def run_task(source: IO[bytes], answers: Sequence[IO[bytes]]) -> None:
    """Perform the task in the first line on the file that follows it, or on the file that it names."""
    task = json.loads(source.readline())
    path = task.get("path")
    content = Path(path).read_bytes() if path else source.read()
    options = intake.ReadOptions(**{**task["options"], "limits": FileLimits(**task["options"]["limits"])})
    table = corrections.correct_table(intake.read(content, options), task["mended"])
    del content
    if "which" in task:
        _write_results(table, task, answers[0])
    else:
        write_table(table, answers)
    for answer in answers:
        answer.flush()


def _write_results(table: Table, task: Mapping[str, Any], answer: IO[bytes]) -> None:
    from musterbook.core.reporting import results_file  # it imports the plans, and takes a moment to load

    rows, problems = pl.read_parquet(task["rows"]), pl.scan_parquet(task["problems"]).filter(~pl.col("note")).collect()
    if task["form"] == "xlsx":
        results_file.write_workbook(answer, table, rows, problems, task["which"])
    else:
        answer.writelines(results_file.stream_parts(table, rows, problems, task["which"]))


def write_table(table: Table, answers: Sequence[IO[bytes]]) -> None:
    """Write a table to the answers: its frames, then the rest."""
    for name, answer in zip(FRAMES, answers, strict=False):
        getattr(table, name).write_ipc(answer)
    rest = {
        "file": asdict(table.file),
        "surplus": {str(row): list(cells) for row, cells in table.surplus.items()},
        "problems": [asdict(problem) for problem in table.problems],
        "notes": [asdict(note) for note in table.notes],
        "end": [table.trailer, table.cut_off],
    }
    answers[len(FRAMES)].write(json.dumps(rest).encode())


def read_table(answers: Sequence[IO[bytes]]) -> Table:
    """Return the table that `write_table` has written."""
    rest = json.loads(answers[len(FRAMES)].read())
    frames = {name: pl.read_ipc(answer) for name, answer in zip(FRAMES, answers, strict=False)}
    facts = rest["file"] | {name: tuple(rest["file"][name]) for name in ("headings", "ignored")}
    file = FileFacts(**facts | {"samples": tuple(map(tuple, rest["file"]["samples"]))})
    trailer, cut_off = rest["end"]
    return Table(
        cells=_select_cells(frames["original"], frames["skipped"], file),
        file=file,
        faults=frames["faults"],
        skipped=frames["skipped"],
        original=frames["original"],
        surplus={int(row): cells for row, cells in rest["surplus"].items()},
        problems=tuple(Problem(**problem) for problem in rest["problems"]),
        notes=tuple(Problem(**note) for note in rest["notes"]),
        trailer=trailer,
        cut_off=cut_off,
    )


def _select_cells(original: pl.DataFrame, skipped: pl.DataFrame, file: FileFacts) -> pl.DataFrame:
    """Return the cells of the known columns. They are part of `original`, so they are not passed twice."""
    rows = original.filter(~pl.col("row").is_in(skipped["row"].implode())) if skipped.height else original
    fields = {column.heading: column.field for column in ALL}
    present = file.positions if original.width > 1 else {}
    cells = (pl.col(str(at)).fill_null("").alias(fields[name]) for name, at in present.items())
    return rows.select("row", *cells)


if __name__ == "__main__":  # pragma: no cover
    main()
