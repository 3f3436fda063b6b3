"""An installation on this machine with everything that it needs: database, web server, workers, receiver, clock and disk."""

import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from fault_harness import clock, disk
from fault_harness.clock import Clock
from fault_harness.disk import Disk
from fault_harness.postgres_pair import PostgresPair
from fault_harness.processes import MUSTER, ROOT, Program
from fault_harness.proxy import Proxy
from fault_harness.schedule import CLOCKS, ONLY_POSTGRES, Kind
from scripts import postgres

_HOME_MB, _DATABASE_MB = 96, 320
_WORKERS = 2


class NotPrepared(Exception):
    """The installation could not be made. The message has what its preparation said."""


class Site:
    """An installation in a new folder, from `with` to its end.

    `database`: `postgres` or `sqlite`. `migrated`: a database of SQLite that has its tables already, if there is one.
    `clock`, `home_disk` and `database_disk` are None where the machine does not allow them.
    """

    def __init__(self, folder: Path, database: str, migrated: Path | None = None) -> None:
        self.folder, self.database, self._migrated = folder, database, migrated
        self._stack = ExitStack()
        self.pair: PostgresPair | None = None
        self.proxy: Proxy | None = None
        self.clock: Clock | None = None
        self.home_disk: Disk | None = None
        self.database_disk: Disk | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        for name in ("home", "primary", "standby", "files"):
            self._make_folder(name)
        if disk.is_possible(self.home):
            self.home_disk = self._mount(self.home, _HOME_MB)
        if self.database == "postgres":
            self._start_postgres()
        elif self._migrated:
            shutil.copy(self._migrated, self.home)
        if clock.is_possible():
            self.clock = Clock(self.folder)
        self.web_port, receiver_port = postgres.find_free_port(), postgres.find_free_port()
        self.environment = self._make_environment()
        self.journal, self.behavior = self.folder / "journal", self.folder / "behavior"
        self.token = self._prepare(f"http://localhost:{receiver_port}/hook")
        log = self.folder / "output"
        serve = [MUSTER, "serve", "--no-worker", "--workers", "1", "--port", str(self.web_port)]
        receive = [
            sys.executable,
            "-m",
            "fault_harness.receiver",
            str(receiver_port),
            str(self.journal),
            str(self.behavior),
        ]
        self.web = Program(serve, self.environment, log)
        self.workers = [Program([MUSTER, "worker"], self.environment, log) for _ in range(_WORKERS)]
        self.receiver = Program(receive, dict(os.environ), log)
        for program in self.programs:
            self._stack.callback(program.kill)
            program.start()

    def _make_folder(self, name: str) -> None:
        (self.folder / name).mkdir()
        (self.folder / name).chmod(0o755)

    def _mount(self, folder: Path, megabytes: int) -> Disk:
        mounted = Disk(folder, megabytes)
        self._stack.callback(mounted.close)
        return mounted

    def _start_postgres(self) -> None:
        primary = self.folder / "primary"
        self.folder.chmod(0o755)
        if disk.is_possible(primary):
            self.database_disk = self._mount(primary, _DATABASE_MB)
        self.pair = PostgresPair(primary, self.folder / "standby")
        self._stack.callback(self.pair.stop)
        self.proxy = Proxy(self.pair.primary.cluster.port)
        self.proxy.start()
        self._stack.callback(self.proxy.stop)

    def _make_environment(self) -> dict[str, str]:
        without = ("DATABASE_URL", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        environment = {name: value for name, value in os.environ.items() if name not in without}
        environment |= {
            "MUSTER_HOME": str(self.home), "DJANGO_SETTINGS_MODULE": "musterbook.config.settings",
            "MUSTER_OUTSIDE_NETWORKS": "127.0.0.0/8", "MUSTER_SECRET_KEY": secrets.token_hex(32),
            "POLARS_MAX_THREADS": "1",
        }  # fmt: skip
        if self.proxy:
            user = postgres.SERVER_USER
            environment["DATABASE_URL"] = f"postgresql://{user}@127.0.0.1:{self.proxy.port}/muster?sslmode=disable"
        return environment | (self.clock.environment if self.clock else {})

    def _prepare(self, address: str) -> str:
        command = [sys.executable, "-m", "fault_harness.prepare", address]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotPrepared(done.stderr)
        return done.stdout.split()[-1]

    @property
    def home(self) -> Path:
        """The folder of the installation, MUSTER_HOME."""
        return self.folder / "home"

    @property
    def feed_folder(self) -> Path:
        """Where the files of the feed with a folder arrive."""
        return self.home / "feeds" / "north" / "hr"

    @property
    def programs(self) -> list[Program]:
        """The programs that always run."""
        return [self.web, *self.workers, self.receiver]

    def list_kinds(self) -> frozenset[Kind]:
        """Return the kinds of faults that can be injected here."""
        missing = set() if self.clock else set(CLOCKS)
        if self.pair is None:
            missing |= ONLY_POSTGRES
        elif self.pair.standby is None:
            missing.add(Kind.KILL_STANDBY)
        if self.database_disk is None:
            missing.add(Kind.FULL_DATABASE)
        return frozenset(Kind) - missing

    def revive(self) -> None:
        """Start everything again that does not run, as a supervisor does."""
        for node in self.pair.nodes if self.pair else []:
            if not node.is_running():
                node.start()
        for program in self.programs:
            if not program.is_running():
                program.start()

    def start_command(self, *arguments: str) -> Program:
        """Start a `muster` command."""
        program = Program([MUSTER, *arguments], self.environment, self.folder / "output")
        program.start()
        return program

    def describe_disk(self) -> str:
        """Return how the full disk is brought about here."""
        return (
            "a file system in memory of limited size"
            if self.home_disk
            else "a limit on the size of files (RLIMIT_FSIZE)"
        )
