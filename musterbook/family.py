"""Processes that end when the one that started them does, however that ends."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

PARENT = "MUSTER_PARENT"
"""The environment variable by which `muster serve` tells those that it starts who it is."""
_PR_SET_PDEATHSIG = 1


def die_with_parent(by: signal.Signals) -> None:
    """Has this process end, by that signal, when its parent does; where the system cannot, it goes on alone.

    Does nothing unless the parent is who PARENT names.
    """
    parent = os.environ.get(PARENT)
    if not parent:
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, by)
    if str(os.getppid()) != parent:
        sys.exit()
