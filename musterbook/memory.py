"""Memory that is not needed any more, given back to the system: the C library keeps what was freed, for a next time."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Gives back what is free, where the C library can (glibc); the allocator of the table engine does so by itself."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
