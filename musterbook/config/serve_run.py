"""One run of `muster serve`: the folder that its processes share while it runs, below `MUSTER_HOME/serving`.

It holds the counters of each process, which `/metrics` adds up, and says whether the server is draining. The run holds a
lock in its folder, so a later run knows the folders of runs that were killed, and deletes them.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from musterbook.config import environment
from musterbook.config.home import prepare_folder

_FOLDER = "MUSTER_SERVE_RUN"
"""The environment variable that passes the folder to the processes of the run."""
_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that the library of the counters reads."""
_WORKER, _SECRET = "MUSTER_SERVE_WORKER", "MUSTER_SERVE_SECRET"
_LOCK, _DRAINING = "lock", "draining"


@contextmanager
def begin(*, worker: bool) -> Iterator[None]:
    """Make the folder of this run, and name it to the processes that are started within. Delete it at the end.

    `worker`: whether the run has a worker of its own.
    """
    runs = prepare_folder(prepare_folder(environment.home()) / "serving")
    _delete_ended(runs)
    folder = prepare_folder(runs / f"{os.getpid()}-{secrets.token_hex(4)}")
    variables = {
        _FOLDER: str(folder), _COUNTERS: str(folder / "counters"), _SECRET: secrets.token_urlsafe(32),
        _WORKER: "yes" if worker else "",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in variables}
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare_folder(folder / "counters")
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            shutil.rmtree(folder, ignore_errors=True)


def _delete_ended(runs: Path) -> None:
    for folder in runs.iterdir():
        # Another run may delete it at the same time.
        with suppress(OSError), (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def start_draining() -> None:
    """Have `/readyz` answer that this run takes no more requests."""
    if os.environ.get(_FOLDER):
        with suppress(OSError):
            (_find_folder() / _DRAINING).touch()


def is_draining() -> bool:
    """Return whether this run takes no more requests. Without `muster serve`, return False."""
    return bool(os.environ.get(_FOLDER)) and (_find_folder() / _DRAINING).exists()


def has_counters() -> bool:
    """Return whether several processes share their counters."""
    return bool(os.environ.get(_COUNTERS))


def has_worker() -> bool:
    """Return whether this run has a worker of its own."""
    return bool(os.environ.get(_WORKER))


def get_secret() -> str:
    """Return the secret by which the processes of this run know each other, or "" without `muster serve`."""
    return os.environ.get(_SECRET, "")


def _find_folder() -> Path:
    return Path(os.environ[_FOLDER])
