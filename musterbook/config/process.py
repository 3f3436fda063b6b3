"""A process of Musterbook: it loads quickly, ends when it is asked to or its parent ends, and gives unused memory back."""

import ctypes
import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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


def make_stop_event() -> tuple[threading.Event, Callable[[], None]]:
    """Return an event, and the function with which the handler of a signal has it set soon.

    A handler interrupts the main thread anywhere: while it holds the lock of the event, or within an earlier call of the
    handler. If it set the event itself, the thread would then wait for itself forever. The system sends several signals
    if a parent with several threads is killed. The `put` of a SimpleQueue may be interrupted by itself.
    """
    stop, asked = threading.Event(), queue.SimpleQueue[None]()

    def set_when_asked() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=set_when_asked, name="stopping", daemon=True).start()
    return stop, lambda: asked.put(None)


def release_memory() -> None:
    """Release free memory if the C library supports it (glibc), which otherwise keeps it for later use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
