"""Work that is done beside other work, in a thread of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Beside(Generic[_T]):
    """Work that begins at once, and what comes of it.

    It must leave nothing half done that matters: where the process ends, nobody waits for it. It may not use the database.
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

    def result(self) -> _T:
        """What came of it, once it is done. Raises what it raised."""
        return self._future.result()
