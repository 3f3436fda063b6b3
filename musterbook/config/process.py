"""A process of Musterbook: it ends when its parent process ends, and gives unused memory back to the system."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

PARENT = "MUSTER_PARENT"
"""The environment variable that passes the process id of `muster serve` to its child processes."""
_PR_SET_PDEATHSIG = 1


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
