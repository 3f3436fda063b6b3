"""A process of Musterbook: it loads quickly, ends when its parent process ends, and gives unused memory back to the system."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PARENT = "MUSTER_PARENT"
"""The environment variable that passes the process id of `muster serve` to its child processes."""
_PR_SET_PDEATHSIG = 1


@contextmanager
def load_quickly(*, keep: bool = False) -> Iterator[None]:
    """Look for no unused objects while modules are loaded: there are few, and the search takes a fifth of the time.

    `keep`: never look among the objects that were loaded, because the process needs them until it ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if keep:
            gc.freeze()
        if was_enabled:
            gc.enable()


def die_with_parent(by: signal.Signals) -> None:
    """Have the system end this process with that signal when its parent ends.

    If the system does not support this, the process goes on alone. Do nothing unless PARENT names the parent.
    """
    parent = os.environ.get(PARENT)
    if not parent:
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, by)
    if str(os.getppid()) != parent:
        sys.exit()


def release_memory() -> None:
    """Release free memory if the C library supports it (glibc), which otherwise keeps it for later use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
