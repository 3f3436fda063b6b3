"""Forks are processes as any other, with an environment, streams, signals and a status of their own."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forks
from tests.databases import Home

_READ = """
import json, os
from tests import forks
forks._load_product(forks.Level.PAGES)
from django.conf import settings
# The secret key is read when it is used, and nothing has the name of the cookie that a library keeps.
names = sorted(set(vars(settings)) - {"_wrapped", "SECRET_KEY", "SESSION_COOKIE_NAME"})
for more in ({}, json.loads(os.environ["MORE"])):
    os.environ.update(more)
    forks._forget_settings()
    print(json.dumps({name: repr(getattr(settings, name)) for name in names}))
from django.apps import apps
from django.db import connection
from musterbook.web.middleware import _AGENCY_SIGNER
assert connection.vendor == "postgresql"
assert _AGENCY_SIGNER.key == os.environ["MUSTER_SECRET_KEY"]
print(max(len(model._meta.db_table) for model in apps.get_models(include_auto_created=True)), connection.ops.max_name_length())
"""
_OTHER = {
    "MUSTER_HOME": "/nowhere", "DATABASE_URL": "postgres://somebody@nowhere/else", "MUSTER_URL": "https://muster.example.org",
    "MUSTER_PROXIES": "3", "MUSTER_SMTP_URL": "smtp://mail.example.org", "MUSTER_LOG_FORMAT": "json", "MUSTER_MAX_ROWS": "7",
    "MUSTER_SYSLOG": "/dev/log", "MUSTER_METRICS_TOKEN": "t" * 32, "MUSTER_USER_FILES": "7",
    "MUSTER_SECRET_KEY": secrets.token_urlsafe(48),
}  # fmt: skip
_SPAWN = """
import multiprocessing, os, signal, sys
from musterbook.config import logs
def tell():
    print(os.getppid(), logs._aloud, signal.getsignal(signal.SIGTERM).name, "musterbook.cli" in sys.modules, flush=True)
    sys.exit(5)
if __name__ == "__main__":
    logs.log_to_stderr()
    import musterbook.cli
    signal.signal(signal.SIGTERM, print)
    process = multiprocessing.get_context("spawn").Process(target=tell)
    process.start()
    process.join()
    print(os.getpid(), process.exitcode)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return Home(tmp_path / "home", "").environment


@pytest.fixture
def started(environment: dict[str, str]) -> Iterator["forks.Fork"]:
    """A fork that says when it waits, and says so too when it is asked to end."""
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit('asked')); print('waits', flush=True);"
        " time.sleep(600)"
    )
    pipe = subprocess.PIPE
    with forks.Fork([sys.executable, "-c", code], environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout and process.stdout.readline() == "waits\n"
        yield process
        process.kill()


def test_the_settings_that_modules_read_when_they_are_loaded_are_the_same_everywhere() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MUSTER_HOME", "DATABASE_URL")}
    done = subprocess.run(
        [sys.executable, "-c", _READ], env=environment | {"MORE": json.dumps(_OTHER)}, cwd=Path(__file__).parents[1],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *read, lengths = done.stdout.splitlines()
    one, other = map(json.loads, read)
    # The database is asked for how long the name of a table may be.
    longest, limit = map(int, lengths.split())
    assert longest <= limit
    assert one.pop("DATABASES") != other.pop("DATABASES")
    assert one == other
    assert "AUTH_USER_MODEL" in one


def test_a_fork_has_the_environment_the_streams_and_the_status_that_it_is_given(environment: dict[str, str]) -> None:
    code = (
        "import os, sys; from django.conf import settings; print(settings.MUSTER_HOME, os.environ['OWN'], sys.argv);"
        "print(sys.stdin.read(), *sorted(os.listdir('/dev/fd'))[:-1]); sys.stderr.write('wrong'); sys.exit(7)"
    )
    done = forks.run((sys.executable, "-c", code, "a", "b"), environment | {"OWN": "mine"}, 60)
    assert (done.returncode, done.stderr) == (7, "wrong")
    home = environment["MUSTER_HOME"]
    assert done.stdout.splitlines() == [f"{home} mine ['-c', 'a', 'b']", " 0 1 2"]


def test_a_fork_has_its_temporary_files_where_its_environment_says(environment: dict[str, str], tmp_path: Path) -> None:
    code = "import tempfile; print(tempfile.gettempdir())"
    done = forks.run((sys.executable, "-c", code), environment | {"TMPDIR": str(tmp_path)}, 60)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}\n")


def test_a_fork_is_asked_to_end_and_its_end_is_waited_for(started: "forks.Fork") -> None:
    assert started.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(0.05)
    started.terminate()
    assert started.communicate(timeout=60) == ("", "asked\n")
    assert started.returncode == 1


def test_a_fork_is_killed(started: "forks.Fork") -> None:
    started.kill()
    assert started.wait(60) == started.poll() == -signal.SIGKILL


def test_a_command_that_takes_too_long_is_killed(environment: dict[str, str]) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forks.run((sys.executable, "-c", "import time; time.sleep(600)"), environment, 0.1)


def test_what_a_fork_spawns_begins_as_a_new_process(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spawning.py").write_text(_SPAWN, encoding="utf-8")
    code = f"import runpy; runpy.run_path({str(tmp_path / 'spawning.py')!r}, run_name='__main__')"
    done = forks.run((sys.executable, "-c", code), environment, 60)
    assert done.returncode == 0, done.stderr
    child, parent = done.stdout.splitlines()
    number, status = parent.split()
    assert child.split() == [number, "False", "SIG_DFL", "False"]
    assert status == "5"


def test_forks_end_with_the_process_that_forks(environment: dict[str, str]) -> None:
    code = """
import os, sys
from tests import forks
process = forks.Fork([sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
print(process.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[1], capture_output=True,
                          text=True, check=True)  # fmt: skip
    end = time.monotonic() + 30
    while _is_alive(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.02)


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_command_that_finds_other_modules_is_no_fork(environment: dict[str, str]) -> None:
    command = [forks.MUSTER, "--version"]
    assert forks.can_run(command, environment)
    assert not forks.can_run(command, environment | {"PYTHONPATH": "/another/version"})
    assert not forks.can_run(["sh", "-c", "true"], environment)
