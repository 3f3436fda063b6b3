"""The address of styles, scripts, and fonts. It changes when they change, so browsers can cache them forever."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from musterbook import __version__

FOLDER = Path(__file__).parents[1] / "web" / "static"
"""Our own assets, and those of the design system, which scripts/assets.py puts there."""


def compute_address() -> str:
    """Return the address under which all assets are served.

    It contains a digest of our own assets and of the versions of the packages that provide others.
    """
    digest = hashlib.sha256(f"{__version__} {version('django-allauth')} {version('django-htmx')}".encode())
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(FOLDER).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return f"/static/{digest.hexdigest()[:16]}/"


def is_immutable(*_: str) -> bool:
    """Return whether the file at an address is immutable. This is always true: a changed file gets a new address."""
    return True
