"""A proxy in front of PostgreSQL that cuts a connection at a statement of an import, or delays every message.

It reads the messages of the client, as PostgreSQL's protocol frames them, and counts the statements of one import: from the
attempt to take the import lock to its release.
"""

import asyncio
import threading
from dataclasses import dataclass, field

_STATEMENTS = b"QPc"
"""The types of the messages that are counted: a query, a parsed statement, and the end of copied rows."""
_ENCRYPTION = (80877103, 80877104)
_BEGINS, _APPLIES, _ENDS = b"pg_try_advisory_lock", b"FOR NO KEY UPDATE", b"pg_advisory_unlock"
_SHOWN = 70


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection that was cut at the statement of this number: before it reached the server, or before its answer came."""

    number: int
    answered: bool
    statement: str


@dataclass(slots=True)
class _Session:
    """What the proxy knows of one connection: how many statements of an import it has sent. None: it runs none."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    count: int | None = None
    applies: bool = False
    cut_after: Cut | None = None

    def close(self) -> None:
        """Cut both sides at once."""
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Proxy:
    """A proxy that runs in a thread, from `start` to `stop`.

    `delay`: the seconds that each part of the traffic waits. `next_cut`: the number of the statement at which the next cut is
    made. `cuts`: those that were made. `longest`: the most statements of one import.
    """

    target: int
    delay: float = 0.0
    next_cut: int = 1
    answered: bool = False
    cuts: list[Cut] = field(default_factory=list)
    longest: int = 0
    port: int = 0
    _armed: int = 0

    def start(self) -> None:
        """Listen at a free port of this machine."""
        ready = threading.Event()

        async def listen() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await self._ended.wait()
            server.close()

        self._thread = threading.Thread(target=asyncio.run, args=(listen(),), name="proxy", daemon=True)
        self._thread.start()
        ready.wait(10)

    def stop(self) -> None:
        """Cut all connections, and end."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def arm(self) -> None:
        """Cut the next import once."""
        self._armed += 1

    def disarm(self) -> None:
        """Cut no more."""
        self._armed = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        session = _Session(writer, server_writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(session, reader))
                tasks.create_task(self._answer(session, server_reader))
        except* (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            session.close()

    async def _send(self, session: _Session, reader: asyncio.StreamReader) -> None:
        await self._start_session(session, reader)
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            cut = self._look_at(session, head[:1], body)
            if cut and not cut.answered:
                self._note(cut)
                raise ConnectionResetError
            if self.delay:
                await asyncio.sleep(self.delay)
            session.cut_after = cut or session.cut_after
            session.server.write(head + body)
            await session.server.drain()

    async def _start_session(self, session: _Session, reader: asyncio.StreamReader) -> None:
        """Pass on what comes before the first message that has a type."""
        while True:
            head = await reader.readexactly(8)
            session.server.write(head + await reader.readexactly(int.from_bytes(head[:4]) - 8))
            if int.from_bytes(head[4:]) not in _ENCRYPTION:
                return

    async def _answer(self, session: _Session, reader: asyncio.StreamReader) -> None:
        while part := await reader.read(65_536):
            if session.cut_after:
                self._note(session.cut_after)
                break
            if self.delay:
                await asyncio.sleep(self.delay)
            session.client.write(part)
            await session.client.drain()
        raise ConnectionResetError

    def _look_at(self, session: _Session, kind: bytes, body: bytes) -> Cut | None:
        """Count a message of an import. Return the cut to make at it."""
        if kind not in _STATEMENTS:
            return None
        if _BEGINS in body:
            session.count, session.applies = 0, False
        if session.count is None:
            return None
        session.count += 1
        session.applies = session.applies or _APPLIES in body
        if self._armed and session.count == self.next_cut:
            self._armed -= 1
            return Cut(self.next_cut, self.answered, _shorten(body))
        if _ENDS in body:
            self._end_import(session)
        return None

    def _end_import(self, session: _Session) -> None:
        if session.applies and session.count:
            self.longest = max(self.longest, session.count)
            if self._armed and self.next_cut > session.count:
                self._step(0)
        session.count = None

    def _note(self, cut: Cut) -> None:
        self.cuts.append(cut)
        self._step(cut.number)

    def _step(self, done: int) -> None:
        """Go on to the next statement; after the last one, cut at the first again, on the other side of it."""
        self.next_cut = done + 1
        if done == 0:
            self.answered = not self.answered


def _shorten(body: bytes) -> str:
    text = " ".join(body.strip(b"\0").decode(errors="replace").split())
    return text[:_SHOWN]
