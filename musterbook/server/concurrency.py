"""Turns: the limit on the number of requests that one process answers at a time.

It keeps slow clients and bursts from delaying others. A request uses a thread and a database connection, so only TURNS
requests are answered at the same time. A request gets its turn when its body has arrived, so a client that sends slowly
uses no thread. A body that is too large to wait for is read within the turn, and only a few at a time. A response of up
to IN_ONE_PIECE bytes is handed over whole, so a client that reads slowly does not hold a turn either. Clients that do
not keep the pace are disconnected.
"""

import asyncio
import io
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

from musterbook.config import counters, logs
from musterbook.server.bodies import Body, BodyReader
from musterbook.server.connection_closer import ConnectionCloser
from musterbook.server.environ import Environ, get_length, make_environ
from musterbook.server.paces import Pace, TooSlow
from musterbook.server.responses import Response

TURNS = 16
"""The requests that one process answers at the same time. Each uses at most one thread and one database connection."""
UPLOADS = 4
"""The bodies larger than WAITED_FOR that one process reads at the same time."""
MAX_BUFFERED = 1_048_576
"""The maximum size in bytes of a body that is waited for. A larger one is a file."""
MAX_HELD = 128 * 1_048_576
"""The maximum size in bytes of all bodies that one process holds for requests that are not yet answered."""
MAX_WAIT = 20.0
"""Seconds that a request waits for a turn before it is answered with 503."""
Application = Callable[[Environ, Callable[..., Any]], Any]
_LOG = logging.getLogger(__name__)


class RequestRefused(Exception):
    """The application does not answer the request. `status` has the reason."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class LimitedApplication:
    """An ASGI application that runs a WSGI application, TURNS requests at a time. It waits for clients for `seconds`.

    `https`: whether the pages use only https. Refusals then state this as well.
    """

    def __init__(self, application: Application, seconds: float, *, https: bool) -> None:
        self._application, self._seconds, self._https = application, seconds, https
        self._threads = ThreadPoolExecutor(TURNS, thread_name_prefix="turn")
        self._turns, self._uploads = asyncio.Semaphore(TURNS), asyncio.Semaphore(UPLOADS)
        self._sweep, self._held = ConnectionCloser(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        response = Response(send, Pace(self._seconds), asyncio.get_running_loop())
        env = make_environ(scope)
        status = None
        try:
            async with AsyncExitStack() as stack:
                await self._answer(env, Body(receive, get_length(env)), response, stack)
        except TooSlow:
            status = HTTPStatus.REQUEST_TIMEOUT
        except RequestRefused as refusal:
            status = refusal.status
        except ConnectionError:
            self._sweep.end(scope)
        except Exception:  # noqa: BLE001  (any error is logged and answered)
            _LOG.exception("A request failed outside the application")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        if status:
            await self._refuse(status, scope, response)

    async def _refuse(self, status: HTTPStatus, scope: Any, response: Response) -> None:
        """Refuse the request, or close the connection if a response has begun.

        Half a response must not look complete.
        """
        counters.count_refused(status)
        logs.SECURITY.warning("Refused with %d: %s from %s", status, scope["method"], scope["client"][0])
        ends = response.begun or status is HTTPStatus.REQUEST_TIMEOUT
        await response.refuse(status, https=self._https)
        if ends:
            self._sweep.end(scope)

    async def _answer(self, env: Environ, body: Body, response: Response, stack: AsyncExitStack) -> None:
        if "HTTP_TRANSFER_ENCODING" in env:
            raise RequestRefused(HTTPStatus.LENGTH_REQUIRED)
        pace, loop = Pace(self._seconds), asyncio.get_running_loop()
        if body.length > MAX_BUFFERED:
            await _acquire(self._uploads, stack, 0)
            env["wsgi.input"] = io.BufferedReader(BodyReader(body, pace, loop), MAX_BUFFERED)
        else:
            env["wsgi.input"] = await self._whole(body, stack)
        await _acquire(self._turns, stack, MAX_WAIT)
        end = await loop.run_in_executor(self._threads, self._in_thread, env, response, pace)
        await response.put(end)

    def _in_thread(self, env: Environ, answer: Response, pace: Pace) -> bytes:
        """Return the response, or its end.

        Resources that the application opens belong to this thread, so it also closes them.
        """
        response = self._application(env, answer.start)
        try:
            if pace.late:
                raise TooSlow("The body was too slow")
            return answer.take(response, alone=env["REQUEST_METHOD"] == "HEAD")
        finally:
            response.close()

    async def _whole(self, body: Body, stack: AsyncExitStack) -> io.BytesIO:
        """Return the body when all of it has arrived."""
        buffer = io.BytesIO()
        stack.callback(lambda: self._hold(-buffer.getbuffer().nbytes))
        try:
            async with asyncio.timeout(self._seconds):
                while body.left:
                    self._hold(buffer.write(await body.part()))
        except TimeoutError:
            raise TooSlow("The body was too slow") from None
        buffer.seek(0)
        return buffer

    def _hold(self, more: int) -> None:
        self._held += more
        if more > 0 and self._held > MAX_HELD:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)


async def _acquire(semaphore: asyncio.Semaphore, stack: AsyncExitStack, seconds: float) -> None:
    """Acquire the semaphore until `stack` is closed. Raise RequestRefused if that takes longer than that many seconds."""
    try:
        async with asyncio.timeout(seconds if semaphore.locked() else None):
            await semaphore.acquire()
    except TimeoutError:
        raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE) from None
    stack.callback(semaphore.release)
