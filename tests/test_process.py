"""How a process of Musterbook loads its modules, and ends (`musterbook.config.process`)."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musterbook.cli import watching
from musterbook.config import process

_LOADED = """
import gc
from django.urls import get_resolver
before = gc.get_freeze_count()  # Python 3.12 begins with some
import musterbook.wsgi
assert gc.isenabled() and gc.get_freeze_count() - before > 100_000
assert "url_patterns" in vars(get_resolver())
"""


@pytest.mark.parametrize("before", [True, False])
def test_unused_objects_are_looked_for_again_as_before_also_after_an_error(before: bool) -> None:
    if not before:
        gc.disable()
    try:
        with pytest.raises(ImportError), process.load_quickly():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is before
    finally:
        gc.enable()


def test_a_process_of_the_pages_has_loaded_all_of_them_before_the_first_request(tmp_path: Path) -> None:
    environment = os.environ | {"MUSTER_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "musterbook.config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


_ASKED = """
import signal
import sys
from contextlib import nullcontext
from django import setup
setup()
from musterbook import jobs
from musterbook.cli import watching
with watching._stop_on_signals() if sys.argv[1] == "watch" else nullcontext(jobs.stop_on_signals()) as stop:
    with stop._cond:  # as the main thread does while it waits, and while an earlier signal sets the event
        signal.raise_signal(signal.SIGTERM)
        if sys.argv[1] == "worker":
            signal.raise_signal(signal.SIGTERM)
    assert stop.wait(20)
print("ends")
"""


@pytest.mark.parametrize("what", ["worker", "watch"])
def test_a_process_ends_whatever_a_signal_interrupts(tmp_path: Path, what: str) -> None:
    environment = os.environ | {"MUSTER_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "musterbook.config.settings"}
    command = [sys.executable, "-c", _ASKED, what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr


def test_a_watch_that_is_asked_to_end_twice_cancels_its_import() -> None:
    with pytest.raises(KeyboardInterrupt), watching._stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(20)
        signal.raise_signal(signal.SIGTERM)
