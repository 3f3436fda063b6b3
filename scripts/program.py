"""What a program of the checkout does first: it answers `--help`, and ends quietly when nobody reads its output any more.

Older Pythons understand this too, so that they can report what is missing.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def run(about: str | None) -> Iterator[None]:
    """Run the block as a program. `about`: the text that `--help` prints; None if it has a parser of its own."""
    try:
        try:
            if about and sys.argv[1:] in (["-h"], ["--help"]):
                print(about.strip())
                raise SystemExit(0)
            yield
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        if not _has_lost_reader():
            raise  # it is another pipe
        # Python writes what is left at its end; it goes nowhere instead.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _has_lost_reader() -> bool:
    looking = select.poll()
    looking.register(sys.stdout, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in looking.poll(0))
