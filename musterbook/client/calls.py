"""The requests of the client, and the steps of an operation: requests and pauses that a session takes."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar

import httpx2

from musterbook.client.answering import Page, Route
from musterbook.client.uploads import Upload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request of an operation. `fields`: those of the form with the file. `key`: the idempotency key."""

    route: Route[T]
    path: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    upload: Upload | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    if_match: str = ""
    is_stream: bool = False
    is_repeatable: bool = False
    """Whether the same request, sent again, does nothing else."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: wait for this number of seconds."""

    seconds: float


Steps: TypeAlias = Generator[Call[Any] | Pause, httpx2.Response | None, T]
"""The requests and pauses of an operation, and its result."""


def make_call(route: Route[T], path: Mapping[str, object] | None = None, **facts: Any) -> Call[T]:
    """Return a request of an operation. `facts`: those of a Call."""
    return Call(route, path or {}, **facts)


def turn_page(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """Return the request of the next page, or None after the last one."""
    return replace(call, query={**call.query, "cursor": page.next}) if page.next else None
