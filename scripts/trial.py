"""Tries Musterbook out in the checkout: an agency, its first import, and the night after, previewed and waiting on a page."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts import setup

HOME = setup.ROOT / ".muster"
AGENCY, ADMINISTRATOR = "riverton-pd", "000117"
_OF = ("--agency", AGENCY)
_STEPS = (
    ("The agency", ["agency", "apply", "examples/agency.toml"]),
    ("The first night: everybody is new", ["import", "examples/first-night.csv", *_OF]),
    (
        "The second night, synchronized: who is not in the file, would leave. Nothing is changed yet",
        ["import", "examples/second-night.csv", *_OF, "--mode", "sync", "--preview", "--as", ADMINISTRATOR],
    ),
)
_ROWS_WITH_PROBLEMS = 1
"""The exit status of an import that was done, some rows excepted; the second night has such rows."""
_PORTS = range(8000, 8100)
_READY_WITHIN = 60.0


class StepFailed(Exception):
    """A step of the trial ended with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main() -> int:
    """Start with an empty folder each time; gives the status of the first step that fails, or 0 when the server is ended."""
    shutil.rmtree(HOME, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with waiting(HOME) as link:
            print(
                "\nThe plan of the second night waits for you to apply it. Open this link, choose a password, and you are signed"
                f" in as the agency's administrator, and see it:\n\n  {link}\n\nCtrl-C ends the server.",
                flush=True,
            )
            while True:
                time.sleep(3600)
    except StepFailed as step:
        return step.status
    except KeyboardInterrupt:
        return 0


@contextmanager
def waiting(home: Path) -> Iterator[str]:
    """A server whose second night waits on a page: gives the link by which its administrator gets there; ends the server."""
    trial = _Trial(home, next(filter(_is_free, _PORTS), _PORTS[0]))
    trial.import_nights()
    serve = [*trial.muster("serve", "--port", str(trial.port))]
    with subprocess.Popen(serve, cwd=setup.ROOT, env=trial.environment()) as server:
        try:
            trial.wait_for(server)
            yield trial.link()
        finally:
            server.terminate()


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class _Trial:
    """An installation in a folder, to be served at a port."""

    home: Path
    port: int

    def import_nights(self) -> None:
        for title, arguments in _STEPS:
            print(f"\n{title}\n$ muster {' '.join(arguments)}", flush=True)
            done = subprocess.run(self.muster(*arguments), cwd=setup.ROOT, env=self.environment(), check=False)
            if done.returncode and not (done.returncode == _ROWS_WITH_PROBLEMS and arguments[0] == "import"):
                raise StepFailed(done.returncode)

    def link(self) -> str:
        """The administrator's invitation, which leads to the plan of the second night."""
        plan = self._asked("imports", *_OF, "--limit", "1")[0]["import"]
        link = self._asked("invite", *_OF, ADMINISTRATOR, "--print-link")["link"]
        return f"{link}?next=/{AGENCY}/imports/{plan}"

    def _asked(self, *arguments: str):  # type: ignore[no-untyped-def]
        command = self.muster(*arguments, "--output", "json")
        done = subprocess.run(command, cwd=setup.ROOT, env=self.environment(), check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def wait_for(self, server: "subprocess.Popen[bytes]") -> None:
        """Waits until the pages are there; raises StepFailed if the server ends instead, or takes too long."""
        until = time.monotonic() + _READY_WITHIN
        while time.monotonic() < until and server.poll() is None:
            with suppress(OSError):
                socket.create_connection(("localhost", self.port)).close()
                return
            time.sleep(0.2)
        raise StepFailed(server.poll() or 1)

    def muster(self, *arguments: str) -> list[str]:
        return [str(setup.PROGRAMS / "muster"), *arguments]

    def environment(self) -> dict[str, str]:
        ours = ("DATABASE_URL", "DJANGO_", "MUSTER_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**inherited, "MUSTER_HOME": str(self.home), "MUSTER_URL": self._address()}

    def _address(self) -> str:
        return f"http://localhost:{self.port}"
