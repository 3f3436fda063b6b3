"""The two transports: each takes the steps of operations. One waits for them, and one lets its caller await them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx2

from musterbook.client.answering import Page
from musterbook.client.calls import Call, Pause, Steps, turn_page
from musterbook.client.exchanging import Patience, exchange, open_request, read_response
from musterbook.client.problems import Unreachable

T = TypeVar("T")
_PART = 64 * 1024


class _Session:
    """What both have: where requests go, and how often they are repeated."""

    def __init__(self, base: str, patience: Patience) -> None:
        self.base, self.patience = base, patience

    def exchange(self, call: Call[T]) -> Steps[T]:
        """Yield the steps of one request, and return what its answer says."""
        response = yield from exchange(call, self.patience)
        return read_response(call, response)


class SyncSession(_Session):
    """A session that waits for what it does."""

    def __init__(self, base: str, patience: Patience, client: httpx2.Client) -> None:
        super().__init__(base, patience)
        self.client = client

    def run(self, steps: Steps[T]) -> T:
        """Take the steps, and return their result."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = steps.send(None)
                    continue
                try:
                    response = self._send(step)
                except httpx2.RequestError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, call: Call[Any]) -> httpx2.Response:
        with open_request(self.base, call) as arguments:
            response = self.client.send(self.client.build_request(**arguments), stream=call.is_stream)
        if call.is_stream and not response.is_success:
            response.read()
        return response

    def iterate(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield the items of all pages."""
        following: Call[Page[T]] | None = call
        while following:
            page = self.run(self.exchange(following))
            yield from page.items
            following = turn_page(following, page)

    def download(self, call: Call[bytes]) -> "Download":
        """Return a file of the server, to be opened by `with`."""
        return Download(self, call)


class AsyncSession(_Session):
    """A session whose results are awaited."""

    def __init__(self, base: str, patience: Patience, client: httpx2.AsyncClient) -> None:
        super().__init__(base, patience)
        self.client = client

    async def run(self, steps: Steps[T]) -> T:
        """Take the steps, and return their result."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = steps.send(None)
                    continue
                try:
                    response = await self._send(step)
                except httpx2.RequestError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, call: Call[Any]) -> httpx2.Response:
        with open_request(self.base, call) as arguments:
            response = await self.client.send(self.client.build_request(**arguments), stream=call.is_stream)
        if call.is_stream and not response.is_success:
            await response.aread()
        return response

    async def iterate(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield the items of all pages."""
        following: Call[Page[T]] | None = call
        while following:
            page = await self.run(self.exchange(following))
            for item in page.items:
                yield item
            following = turn_page(following, page)

    def download(self, call: Call[bytes]) -> "AsyncDownload":
        """Return a file of the server, to be opened by `async with`."""
        return AsyncDownload(self, call)


class Download:
    """A file of the server: `with agency.imports.errors(number) as file:`, then iterate over its parts, or save it."""

    def __init__(self, session: SyncSession, call: Call[bytes]) -> None:
        self._session, self._call = session, call

    def __enter__(self) -> Self:
        self._response = self._session.run(exchange(self._call, self._session.patience))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        with _naming(self._call):
            yield from self._response.iter_bytes(_PART)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file to this path. The path has the file only when all of it has arrived."""
        target, arriving = _name_arriving(path)
        try:
            with arriving.open("wb") as file:
                for part in self:
                    file.write(part)
            return arriving.replace(target)
        finally:
            with suppress(FileNotFoundError):
                arriving.unlink()


class AsyncDownload:
    """A file of the server: `async with agency.imports.errors(number) as file:`, then iterate over it, or save it."""

    def __init__(self, session: AsyncSession, call: Call[bytes]) -> None:
        self._session, self._call = session, call

    async def __aenter__(self) -> Self:
        self._response = await self._session.run(exchange(self._call, self._session.patience))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._response.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _naming(self._call):
            async for part in self._response.aiter_bytes(_PART):
                yield part

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file to this path. The path has the file only when all of it has arrived."""
        target, arriving = _name_arriving(path)
        try:
            with arriving.open("wb") as file:
                async for part in self:
                    file.write(part)
            return arriving.replace(target)
        finally:
            with suppress(FileNotFoundError):
                arriving.unlink()


@contextmanager
def _naming(call: Call[bytes]) -> Iterator[None]:
    """Name the operation whose file breaks off."""
    try:
        yield
    except httpx2.RequestError as error:
        raise Unreachable(f"{call.route.name}: the file did not arrive in full. {error}") from error


def _name_arriving(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the path, and that of a file in the same folder that takes what arrives."""
    target = Path(path)
    return target, target.with_name(f".{target.name}.{uuid4().hex[:8]}")
