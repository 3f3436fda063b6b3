"""The release of unused memory to the system. The C library keeps freed memory for later use."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Release free memory if the C library supports it (glibc). The table engine's allocator does this by itself."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
