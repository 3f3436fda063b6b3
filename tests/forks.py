"""Processes that start quickly: forks of one that has loaded what reads no settings.

To load Django, Polars and the others takes most of the time of a command that does little. A fork has its own environment,
streams, signals, status and coverage, and runs the program as a new process does. `Fork` is used as any other Popen.
"""

import atexit
import gc
import importlib
import json
import multiprocessing.util
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_ROOT = Path(__file__).parents[1]
MUSTER = str(Path(sys.executable).parent / "muster")
"""The script of the command."""
_SETTINGS = "musterbook.config.settings"
_SETTINGS_ALIKE = ("tests.attacks.broken", _SETTINGS)
"""The settings of the product, and those that differ from them in nothing that is read when modules are loaded."""
_THREADS = "POLARS_MAX_THREADS"
_LIBRARIES = (
    "asyncio", "certifi", "coverage", "cryptography.fernet", "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.x509", "django.contrib.auth.hashers", "django.core.mail",
    "django.core.management", "django.core.paginator", "django.db.backends.sqlite3.base", "django.db.models", "django.forms",
    "django.http", "django.template.backends.django", "django.urls", "polars", "pyrage", "sqlite3", "typer.main",
)  # fmt: skip
"""Those that read no settings of Django when they are loaded. Polars starts the threads that work when it first needs them."""
_PAGES = (
    "musterbook.api.urls", "musterbook.feeds.locations.sftp", "musterbook.jobs", "musterbook.metrics", "musterbook.scim.urls",
    "musterbook.urls", "musterbook.web.urls",
)  # fmt: skip
"""The modules that load most of the product."""
_STREAMS = (("stdin", "r", "strict"), ("stdout", "w", "strict"), ("stderr", "w", "backslashreplace"))
_SERVERS = ("serve", "worker", "watch")
are_used = False
"""Whether `tests.databases` runs commands here: it does in tests, and not in benchmarks, which measure how a command starts."""
_lock = threading.Lock()
_parents: dict["Level", "_Parent"] = {}
_loaded: dict[str, dict[str, Any]] = {}
"""The modules of the product that this fork has had from the beginning, as they were."""


class Level(IntEnum):
    """What is loaded in a process that forks."""

    LIBRARIES = 0
    MODELS = 1
    """The models and the rules of the product too: a command loads the rest as it does for a user."""
    PAGES = 2
    """Most of the product, for servers, workers, and programs that prepare something."""


