"""The product's settings for tests: a folder of their own for all that is kept, and SQLite in a file, as it is in life."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="muster-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["MUSTER_HOME"] = _folder
os.environ["MUSTER_OUTSIDE_NETWORKS"] = "127.0.0.0/8 ::1/128"  # providers of tests are on this machine

from musterbook.config.settings import *  # they read the environment that is set above
from musterbook.config.settings import ALLOWED_HOSTS, DATABASES

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": f"{_folder}/test.sqlite3"}

ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]
