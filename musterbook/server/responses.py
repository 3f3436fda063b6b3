"""Responses, sent whole, or part by part as fast as the client reads."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from musterbook.server.paces import Pace, TooSlow

IN_ONE_PIECE = 1_048_576
"""The most bytes of a response that is sent whole."""
_REFUSAL = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
)
_BY_HTTPS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
"""The header as Django's SecurityMiddleware sends it with each page (`settings.SECURE_HSTS_SECONDS`)."""


class Response:
    """The response to one request."""

    def __init__(self, send: Any, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = False
        self._send, self._pace, self._loop = send, pace, loop
        self._status, self._headers = 500, list[tuple[bytes, bytes]]()

    def start(self, status: str, headers: Iterable[tuple[str, str]], *_: Any) -> None:
        """Set the status and headers, like WSGI's `start_response`."""
        self._status = int(status.partition(" ")[0])
        self._headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]

    def take(self, parts: Iterable[bytes], *, alone: bool) -> bytes:
        """Return the response, or its end if it is long. This thread has then sent everything before the end.

        With `alone`, only the status and headers of a long response are sent.
        """
        buffer = bytearray()
        for part in parts:
            buffer += part
            if len(buffer) > IN_ONE_PIECE:
                if alone:
                    return b""
                asyncio.run_coroutine_threadsafe(self.put(bytes(buffer), more=True), self._loop).result()
                buffer.clear()
        return bytes(buffer)

    async def put(self, part: bytes, *, more: bool = False) -> None:
        """Send a part. Raise TooSlow if the client does not read it, ConnectionError if the client is gone."""
        try:
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": self._status, "headers": self._headers})
            await self._pace.keep(self._send({"type": "http.response.body", "body": part, "more_body": more}))
        except TooSlow:
            raise
        except Exception as error:
            raise ConnectionAbortedError("The client went away while it read") from error
        self._pace.counted(part)

    async def refuse(self, status: HTTPStatus, *, https: bool) -> None:
        """Respond instead of the application, if the response has not begun.

        `https`: whether the pages use only https.
        """
        if self.begun:
            return
        text = f"{status.value} {status.phrase}\n"
        headers = [*_REFUSAL, ("Content-Length", str(len(text))), *((_BY_HTTPS,) if https else ())]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", "10"))
        self.start(text, headers)
        with suppress(ConnectionError, TooSlow):
            await self.put(text.encode())
