"""The pace that a client must keep while it sends a body or reads an answer."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

SLOWEST = 8 * 1024
"""Bytes a second that a client must send or read, when its first seconds are over."""
Part = TypeVar("Part")


class Late(OSError):
    """A client that did not keep the pace."""


class Pace:
    """How long a client may still take: so many seconds for each part, and in all so many and those at SLOWEST bytes a second."""

    def __init__(self, seconds: float) -> None:
        self.late = False
        self._seconds, self._waited, self._moved = seconds, 0.0, 0

    async def keep(self, part: Awaitable[Part]) -> Part:
        """Waits for a part; raises Late if it takes too long. Only time in which the client is waited for counts."""
        left = self._seconds + self._moved / SLOWEST - self._waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(max(left, 0), self._seconds)):
                return await part
        except TimeoutError:
            self.late = True
            raise Late("The client is too slow") from None
        finally:
            self._waited += time.monotonic() - began

    def counted(self, part: bytes) -> bytes:
        """The part, which has moved."""
        self._moved += len(part)
        return part
