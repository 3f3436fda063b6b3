"""What ./run, ./test, ./check and the other commands do first: they make the environment, and go on in its Python.

Older Pythons understand this too, so that they can report what is missing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scripts import assets, catalogs, setup


def enter(*, dev: bool) -> None:
    """Make the environment, and restart the calling command in its Python."""
    prepare(dev=dev)
    if Path(sys.prefix).resolve() != setup.VENV.resolve():
        os.execv(setup.PYTHON, [str(setup.PYTHON), *sys.argv])


def prepare(*, dev: bool) -> None:
    """Make environment and assets exactly those that the locks name, with the development tools if `dev`.

    Also compile the catalogs of messages.
    """
    setup.make_environment(dev=dev)
    assets.prepare(dev=dev)
    catalogs.compile_stale()
