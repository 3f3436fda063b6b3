"""A PostgreSQL primary with a streaming hot standby, whose processes can be killed and started again in place."""

import contextlib
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psycopg

from fault_harness.processes import kill_tree
from scripts import postgres

_SMALL = ("shared_buffers=32MB", "min_wal_size=32MB", "max_wal_size=64MB", "max_connections=100", "wal_keep_size=64MB")
_START_SECONDS = 60.0


class Node:
    """One server: its folder, its port, and its process."""

    def __init__(self, cluster: postgres.Cluster) -> None:
        self.cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self.cluster.folder / "data"

    @property
    def url(self) -> str:
        """Where it takes connections."""
        return f"postgresql://{postgres.SERVER_USER}@127.0.0.1:{self.cluster.port}/muster?sslmode=disable"

    def start(self) -> None:
        """Start it, and wait until it takes connections. A server that has just been killed may refuse at first."""
        end = time.monotonic() + _START_SECONDS
        while True:
            options = [part for setting in _SMALL for part in ("-c", setting)]
            where = ["-k", self.cluster.folder, "-p", self.cluster.port, "-c", "listen_addresses=127.0.0.1"]
            self._process = self.cluster.start("postgres", "-D", self.data, *where, *options, die=True)
            try:
                postgres.wait_for_start(self._process, self.cluster)
            except postgres.CannotStart:
                if time.monotonic() > end:
                    raise
                self.kill()
                time.sleep(0.2)
            else:
                return

    def is_running(self) -> bool:
        """Return whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def list_pids(self) -> list[int]:
        """Return the id of its first process."""
        return [self._process.pid] if self._process and self.is_running() else []

    def kill(self) -> None:
        """End all of its processes with SIGKILL."""
        if self._process:
            kill_tree(self._process.pid)
            self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self._process and self.is_running():
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()


class PostgresPair:
    """A primary, and a standby that follows it (None where the programs for that are missing)."""

    def __init__(self, primary_folder: Path, standby_folder: Path) -> None:
        cluster = postgres.make_cluster(primary_folder)
        self.primary = Node(cluster)
        cluster.run(
            "initdb", "-D", self.primary.data, "-U", postgres.SERVER_USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )  # fmt: skip
        self.primary.start()
        cluster.run("createdb", "-h", primary_folder, "-p", cluster.port, "-U", postgres.SERVER_USER, "muster")
        self.standby = self._make_standby(standby_folder)

    def _make_standby(self, folder: Path) -> Node | None:
        cluster = self.primary.cluster
        if not (cluster.programs / "pg_basebackup").exists():
            return None
        if cluster.user:
            shutil.chown(folder, cluster.user)
        standby = Node(replace(cluster, folder=folder, port=postgres.find_free_port()))
        standby.cluster.run(
            "pg_basebackup", "-D", standby.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-h", "127.0.0.1", "-p", cluster.port, "-U", postgres.SERVER_USER,
        )  # fmt: skip
        standby.start()
        return standby

    @property
    def nodes(self) -> list[Node]:
        """Both servers."""
        return [self.primary, *([self.standby] if self.standby else [])]

    def wait_for_standby(self, seconds: float) -> bool:
        """Wait until the standby has everything that the primary has. Return whether that came."""
        if self.standby is None:
            return True
        with psycopg.connect(self.primary.url) as primary:
            target = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.standby.url) as standby:
                row = standby.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", target).fetchone()
                if row and row[0]:
                    return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End both."""
        for node in reversed(self.nodes):
            node.stop()
