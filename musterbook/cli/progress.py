"""Progress of an import on standard error: a bar on a terminal, and elsewhere only that the import waits."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from musterbook.cli.output import make_console, say

if TYPE_CHECKING:
    from musterbook.directory.imports.heartbeats import Progress

_WAITING = "waiting"


@contextmanager
def show_progress() -> Iterator["Progress"]:
    """Return what to print of each stage."""
    if sys.stderr.isatty():
        with _show_bar() as progress:
            yield progress
    else:
        yield _WaitMessage()


class _WaitMessage:
    """Print once that the import waits, and for which other import."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG002  (there is no bar to move)
        if stage.startswith(_WAITING) and not self._said:
            say(f"{stage.capitalize()} …")
            self._said = True


@contextmanager
def _show_bar() -> Iterator["Progress"]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def progress(stage: str, done: int = 0, total: int = 0) -> None:
            bar.update(
                task, description=f"{stage} {total:,} users" if total else stage, completed=done, total=total or None
            )

        yield progress
