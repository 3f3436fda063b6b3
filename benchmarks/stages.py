"""The timer of an import within its process: its stages, the watched functions, and profiles of them if requested."""

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
_ONE_AT_A_TIME = sys.version_info >= (3, 12)
"""Whether a process has one active profile, of all threads. Before Python 3.12, each thread has its own."""


def read_peak_bytes() -> int:
    """Return the peak memory of this process, without that of its parent, which Linux counts in `ru_maxrss`."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Stages:
    """The seconds by stage and by watched function ("planning.snapshot"), and the peak memory at the end of each stage."""

    def __init__(self, *, profile: bool) -> None:
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._is_profiled = profile
        self._stage = ""
        self._since = time.perf_counter()
        self._profiles: dict[str, cProfile.Profile] = {}
        self._active: list[cProfile.Profile] = []
        """The profiles that have begun and not ended, the last one begun at the end."""
        self._lock = threading.Lock()

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG002  (what imports announce)
        """Begin or continue a stage, and end the one before. "" ends the last one."""
        if stage == self._stage:
            return
        if self._stage:
            self._end()
        self._stage, self._since = stage, time.perf_counter()
        if self._is_profiled and stage:
            self._begin_profile(self._profiles.setdefault(stage, cProfile.Profile()))

    def _end(self) -> None:
        if self._is_profiled:
            self._end_profile(self._profiles[self._stage])
        self.peaks[self._stage] = read_peak_bytes()
        self._add(self._stage, time.perf_counter() - self._since)

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def watch(self, module: str, name: str, label: Callable[..., str]) -> None:
        """Time every call of a module's function from now on, under the label made from its arguments."""
        home = importlib.import_module(module)
        original: Callable[..., Any] = getattr(home, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            name = f"{self._stage}.{label(*arguments)}"
            since = time.perf_counter()
            try:
                with self._profile_thread(name):
                    return original(*arguments, **named)
            finally:
                self._add(name, time.perf_counter() - since)

        setattr(home, name, timed)

    @contextmanager
    def _profile_thread(self, name: str) -> Iterator[None]:
        """Profile a function that runs in another thread than the stages, whose profile does not include it."""
        if not self._is_profiled or threading.current_thread() is threading.main_thread():
            yield
            return
        profile = self._profiles[name] = cProfile.Profile()
        self._begin_profile(profile)
        try:
            yield
        finally:
            self._end_profile(profile)

    def _begin_profile(self, profile: cProfile.Profile) -> None:
        """Begin or continue a profile. Where a process has one at a time, the one that is active pauses until this one ends."""
        with self._lock:
            if self._active and _ONE_AT_A_TIME:
                self._active[-1].disable()
            self._active.append(profile)
            profile.enable()

    def _end_profile(self, profile: cProfile.Profile) -> None:
        with self._lock:
            profile.disable()
            is_last = profile is self._active[-1]
            self._active.remove(profile)
            if is_last and self._active and _ONE_AT_A_TIME:
                self._active[-1].enable()

    @property
    def profiles(self) -> dict[str, str]:
        """Return the profile of each stage as text, by cumulative time and then by own time. Calls include the work of Polars."""
        return {
            stage: _format_profile(stage, self.seconds[stage], profile) for stage, profile in self._profiles.items()
        }


def _format_profile(stage: str, seconds: float, profile: cProfile.Profile) -> str:
    text = io.StringIO()
    text.write(f"{stage}: {seconds:.3f} s\n")
    for order in ("cumulative", "tottime"):
        pstats.Stats(profile, stream=text).sort_stats(order).print_stats(_LINES)
    return text.getvalue()
