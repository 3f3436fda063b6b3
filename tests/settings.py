"""The product's settings for tests: a folder of their own for all that is kept, and SQLite in a file, as it is in life."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from scripts import run_folders

if not run_folders.is_used():
    os.environ.setdefault(
        "PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()
    )  # what tests leave to look at stays for three runs
    run_folders.use_folder(run_folders.make_folder(Path(tempfile.gettempdir())))
_folder = tempfile.mkdtemp(prefix="home-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["MUSTER_HOME"] = _folder
os.environ["MUSTER_OUTSIDE_NETWORKS"] = "127.0.0.0/8 ::1/128"  # providers of tests are on this machine

from musterbook.config.settings import *  # they read the environment that is set above
from musterbook.config.settings import ALLOWED_HOSTS, DATABASES

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": f"{_folder}/test.sqlite3"}

ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]
