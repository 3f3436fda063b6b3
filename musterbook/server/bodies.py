"""Request bodies, read by the event loop, or by a thread that asks the event loop for each part."""

import asyncio
import io
from typing import Any

from musterbook.server.paces import Pace


class Body:
    """A request body that is still arriving."""

    def __init__(self, receive: Any, length: int) -> None:
        self.length, self.left = length, length
        self._receive = receive

    async def part(self) -> bytes:
        """Return the next part. Raise ConnectionError if the client is gone."""
        message = await self._receive()
        data: bytes = message.get("body", b"")
        if message["type"] != "http.request" or not (data or message.get("more_body")):
            raise ConnectionAbortedError("The client went away while it sent")
        self.left -= len(data)
        return data


class BodyReader(io.RawIOBase):
    """A request body as a file for a thread. Reading raises Late if the client does not keep the pace."""

    def __init__(self, body: Body, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self._body, self._pace, self._loop = body, pace, loop
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, into: Any) -> int:
        """Fill the buffer with the bytes that have arrived. Wait if there are none."""
        while not self._rest and self._body.left:
            self._rest = memoryview(asyncio.run_coroutine_threadsafe(self._next(), self._loop).result())
        count = min(len(into), len(self._rest))
        into[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    async def _next(self) -> bytes:
        return self._pace.counted(await self._pace.keep(self._body.part()))
