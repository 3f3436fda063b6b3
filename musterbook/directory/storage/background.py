"""Work that is done beside other work, in a thread of its own; it may not use the database."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

_T = TypeVar("_T")
_END = object()
_LOOK_EVERY = 0.1


class Beside(Generic[_T]):
    """Work that begins at once, and what comes of it.

    It must leave nothing half done that matters: where the process ends, nobody waits for it.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._future: Future[_T] = Future()
        threading.Thread(target=self._run, name="beside", daemon=True).start()

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001  (told to whoever asks for the result)
            self._future.set_exception(error)

    def result(self, heed: Callable[[], None] | None = None) -> _T:
        """What came of it, once it is done. Raises what it raised, or what `heed` raises, which is asked meanwhile."""
        while heed and not self._future.done():
            heed()
            wait([self._future], _LOOK_EVERY)
        return self._future.result()


def ahead(items: Iterable[_T]) -> Iterator[_T]:
    """The items, each made while whoever asks for them works on the one before."""
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as beside:
        coming = beside.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = beside.submit(next, source, _END)
            yield item  # type: ignore[misc]  # it is not the end
