"""Times an import from within: the stages that it announces, and the functions that are watched; profiles them if asked."""

import cProfile
import io
import pstats
import resource
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

_LINES = 25


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Stages:
    """Seconds by stage, and by what is watched within the stages ("planning.snapshot"); peak memory at each stage's end."""

    def __init__(self, *, profile: bool) -> None:
        self.seconds: dict[str, float] = {}
        self.profiles: dict[str, str] = {}
        self.peaks: dict[str, int] = {}
        self._wanted = profile
        self._stage = ""
        self._since = time.perf_counter()
        self._profile: cProfile.Profile | None = None

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG002  (what imports announce)
        """A stage begins, and the one before it ends; "" ends the last."""
        self._end()
        self._stage, self._since = stage, time.perf_counter()
        if self._wanted and stage:
            self._profile = cProfile.Profile()
            self._profile.enable()

    def _end(self) -> None:
        if self._stage:
            self.peaks[self._stage] = peak_bytes()
            self._add(self._stage, time.perf_counter() - self._since)
        if self._profile:
            self._profile.disable()
            text = io.StringIO()
            pstats.Stats(self._profile, stream=text).sort_stats("cumulative").print_stats(_LINES)
            self.profiles[self._stage] = text.getvalue()
            self._profile = None

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def watch(self, module: ModuleType, name: str, label: Callable[..., str]) -> None:
        """Times every call of a module's function from now on, under the label made from its arguments."""
        original: Callable[..., Any] = getattr(module, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            since = time.perf_counter()
            try:
                return original(*arguments, **named)
            finally:
                self._add(f"{self._stage}.{label(*arguments)}", time.perf_counter() - since)

        setattr(module, name, timed)
