"""The processes of an installation: they do what they are told, and are killed."""

import json
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from tests import databases
from tests.databases import Home

_ROOT = Path(__file__).parents[3]


class Worker:
    """A process of the installation."""

    def __init__(self, home: Home, log: IO[str]) -> None:
        # What is killed may not be measured: it would leave half of a report.
        environment = {name: value for name, value in home.environment.items() if name != "COVERAGE_PROCESS_CONFIG"}
        command, pipe = [sys.executable, "-m", "tests.feeds.nights.worker"], subprocess.PIPE
        self.process = databases.start(command, environment, _ROOT, stdin=pipe, stdout=pipe, stderr=log, text=True)
        self.log = log

    def ask(self, at: datetime, do: str, **arguments: Any) -> None:
        """Give it a command."""
        stdin = cast("IO[str]", self.process.stdin)
        stdin.write(json.dumps({"at": at.isoformat(), "do": do, **arguments}) + "\n")
        stdin.flush()

    def read(self) -> dict[str, Any]:
        """Return what it says next."""
        line = cast("IO[str]", self.process.stdout).readline()
        if not line:
            self.process.wait(60)
            raise AssertionError(Path(self.log.name).read_text(encoding="utf-8")[-4_000:])
        answer: dict[str, Any] = json.loads(line)
        return self.read() if "ready" in answer else answer

    def do(self, at: datetime, do: str, **arguments: Any) -> dict[str, Any]:
        """Give it a command, and return its answer."""
        self.ask(at, do, **arguments)
        return self.read()

    def kill(self) -> None:
        """End it as a loss of power does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> None:
        """Let it end."""
        self.process.communicate(timeout=60)
