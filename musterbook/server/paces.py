"""The minimum pace of a client that sends a body or reads a response."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

MIN_RATE = 8 * 1024
"""The bytes per second that a client must send or read after its first seconds."""
Part = TypeVar("Part")


class TooSlow(OSError):
    """A client did not keep the pace."""


class Pace:
    """The time that a client may still take.

    Each part may take that many seconds. All parts together may take the same number of seconds plus the time for
    their bytes at SLOWEST.
    """

    def __init__(self, seconds: float) -> None:
        self.late = False
        self._seconds, self._waited, self._moved = seconds, 0.0, 0

    async def keep(self, part: Awaitable[Part]) -> Part:
        """Wait for a part. Raise TooSlow if it takes too long. Only the time spent waiting for the client counts."""
        left = self._seconds + self._moved / MIN_RATE - self._waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(max(left, 0), self._seconds)):
                return await part
        except TimeoutError:
            self.late = True
            raise TooSlow("The client is too slow") from None
        finally:
            self._waited += time.monotonic() - began

    def counted(self, part: bytes) -> bytes:
        """Count the bytes of a part that was sent or received. Return the part."""
        self._moved += len(part)
        return part
