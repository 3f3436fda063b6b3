"""What a method of the client is: a description of requests, which works with a session of either kind.

An operation is written once, as steps: a generator that yields requests and pauses, and returns a result. A session
carries the steps out, and either waits for them or can be awaited.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from musterbook.client.answering import Page, Route
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.sessions import AsyncDownload, AsyncSession, Download, SyncSession

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


class Session(Protocol):
    """What takes steps. `exchange`: the steps of one request, with its repetitions."""

    def exchange(self, call: Call[T]) -> Steps[T]: ...  # noqa: D102  (described above)
    def run(self, steps: Steps[T]) -> Any: ...  # noqa: D102
    def iterate(self, call: Call[Page[T]]) -> Any: ...  # noqa: D102
    def download(self, call: Call[bytes]) -> Any: ...  # noqa: D102


class Resource(Generic[S]):
    """The operations of one resource, with a session."""

    def __init__(self, session: S) -> None:
        self._session = session

    def get_session(self) -> Session:
        """Return the session, for the operations."""
        return cast("Session", self._session)

    def _ask(
        self,
        route: Route[T],
        path: Mapping[str, object] | None = None,
        **facts: Any,
    ) -> Steps[T]:
        """Return the steps of one request. `facts`: those of a Call."""
        return self.get_session().exchange(make_call(route, path, **facts))


class Operation(Generic[P, T]):
    """A method that takes steps. It returns their result, or in an AsyncAgency something to await for it."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self.describe, self.__doc__ = describe, describe.__doc__

    @overload
    def __get__(self, resource: None, owner: object) -> Operation[P, T]: ...
    @overload
    def __get__(self, resource: Resource[SyncSession], owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[AsyncSession], owner: object) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Any:
        """Return the method of a resource."""
        if resource is None:
            return self
        session = resource.get_session()
        return _bind(self.describe, lambda *args, **named: session.run(self.describe(resource, *args, **named)))


class Listing(Generic[P, T]):
    """A method that iterates over all pages of a list. The next page is read when it is needed."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[Page[T]]]) -> None:
        self.describe, self.__doc__ = describe, describe.__doc__

    @overload
    def __get__(self, resource: None, owner: object) -> Listing[P, T]: ...
    @overload
    def __get__(self, resource: Resource[SyncSession], owner: object) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncSession], owner: object) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Any:
        """Return the method of a resource."""
        if resource is None:
            return self
        session = resource.get_session()
        return _bind(
            self.describe, lambda *args, **named: session.iterate(_fill(self.describe(resource, *args, **named)))
        )


def _fill(call: Call[Page[T]]) -> Call[Page[T]]:
    """Return the request with the largest pages."""
    return replace(call, query={"limit": call.route.most, **call.query}) if call.route.most else call


class Downloading(Generic[P]):
    """A method that opens a file of the server: a context manager, whose value is iterated over or saved."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[bytes]]) -> None:
        self.describe, self.__doc__ = describe, describe.__doc__

    @overload
    def __get__(self, resource: None, owner: object) -> Downloading[P]: ...
    @overload
    def __get__(self, resource: Resource[SyncSession], owner: object) -> Callable[P, Download]: ...
    @overload
    def __get__(self, resource: Resource[AsyncSession], owner: object) -> Callable[P, AsyncDownload]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Any:
        """Return the method of a resource."""
        if resource is None:
            return self
        session = resource.get_session()
        return _bind(
            self.describe,
            lambda *args, **named: session.download(replace(self.describe(resource, *args, **named), is_stream=True)),
        )


def _bind(described: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with the name and the text of its description, for `help`."""
    method.__name__, method.__qualname__ = described.__name__, described.__qualname__
    method.__doc__, method.__module__ = described.__doc__, described.__module__
    return method
