"""Work that runs in a thread of its own, in the background; it may not use the database."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

_T = TypeVar("_T")
_END = object()
_LOOK_EVERY = 0.1


class BackgroundTask(Generic[_T]):
    """A piece of work that starts at once in a background thread, and its result.

    It must leave nothing important half done: when the process ends, nothing waits for it.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._future: Future[_T] = Future()
        threading.Thread(target=self._run, name="beside", daemon=True).start()

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001  (`result` raises it)
            self._future.set_exception(error)

    def result(self, check_stop: Callable[[], None] | None = None) -> _T:
        """Return the result of the work once it is done.

        Raise what the work raised. `check_stop` is called repeatedly meanwhile; raise what it raises.
        """
        while check_stop and not self._future.done():
            check_stop()
            wait([self._future], _LOOK_EVERY)
        return self._future.result()


def prefetch(items: Iterable[_T]) -> Iterator[_T]:
    """Yield the items; each is made while the caller works on the one before. Items that are made already need no thread."""
    if isinstance(items, Sequence):
        yield from items
        return
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as executor:
        future = executor.submit(next, source, _END)
        while (item := future.result()) is not _END:
            future = executor.submit(next, source, _END)
            yield item  # type: ignore[misc]  # it is not the end
