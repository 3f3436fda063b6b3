"""The processes of the product and the receiver: started, killed, stopped for a moment, and started again."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MUSTER = str(Path(sys.executable).parent / "muster")
ROOT = Path(__file__).parents[1]
_SET_PARENT_DEATH_SIGNAL = 1


class Program:
    """A program that runs until it is killed, and is started again then, as a supervisor does it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=dict(self._environment), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509  (only the main thread starts programs)
            )  # fmt: skip

    def list_pids(self) -> list[int]:
        """Return the ids of its processes."""
        return list_tree(self._process.pid) if self._process and self._process.poll() is None else []

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End all of its processes with SIGKILL."""
        if self._process:
            kill_tree(self._process.pid)
            self._process.wait()

    def kill_first(self) -> None:
        """End only its first process with SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self, seconds: float) -> bool:
        """Ask it to end. Return whether it did within this time; otherwise it is killed."""
        if self._process is None:
            return True
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def wait(self, seconds: float) -> int | None:
        """Return its exit status when it ends by itself; None, and kill it, if it does not within this time."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


def list_tree(pid: int) -> list[int]:
    """Return the id of the process and of all that descend from it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def is_of(pid: int, home: Path) -> bool:
    """Return whether the process runs, and works on this installation."""
    try:
        return f"MUSTER_HOME={home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def kill_tree(pid: int) -> None:
    """Send SIGKILL to the process and all that descend from it."""
    for one in list_tree(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def pause(pids: Sequence[int], seconds: float) -> None:
    """Stop these processes, and let them continue after this time."""
    _signal_all(pids, signal.SIGSTOP)
    time.sleep(seconds)
    _signal_all(pids, signal.SIGCONT)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _die_with_parent() -> None:
    """Make the kernel kill the program if the harness is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
