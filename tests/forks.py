"""Commands in processes that start quickly: forks of one that has loaded the libraries and nothing of the product.

To load Django and the others takes two thirds of the time of a command that does little.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_LIBRARIES = (
    "asyncio", "certifi", "coverage", "cryptography.fernet", "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.x509", "django.contrib.auth.hashers", "django.core.mail",
    "django.core.management", "django.core.paginator", "django.db.backends.sqlite3.base", "django.db.models", "django.forms",
    "django.http", "django.template.backends.django", "django.urls", "pyrage", "sqlite3", "typer.main",
)  # fmt: skip
"""Those that read no settings of Django when they are loaded, and start no thread: Polars does, and is loaded in each fork."""
are_used = False
"""Whether `tests.databases` runs commands here: it does in tests, and not in benchmarks, which measure how a command starts."""
_lock = threading.Lock()
_parents: list["subprocess.Popen[str]"] = []


def run(command: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a Python script, or what `-c` or `-m` of `sys.executable` name, in a fork. SIGALRM ends it after the timeout."""
    with tempfile.TemporaryDirectory() as folder, _lock:
        streams = [str(Path(folder) / name) for name in ("out", "err")]
        task = {"command": command, "environment": dict(environment), "streams": streams, "timeout": timeout}
        status = _ask(json.dumps({**task, "folder": str(Path.cwd())}))
        out, err = (Path(path).read_text(encoding="utf-8") for path in streams)
    return subprocess.CompletedProcess(command, status, out, err)


def _ask(task: str) -> int:
    if not _parents:
        _parents.append(_start_parent())
    asked, answers = _parents[0].stdin, _parents[0].stdout
    assert asked is not None and answers is not None
    asked.write(f"{task}\n")
    asked.flush()
    return int(answers.readline())


def _start_parent() -> "subprocess.Popen[str]":
    """Start the process that forks. It ends when its standard input does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.Popen(
        [sys.executable, "-c", "from tests import forks; forks.serve()"],
        env=environment, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def end() -> None:
    """End the process that forks, if one was started."""
    while _parents:
        _parents.pop().communicate()


def serve() -> None:
    """Run each task of standard input in a fork, and answer with its status."""
    sys.path[0] = str(_ROOT)
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # what the collector does not visit is not copied into each fork
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _run_task(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run_task(task: dict[str, Any]) -> None:
    """Become the process that the task describes. It ends as any Python program does, when this returns."""
    signal.setitimer(signal.ITIMER_REAL, task["timeout"])
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["folder"])
    for number, path in enumerate((os.devnull, *task["streams"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    _measure()
    _run_program(task["command"])


def _measure() -> None:
    """Measure the coverage of this process if the tests do."""
    from coverage import process_startup

    process_startup(force=True)


def _run_program(command: list[str]) -> None:
    program, *arguments = command
    if program != sys.executable:
        sys.argv = command
        runpy.run_path(program, run_name="__main__")
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], vars(sys.modules["__main__"]))
