"""Requests to the servers of feeds while a user or a program waits. They are few at a time, because a server may be slow.

Each uses one of the threads that answer all requests of all agencies.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext_lazy

from musterbook.directory import models

AT_ONCE = 2
"""The most servers that one process asks at the same time: one for each agency."""
BUSY = gettext_lazy("A server of a feed is being asked at this moment. Wait a minute, then try again.")

_lock = threading.Lock()
_asking: set[int] = set()


@contextmanager
def take_turn(agency: models.Agency) -> Iterator[bool]:
    """Yield whether a server of the agency may be asked now."""
    with _lock:
        may_ask = agency.pk not in _asking and len(_asking) < AT_ONCE
        if may_ask:
            _asking.add(agency.pk)
    try:
        yield may_ask
    finally:
        if may_ask:
            with _lock:
                _asking.discard(agency.pk)
