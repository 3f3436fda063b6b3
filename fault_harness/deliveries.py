"""The load: each file is brought by its path, and brought again until it has arrived, as a careful sender does it."""

import contextlib
import http.client
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from fault_harness.processes import Program
from fault_harness.rosters import Roster, Rosters
from fault_harness.schedule import Path
from fault_harness.site import Site

_REQUEST_SECONDS, _COMMAND_SECONDS = 20.0, 240.0
_ACCEPTED = (200, 201, 202)


@dataclass
class Deliveries:
    """What was brought in a round.

    `arrived`: the hashes of the files that the product has said it has. `placed`: the name of each file that was placed in
    the folder, and its hash. `unsent`: requests that got no good answer yet, with their keys. `keys`: the key of each command
    that has ended well, and the hash of its file.
    """

    site: Site
    rosters: Rosters
    arrived: set[str] = field(default_factory=set)
    placed: dict[str, str] = field(default_factory=dict)
    unsent: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    _command: tuple[Program, str, str] | None = None
    _number: int = 0

    def place(self, roster: Roster, *, twice: bool = False) -> None:
        """Place the file in the folder of the feed; twice: under two names, at the same time."""
        for _ in range(2 if twice else 1):
            name = f"{self._next_number():05}.csv"
            path = self.site.feed_folder / name
            try:
                path.write_bytes(roster.content)
                os.utime(path, (self._number, self._number))  # files are taken from the oldest on
                path.with_name(f"{name}.done").touch()
            except OSError:  # the disk is full: the sender has not delivered it
                path.unlink(missing_ok=True)
                return
            self.placed[name] = roster.sha256

    def send(self, roster: Roster, *, key: bool, times: int = 1) -> None:
        """Send the file to the feed over REST; before it, send again what has no good answer."""
        self.unsent[roster.sha256] = f"key-{self._next_number()}" if key else ""
        self.send_rest({roster.sha256: times})

    def send_rest(self, times: Mapping[str, int] | None = None) -> None:
        """Send what has no good answer, with its key. `times`: how often a file is sent, if it is more than once."""
        for sha256, key in [*self.unsent.items()]:
            for _ in range((times or {}).get(sha256, 1)):
                if self._request(self.rosters.known[sha256].content, key) in _ACCEPTED:
                    self.arrived.add(sha256)
                    self.unsent.pop(sha256, None)
            if sha256 in self.unsent:
                return  # the files of a feed are sent in their order

    def _request(self, content: bytes, key: str) -> int:
        """Return the status of the answer, 0 without one."""
        headers = {"Authorization": f"Bearer {self.site.token}", "Content-Type": "text/csv"}
        headers |= {"Idempotency-Key": key} if key else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.site.web_port, timeout=_REQUEST_SECONDS)
        try:
            connection.request("POST", "/north/api/v1/feeds/sent/file", content, headers)
            with connection.getresponse() as response:
                return response.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def start_command(self, roster: Roster) -> Program:
        """Start the command that imports the file, when the one before it has ended."""
        self.finish_command()
        path = self._keep(roster)
        key = f"command-{roster.sha256[:20]}"
        program = self.site.start_command(
            "import", str(path), "--agency", "north", "--mode", "update", "--idempotency-key", key
        )
        self._command = (program, key, roster.sha256)
        return program

    def _keep(self, roster: Roster) -> FilePath:
        path = self.site.folder / "files" / f"{roster.sha256}.csv"
        path.write_bytes(roster.content)
        return path

    def finish_command(self) -> None:
        """Wait for the command that runs."""
        if self._command:
            program, key, sha256 = self._command
            if program.wait(_COMMAND_SECONDS) == 0:
                self.keys[key] = sha256
            self._command = None

    def get_command(self) -> Program | None:
        """Return the command that runs."""
        return self._command[0] if self._command else None

    def detach_command(self) -> Program | None:
        """Return the command that runs, which is no longer waited for."""
        program = self._command[0] if self._command else None
        self._command = None
        return program

    def list_acknowledged(self) -> set[str]:
        """Return the hashes of the files of which the product has said that it has them, by an answer, a status or a folder."""
        done = {sha256 for name, sha256 in self.placed.items() if (self.site.feed_folder / "done" / name).exists()}
        return self.arrived | set(self.keys.values()) | done

    def deliver_again(self, roster: Roster) -> None:
        """Bring a file again whose import was reported as failed, or which has not arrived."""
        if roster.path is Path.FOLDER:
            self.place(roster)
        elif roster.path is Path.SENT:
            self.send(roster, key=True)
        else:
            self.start_command(roster)
            self.finish_command()

    def _next_number(self) -> int:
        self._number += 1
        return self._number


def wait_for_web(site: Site, seconds: float) -> bool:
    """Wait until the web server answers. Return whether it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", site.web_port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            with connection.getresponse() as response:
                if response.status == http.client.OK:
                    return True
        time.sleep(0.1)
    return False
