"""Turns: how many requests one process answers at a time, so that slow clients and bursts hold up nobody else.

A request costs a thread and a connection to the database, so only TURNS of them are answered at once. It gets its turn when its
body has arrived: a client that sends slowly costs no thread. A body that is too large to wait for is read within the turn, only
a few at a time. An answer up to IN_ONE_PIECE is handed over whole, so a client that reads slowly keeps no turn either. Clients
that do not keep the pace are disconnected.
"""

import asyncio
import io
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

from musterbook import logs
from musterbook.answers import Answer
from musterbook.bodies import Arriving, Body
from musterbook.environ import Environ, environ, length_of
from musterbook.paces import Late, Pace
from musterbook.sweeping import Sweep

TURNS = 16
"""Requests that one process answers at the same time; each holds one thread and one connection to the database at most."""
UPLOADS = 4
"""Bodies larger than WAITED_FOR that one process reads at the same time."""
WAITED_FOR = 1_048_576
"""The bytes of a body that is waited for; a larger one is a file."""
HELD = 128 * 1_048_576
"""The bytes of bodies that one process holds for requests that are not answered yet."""
PATIENCE = 20.0
"""Seconds that a request waits for a turn before it is answered with 503."""
Application = Callable[[Environ, Callable[..., Any]], Any]
_LOG = logging.getLogger(__name__)


class Refused(Exception):
    """A request that the application does not answer; `status` says why."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class InTurn:
    """A WSGI application as an ASGI one, which answers TURNS requests at a time and waits for clients for so many seconds.

    `https`: whether pages are found by https alone; refusals say so as well.
    """

    def __init__(self, application: Application, seconds: float, *, https: bool) -> None:
        self._application, self._seconds, self._https = application, seconds, https
        self._threads = ThreadPoolExecutor(TURNS, thread_name_prefix="turn")
        self._turns, self._uploads = asyncio.Semaphore(TURNS), asyncio.Semaphore(UPLOADS)
        self._sweep, self._held = Sweep(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
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
        except Exception:  # noqa: BLE001  (whatever it is, it is logged and answered)
            _LOG.exception("A request failed outside of the application")
            refused = HTTPStatus.INTERNAL_SERVER_ERROR
        if refused:
            await self._refuse(refused, scope, answer)

    async def _refuse(self, status: HTTPStatus, scope: Any, answer: Answer) -> None:
        """Says no, or ends the connection where an answer has begun: half of one must not look whole."""
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
        """The answer, or its end. What the application opens belongs to this thread, so it is closed here too."""
        response = self._application(about, answer.start)
        try:
            if pace.late:
                raise Late("The body was too slow")
            return answer.take(response, alone=about["REQUEST_METHOD"] == "HEAD")
        finally:
            response.close()

    async def _whole(self, body: Body, held: AsyncExitStack) -> io.BytesIO:
        """The body, when all of it has arrived."""
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
    """Takes one of some, until `held` is released; raises Refused if there is none within so many seconds."""
    try:
        async with asyncio.timeout(seconds if some.locked() else None):
            await some.acquire()
    except TimeoutError:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE) from None
    held.callback(some.release)
