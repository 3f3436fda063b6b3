"""How a process of Musterbook loads its modules (`musterbook.config.process`)."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from musterbook.config import process

_LOADED = """
import gc
from django.urls import get_resolver
assert gc.get_freeze_count() == 0
import musterbook.wsgi
assert gc.isenabled() and gc.get_freeze_count() > 100_000
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
