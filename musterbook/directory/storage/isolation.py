"""The agency that this thread works for: PostgreSQL shows and changes rows of no other one (row-level security).

It is the second wall. The first is the scope of each query. Every table with data of an agency has a policy, which compares
the row's agency with the setting `muster.agency` of the connection (`storage.policies`): the id of an agency, `*` for work of
the whole installation, or nothing, and then there are no rows. The connection sets it before each statement if it has changed
(`storage.postgresql`). SQLite has no such policies; there this decides nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

SETTING = "muster.agency"
"""The setting of a connection of PostgreSQL."""
ALL, NONE = "*", ""
"""Its values for work of the whole installation, and for a thread that has not said what it works for."""

_T = TypeVar("_T")
_usual = NONE
"""The value in a thread that has not said anything."""
_scope: ContextVar[str] = ContextVar(SETTING)


class OtherAgency(Exception):
    """Work that is limited to one agency may not turn to another one."""


def read_scope() -> str:
    """Return what the setting must be for the current thread."""
    return _scope.get(_usual)


@contextmanager
def limit_to(agency_id: int) -> Iterator[None]:
    """Limit this thread to one agency. Raise OtherAgency if it is limited to another one."""
    with _use(_check(agency_id)):
        yield


@contextmanager
def open_to_all() -> Iterator[None]:
    """Let this thread work for the whole installation. Each use has a reason in a list of a test."""
    with _use(ALL):
        yield


@contextmanager
def close_all() -> Iterator[None]:
    """Let this thread see no row of any agency."""
    with _use(NONE):
        yield


def limit_rest_to(agency_id: int) -> None:
    """Limit the rest of the enclosing `open_to_all` to one agency, as a command does when it knows which one it is for."""
    _scope.set(_check(agency_id))


def limit_iteration(agency_id: int, items: Iterable[_T]) -> Iterator[_T]:
    """Yield the items. While each is made, this thread is limited to the agency, whatever it is limited to in between."""
    with limit_to(agency_id):
        source = iter(items)
    while True:
        with limit_to(agency_id):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


def open_process() -> None:
    """Let every thread that has not said anything work for the whole installation, as in tests, benchmarks and own scripts.

    The product does not call it.
    """
    global _usual  # noqa: PLW0603  (it is for the threads of this process)
    _usual = ALL


def _check(agency_id: int) -> str:
    wanted, present = str(int(agency_id)), read_scope()
    if present not in (ALL, NONE, wanted):
        raise OtherAgency(f"work for agency {present} turned to agency {wanted}")
    return wanted


@contextmanager
def _use(scope: str) -> Iterator[None]:
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
