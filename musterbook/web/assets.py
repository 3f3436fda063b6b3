"""Where styles, scripts and fonts are found: at an address that changes when they do, so that browsers keep them for ever."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from musterbook import __version__

FOLDER = Path(__file__).parent / "static"
"""Ours, and the design system's, which scripts/assets.py puts there."""


def address() -> str:
    """The address below which all of them are: it bears a digest of ours, and of the versions of who else brings some."""
    digest = hashlib.sha256(f"{__version__} {version('django-allauth')} {version('django-htmx')}".encode())
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(FOLDER).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return f"/static/{digest.hexdigest()[:16]}/"


def never_change(*_: str) -> bool:
    """Whether what is found there stays as it is: always, for what changes is found elsewhere."""
    return True
