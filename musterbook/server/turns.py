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

from musterbook.config import logs
from musterbook.server.answers import Answer
from musterbook.server.bodies import Arriving, Body
from musterbook.server.environ import Environ, environ, length_of
from musterbook.server.paces import Late, Pace
from musterbook.server.sweeping import Sweep

TURNS = 16
"""The requests that one process answers at the same time. Each uses at most one thread and one database connection."""
UPLOADS = 4
"""The bodies larger than WAITED_FOR that one process reads at the same time."""
WAITED_FOR = 1_048_576
"""The maximum size in bytes of a body that is waited for. A larger one is a file."""
HELD = 128 * 1_048_576
"""The maximum size in bytes of all bodies that one process holds for requests that are not yet answered."""
PATIENCE = 20.0
"""Seconds that a request waits for a turn before it is answered with 503."""
Application = Callable[[Environ, Callable[..., Any]], Any]
_LOG = logging.getLogger(__name__)


class Refused(Exception):
    """The application does not answer the request. `status` has the reason."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class InTurn:
    """An ASGI application that runs a WSGI application, TURNS requests at a time. It waits for clients for `seconds`.

    `https`: whether the pages use only https. Refusals then state this as well.
    """

    def __init__(self, application: Application, seconds: float, *, https: bool) -> None:
        self._application, self._seconds, self._https = application, seconds, https
        self._threads = ThreadPoolExecutor(TURNS, thread_name_prefix="turn")
        self._turns, self._uploads = asyncio.Semaphore(TURNS), asyncio.Semaphore(UPLOADS)
        self._sweep, self._held = Sweep(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        answer = Answer(send, Pace(self._seconds), asyncio.get_running_loop())
        about = environ(scope)
        refused = None
        try:
            async with AsyncExitStack() as held:
                await self._answer(about, Body(receive, length_of(about)), answer, held)
        except Late:
            refused = HTTPStatus.REQUEST_TIMEOUT
        except Refused as why:
            refused = why.status
        except ConnectionError:
            self._sweep.end(scope)
        except Exception:  # noqa: BLE001  (any error is logged and answered)
            _LOG.exception("A request failed outside the application")
            refused = HTTPStatus.INTERNAL_SERVER_ERROR
        if refused:
            await self._refuse(refused, scope, answer)

    async def _refuse(self, status: HTTPStatus, scope: Any, answer: Answer) -> None:
        """Refuse the request, or close the connection if a response has begun.

        Half a response must not look complete.
        """
        logs.SECURITY.warning("Refused with %d: %s from %s", status, scope["method"], scope["client"][0])
        ends = answer.begun or status is HTTPStatus.REQUEST_TIMEOUT
        await answer.refuse(status, https=self._https)
        if ends:
            self._sweep.end(scope)

    async def _answer(self, about: Environ, body: Body, answer: Answer, held: AsyncExitStack) -> None:
        if "HTTP_TRANSFER_ENCODING" in about:
            raise Refused(HTTPStatus.LENGTH_REQUIRED)
        pace, loop = Pace(self._seconds), asyncio.get_running_loop()
        if body.length > WAITED_FOR:
            await _take(self._uploads, held, 0)
            about["wsgi.input"] = io.BufferedReader(Arriving(body, pace, loop), WAITED_FOR)
        else:
            about["wsgi.input"] = await self._whole(body, held)
        await _take(self._turns, held, PATIENCE)
        end = await loop.run_in_executor(self._threads, self._in_thread, about, answer, pace)
        await answer.put(end)

    def _in_thread(self, about: Environ, answer: Answer, pace: Pace) -> bytes:
        """Return the response, or its end.

        Resources that the application opens belong to this thread, so it also closes them.
        """
        response = self._application(about, answer.start)
        try:
            if pace.late:
                raise Late("The body was too slow")
            return answer.take(response, alone=about["REQUEST_METHOD"] == "HEAD")
        finally:
            response.close()

    async def _whole(self, body: Body, held: AsyncExitStack) -> io.BytesIO:
        """Return the body when all of it has arrived."""
        taken = io.BytesIO()
        held.callback(lambda: self._hold(-taken.getbuffer().nbytes))
        try:
            async with asyncio.timeout(self._seconds):
                while body.left:
                    self._hold(taken.write(await body.part()))
        except TimeoutError:
            raise Late("The body was too slow") from None
        taken.seek(0)
        return taken

    def _hold(self, more: int) -> None:
        self._held += more
        if more > 0 and self._held > HELD:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE)


async def _take(some: asyncio.Semaphore, held: AsyncExitStack, seconds: float) -> None:
    """Acquire the semaphore until `held` is closed. Raise Refused if that takes longer than that many seconds."""
    try:
        async with asyncio.timeout(seconds if some.locked() else None):
            await some.acquire()
    except TimeoutError:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE) from None
    held.callback(some.release)
