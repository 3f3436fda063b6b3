"""The progress of a running import, on standard error: a bar with its stage on a terminal, else only that it waits."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from musterbook.directory import imports

_WAITING = "waiting"


@contextmanager
def shown() -> Iterator[imports.Progress]:
    """What an import tells its progress to."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar)


class _Bar:
    """One line that changes: the stage, and how far it is."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task = bar, bar.add_task("starting", total=None, done="")

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        counted = f"{done:,} of {total:,}" if total else ""
        self.bar.update(self.task, description=f"{stage} …", completed=done, total=total or None, done=counted)


class _Lines:
    """One line for each import that is waited for, and nothing else: a log needs no bars."""

    def __init__(self) -> None:
        self.said = ""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        if stage.startswith(_WAITING) and stage != self.said:
            print(f"muster: {stage} …", file=sys.stderr)
            self.said = stage
