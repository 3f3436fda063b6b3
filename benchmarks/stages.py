"""Times an import from within: the stages that it announces, and the functions that are watched; profiles them if asked."""

import cProfile
import importlib
import io
import pstats
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_LINES = 25


def peak_bytes() -> int:
    """The most memory that this process has held; not what the one that started it held, which Linux counts in `ru_maxrss`."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Stages:
    """Seconds by stage, and by what is watched within the stages ("planning.snapshot"); peak memory at each stage's end."""

    def __init__(self, *, profile: bool) -> None:
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._wanted = profile
        self._stage = ""
        self._since = time.perf_counter()
        self._profiles: dict[str, cProfile.Profile] = {}

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG002  (what imports announce)
        """A stage begins or goes on, and another ends; "" ends the last."""
        if stage == self._stage:
            return
        if self._stage:
            self._end()
        self._stage, self._since = stage, time.perf_counter()
        if self._wanted and stage:
            self._profiles.setdefault(stage, cProfile.Profile()).enable()

    def _end(self) -> None:
        if self._wanted:
            self._profiles[self._stage].disable()
        self.peaks[self._stage] = peak_bytes()
        self._add(self._stage, time.perf_counter() - self._since)

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def watch(self, module: str, name: str, label: Callable[..., str]) -> None:
        """Times every call of a module's function from now on, under the label made from its arguments."""
        home = importlib.import_module(module)
        original: Callable[..., Any] = getattr(home, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            told = f"{self._stage}.{label(*arguments)}"
            since = time.perf_counter()
            try:
                with self._aside(told):
                    return original(*arguments, **named)
            finally:
                self._add(told, time.perf_counter() - since)

        setattr(home, name, timed)

    @contextmanager
    def _aside(self, told: str) -> Iterator[None]:
        """Profiles what runs in another thread than the stages do: their profile does not see it."""
        if not self._wanted or threading.current_thread() is threading.main_thread():
            yield
            return
        profile = self._profiles[told] = cProfile.Profile()
        profile.enable()
        try:
            yield
        finally:
            profile.disable()

    @property
    def profiles(self) -> dict[str, str]:
        """Each stage's profile as text: what took longest with all that it calls, then without; Polars' work is in its calls."""
        return {stage: _text(stage, self.seconds[stage], profile) for stage, profile in self._profiles.items()}


def _text(stage: str, seconds: float, profile: cProfile.Profile) -> str:
    text = io.StringIO()
    text.write(f"{stage}: {seconds:.3f} s\n")
    for order in ("cumulative", "tottime"):
        pstats.Stats(profile, stream=text).sort_stats(order).print_stats(_LINES)
    return text.getvalue()
