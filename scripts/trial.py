"""The sample of `./run`: an agency, its first import, and the second night, previewed and open on a page.

That of `./run --feed` is another one: three nights of a feed.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import feed_nights, setup

HOME, FEED_HOME = setup.ROOT / ".muster", setup.ROOT / ".muster-feed"
AGENCY, ADMINISTRATOR = feed_nights.AGENCY, feed_nights.ADMINISTRATOR
_OF = ("--agency", AGENCY)
_STEPS = (
    ("The agency", ["agency", "apply", "examples/agency.toml"]),
    ("The first night: everybody is new", ["import", "examples/first-night.csv", *_OF]),
    (
        "The second night, synchronized: users who are not in the file would lose access. Nothing is changed yet",
        ["import", "examples/second-night.csv", *_OF, "--mode", "sync", "--preview", "--as", ADMINISTRATOR],
    ),
)
_ROWS_WITH_PROBLEMS = 1
"""The exit status of an applied import with rows that were not; the second night has such rows."""
_PORTS = range(8000, 8100)
_READY_WITHIN = 60.0


class StepFailed(Exception):
    """A step of the trial ended with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main(arguments: list[str]) -> int:
    """Serve a sample. Make it first if it does not exist. Return the status of the step that fails, or 0."""
    options = _make_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        port, home = _find_port(), FEED_HOME if options.feed else HOME
        with _hold_lock(port, home) as running:
            if running:
                print(f"It is running already, at {running}. End that one with Ctrl-C first, or use it.")
                return 0
            if options.fresh and home.exists() and not _may_delete(home):
                return 1
            with serve_sample(home, port, feed=options.feed) as link:
                print(
                    f"\n{_make_explanation(link, home, feed=options.feed)}\n\n  {link}\n\nCtrl-C ends the server.",
                    flush=True,
                )
                while True:
                    time.sleep(3600)
    except StepFailed as step:
        return step.status
    except KeyboardInterrupt:
        return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run",
        description="Set Musterbook up and serve a sample agency on this machine. The next run serves the sample as you left it.",
    )
    parser.add_argument(
        "--feed",
        action="store_true",
        help="serve another sample: a feed, and what it did in the last three nights. Each step is printed while it is made,"
        " which takes a minute",
    )
    parser.add_argument("--fresh", action="store_true", help="delete the sample and make it again, after asking")
    return parser


@contextmanager
def _hold_lock(port: int, home: Path | None = None) -> Iterator[str]:
    """Hold the lock of the sample while it is served. Yield the address of a running sample, or ""."""
    home = home or HOME
    with home.with_name(f"{home.name}.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield file.read().strip() or "another port"
            return
        file.truncate(0)
        file.write(_make_address(port))
        file.flush()
        yield ""


def _may_delete(folder: Path) -> bool:
    """Ask for confirmation, and delete the folder if the answer is yes."""
    try:
        answer = input(f"This deletes {folder} with everything in it. Type yes to go on: ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        print("Nothing was deleted.")
        return False
    shutil.rmtree(folder)
    return True


def _make_explanation(link: str, home: Path, *, feed: bool = False) -> str:
    if feed:
        folder = home / "feeds" / AGENCY / feed_nights.FEED
        more = f"To try another night, put a file into {folder}, and an empty file with the same name and .done at the end."
        how = (
            "Open this link and choose a password: you are signed in as the agency's administrator, on the page Feeds:"
            if "?next=" in link
            else "The sample is as you left it. Sign in here, and open Users, Feeds:"
        )
        return f"{more}\n\n{how}"
    if "?next=" in link:
        return (
            "The plan of the second night waits for you to apply it. Open this link and choose a password: you are signed in"
            " as the agency's administrator, and see it:"
        )
    return "The sample is as you left it. Sign in here:"


@contextmanager
def serve_sample(home: Path, port: int | None = None, *, feed: bool = False) -> Iterator[str]:
    """Serve a sample. Make it first if it does not exist. Yield the link to its plan or feed, or to its pages.

    `feed`: whether it is the one with the feed.
    """
    trial = _Trial(home, port or _find_port(), feed)
    if not home.exists():
        _make_sample(home, trial.port, feed=feed)
    serve = [*trial.muster("serve", "--port", str(trial.port))]
    with subprocess.Popen(serve, cwd=setup.ROOT, env=trial.environment()) as server:
        try:
            trial.wait_for(server)
            yield trial.link()
        finally:
            server.terminate()


def _make_sample(home: Path, port: int, *, feed: bool) -> None:
    """Make the sample in a temporary folder first, so that an interrupted one is not mistaken for a sample."""
    draft = home.with_name(f"{home.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    trial = _Trial(draft, port, feed)
    if feed:
        trial.make_feed()
    else:
        trial.import_nights()
    draft.rename(home)


def _find_port() -> int:
    return next(filter(_is_free, _PORTS), _PORTS[0])


def _make_address(port: int) -> str:
    return f"http://localhost:{port}"


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
    feed: bool = False

    def import_nights(self) -> None:
        for title, arguments in _STEPS:
            print(f"\n{title}\n$ muster {' '.join(arguments)}", flush=True)
            done = subprocess.run(self.muster(*arguments), cwd=setup.ROOT, env=self.environment(), check=False)
            if done.returncode and not (done.returncode == _ROWS_WITH_PROBLEMS and arguments[0] == "import"):
                raise StepFailed(done.returncode)

    def make_feed(self) -> None:
        """Make the three nights of the feed, by their own clock."""
        self.home.mkdir(mode=0o700)
        command = [sys.executable, "-m", "scripts.feed_nights"]
        done = subprocess.run(command, cwd=setup.ROOT, env=self.environment(), check=False)
        if done.returncode:
            raise StepFailed(done.returncode)

    def link(self) -> str:
        """Return the administrator's invitation, or the pages if they have registered.

        It leads to the feeds, or to the newest import.
        """
        invited = self._query("invite", *_OF, ADMINISTRATOR, "--print-link")
        if invited is None:
            return f"{_make_address(self.port)}/{AGENCY}/"
        if self.feed:
            return f"{invited['link']}?next=/{AGENCY}/feeds/"
        plan = self._query("imports", *_OF, "--limit", "1")[0]["import"]
        return f"{invited['link']}?next=/{AGENCY}/imports/{plan}"

    def _query(self, *arguments: str) -> Any:
        """Return the JSON output of a command, or None if it refuses."""
        command = self.muster(*arguments, "--output", "json")
        pipe = subprocess.PIPE
        done = subprocess.run(command, cwd=setup.ROOT, env=self.environment(), check=False, stdout=pipe, stderr=pipe)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_for(self, server: "subprocess.Popen[bytes]") -> None:
        """Wait until the pages respond. Raise StepFailed if the server ends instead, or takes too long."""
        until = time.monotonic() + _READY_WITHIN
        while time.monotonic() < until and server.poll() is None:
            with suppress(OSError):
                socket.create_connection(("localhost", self.port)).close()
                return
            time.sleep(0.2)
        raise StepFailed(server.poll() or 1)

    def muster(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("muster")), *arguments]

    def environment(self) -> dict[str, str]:
        ours = ("DATABASE_URL", "DJANGO_", "MUSTER_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**inherited, "MUSTER_HOME": str(self.home), "MUSTER_URL": _make_address(self.port)}