class Fork(subprocess.Popen[Any]):
    """A fork that runs a Python script, or what `-c` or `-m` of `sys.executable` name. It takes what Popen takes of these."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: str | Path | None = None, *, stdin: Any = None,
        stdout: Any = None, stderr: Any = None, text: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            list(command), env=dict(env), cwd=cwd or Path.cwd(), stdin=stdin, stdout=stdout, stderr=stderr, text=text
        )

    def _execute_child(self, *given: Any) -> None:
        """Have the process forked. Its parent passes its number, and its status when it ends."""
        command, cwd, environment, pipes = given[0], given[5], given[6], given[10:16]
        streams = [pipe if pipe != -1 else number for number, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._answers, theirs = socket.socketpair()
        with theirs:
            _find_parent(_choose_level(command, environment)).fork([*streams, theirs.fileno()])
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # of Popen
        task = {"command": command, "environment": environment, "folder": os.fspath(cwd)}
        self._answers.sendall(f"{json.dumps(task)}\n".encode())
        self.pid = self._read_number()
        self._child_created = True

    def _read_number(self) -> int:
        line = bytearray()
        while not line.endswith(b"\n"):
            part = self._answers.recv(1)
            assert part, "the process that forks has ended"
            line += part
        return int(line)

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._answers, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._waitpid_lock:  # type: ignore[attr-defined]  # of Popen
                if self.returncode is None:
                    self.returncode = self._read_number()
                    self._answers.close()
        return self.returncode

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        try:
            return self._wait(0)
        except subprocess.TimeoutExpired:
            return None
        except (OSError, ValueError):  # another thread has just waited
            return self.returncode


def run(command: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a Python script, or what `-c` or `-m` of `sys.executable` name, to its end in a fork."""
    pipe = subprocess.PIPE
    with Fork(command, environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def make_stand_in() -> SimpleNamespace:
    """Return what stands in for the module `subprocess` where a script starts Python: its processes are forks."""
    return SimpleNamespace(run=_run_like_subprocess, Popen=Fork, PIPE=subprocess.PIPE)


def _run_like_subprocess(
    command: Sequence[str],
    *,
    check: bool,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    **streams: Any,
) -> "subprocess.CompletedProcess[Any]":
    with Fork(command, env or os.environ, cwd, **streams) as process:
        out, err = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def can_run(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a fork runs the command as a new process would: with the same modules, and threads of Polars."""
    program = command[0] == MUSTER or (command[0] == sys.executable and command[1] in ("-c", "-m"))
    finds_same = environment.get("PYTHONPATH") in (None, str(_ROOT), os.environ.get("PYTHONPATH"))
    return program and finds_same and environment.get(_THREADS) == os.environ.get(_THREADS)


class _Parent:
    """The process that forks. It ends when its end of the socket is closed, and its forks with it."""

    def __init__(self, level: Level) -> None:
        left_out = ("COVERAGE_", "MUSTER_", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        self._tasks, theirs = socket.socketpair()
        with theirs:
            code = f"from tests import forks; forks.serve({theirs.fileno()}, {level})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                env=environment,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, numbers: list[int]) -> None:
        """Have it fork. Pass the standard streams of the fork, and the socket for its task and answers."""
        socket.send_fds(self._tasks, [b"."], numbers)

    def end(self) -> None:
        """End it."""
        self._tasks.close()
        self._process.wait()


def _choose_level(command: Sequence[str], environment: Mapping[str, str]) -> Level:
    if environment.get("DJANGO_SETTINGS_MODULE", _SETTINGS) not in _SETTINGS_ALIKE:
        return Level.LIBRARIES
    return Level.PAGES if command[0] != MUSTER or command[1] in _SERVERS else Level.MODELS


def _find_parent(level: Level) -> _Parent:
    with _lock:
        if level not in _parents:
            _parents[level] = _Parent(level)
        return _parents[level]


def end() -> None:
    """End the processes that fork, if any was started."""
    while _parents:
        _parents.popitem()[1].end()


def serve(number: int, level: int) -> None:
    """Fork for each task of this socket, with so much loaded."""
    sys.path[0] = str(_ROOT)
    for library in _LIBRARIES:
        importlib.import_module(library)
    if level >= Level.MODELS:
        _load_product(level)
    gc.collect()
    gc.freeze()  # what the collector does not visit is not copied into each fork
    ended, signaled = os.pipe()
    os.set_blocking(signaled, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signaled)
    _fork_each(socket.socket(fileno=number), ended)


def _load_product(level: int) -> None:
    """Load what reads the same settings everywhere, as `tests/test_forks.py` proves: first the models, as `django.setup` does."""
    os.environ["DJANGO_SETTINGS_MODULE"] = _SETTINGS
    from django.apps import apps
    from django.conf import settings

    apps.populate(settings.INSTALLED_APPS)
    core = importlib.import_module("musterbook.core")
    for module in pkgutil.walk_packages(core.__path__, "musterbook.core."):
        importlib.import_module(module.name)
    for name in _PAGES if level >= Level.PAGES else ():
        importlib.import_module(name)
    if counters := sys.modules.get("prometheus_client.values"):
        vars(counters)["ValueClass"] = _make_value


def _make_value(*given: Any) -> Any:
    """Make the value of a counter. What it is hangs on the environment of the fork that makes the first one."""
    return _choose_value_class()(*given)


@cache
def _choose_value_class() -> Any:
    from prometheus_client import values

    return values.get_value_class()  # type: ignore[no-untyped-call]  # the library has no types for it


def _fork_each(tasks: socket.socket, ended: int) -> None:
    answers: dict[int, int] = {}
    while True:
        ready = select.select([tasks.fileno(), ended], [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
            _pass_statuses(answers)
        if tasks.fileno() not in ready:
            continue
        _, numbers, _, _ = socket.recv_fds(tasks, 1, 4)
        if not numbers:
            break
        child = os.fork()
        if child == 0:
            _run_task(*numbers)
            return
        answers[child] = numbers.pop()
        _tell(answers[child], child)
        for stream in numbers:
            os.close(stream)
    for child in answers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _pass_statuses(answers: dict[int, int]) -> None:
    """Pass the status of each fork that has ended to the process that waits for it."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            answer = answers.pop(ended[0])
            _tell(answer, os.waitstatus_to_exitcode(ended[1]))
            os.close(answer)


def _tell(answer: int, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(answer, f"{number}\n".encode())


def _run_task(*numbers: int) -> None:
    """Become the process of the task. It ends as any Python program does, when this returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, asked = numbers
    with os.fdopen(asked, "rb") as line:
        task = json.loads(line.readline())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    _close_all_but(set())
    os.environ.clear()
    os.environ.update(task["environment"])
    tempfile.tempdir = None  # it is found in the environment
    _open_streams()
    os.chdir(task["folder"])
    _forget_settings()
    _loaded.update({name: dict(vars(module)) for name, module in _list_product().items()})
    vars(multiprocessing.util)["spawnv_passfds"] = _spawn  # what starts processes by `spawn`
    _measure()
    _run_program(task["command"])


def _open_streams() -> None:
    """Open the standard streams as Python does when it starts: those that were there know what they led to."""
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, (name, mode, errors) in enumerate(_STREAMS):
        stream: Any = open(  # noqa: SIM115  (it stays open, and has no path)
            number, mode, encoding=getattr(sys, f"__{name}__").encoding, errors=errors, closefd=False
        )
        stream.reconfigure(line_buffering=name == "stderr" or stream.isatty(), write_through=at_once and mode == "w")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _close_all_but(passed: set[int]) -> None:
    for number in {int(path.name) for path in Path("/dev/fd").iterdir()} - {0, 1, 2} - passed:
        with suppress(OSError):
            os.close(number)


def _forget_settings() -> None:
    """Have the settings read from the environment when they are next asked for, and the database found by them."""
    from asgiref.local import Local
    from django.conf import settings
    from django.db import connections
    from django.utils.functional import empty

    vars(settings).clear()
    settings._wrapped = empty
    vars(connections).pop("settings", None)
    vars(connections).update(_settings=None, _connections=Local(connections.thread_critical))
    if sys.modules.pop(_SETTINGS, None):
        del sys.modules["musterbook.config"].settings
    time.tzset()  # settings have set the zone


def _list_product() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "musterbook"}


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


def _spawn(_program: str, command: list[str], passed: Sequence[int]) -> int:
    """Fork instead of starting Python with `-c`, for multiprocessing. Return the number of the process."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _become_new(set(map(int, passed)))
        sys.argv = ["-c", *command[command.index("-c") + 2 :]]
        exec(command[command.index("-c") + 1], {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (whatever it is, the process ends by it)
        sys.excepthook(*sys.exc_info())
    finally:
        _finish(status)
    return status


def _become_new(passed: set[int]) -> None:
    """Keep nothing of what the process has done since it was forked itself."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _close_all_but(passed)
    atexit._clear()
    for name, module in _list_product().items():
        if name in _loaded:
            vars(module).clear()
            vars(module).update(_loaded[name])
        else:
            del sys.modules[name]
    _forget_settings()
    from coverage import Coverage

    if measured := Coverage.current():
        measured.stop()
    _measure()


def _finish(status: int) -> None:
    """End as an interpreter does."""
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os._exit(status)
