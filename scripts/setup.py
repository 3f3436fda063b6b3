"""Makes the virtual environment of a checkout: what ./run, ./test, ./check and ./lock all do first.

The standard library alone, and in words that older Pythons understand, so that they can say what they miss.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PROGRAMS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = PROGRAMS / ("python.exe" if os.name == "nt" else "python")
PYTHONS = ((3, 11), (3, 12), (3, 13))
"""The Pythons that Musterbook runs on."""

SETUP_LOCK, RUN_LOCK, DEV_LOCK, POSTGRES_LOCK, ASSETS_LOCK = (
    ROOT / f"requirements{part}.lock" for part in ("-setup", "", "-dev", "-postgres", "-assets")
)
_STAMP = VENV / "made-from"


def enter(*, dev: bool, about: str | None = None) -> None:
    """Make the environment ready, and go on in its Python from the beginning of the command that called.

    `about`: what the command's --help prints; None if it has a parser of its own.
    """
    if about and len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help"):
        print(about.strip())
        raise SystemExit(0)
    ready(dev=dev)
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])


def ready(*, dev: bool) -> None:
    """See that environment and assets are exactly what the locks name, with the tools of development if `dev`."""
    from scripts import assets

    _environment(dev)
    assets.ready(dev=dev)


def _environment(dev: bool) -> None:
    wanted = _fingerprint(DEV_LOCK if dev else RUN_LOCK)
    fit = {wanted, _fingerprint(DEV_LOCK)}  # the development lock holds all of the other, in the same versions
    if _stamp() in fit:
        return
    _say("Setting up (once, a minute or so) …")
    if not _stamp().startswith(f"{ROOT}\n") or not _runs_here(PYTHON):
        _create()
    _STAMP.unlink(missing_ok=True)
    locks = [SETUP_LOCK, DEV_LOCK if dev else RUN_LOCK]
    # Compiled now, for whoever runs it may not be allowed to write beside it: a start takes half the time.
    uv("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", *map(str, locks))
    uv("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline", "--editable", str(ROOT))
    _STAMP.write_text(wanted, encoding="utf-8")


def uv(*arguments: str) -> None:
    """Run the pinned uv on the environment; where it fails, its own words have said why, and we end."""
    if not tries_uv(*arguments):
        fail(f"Setting up failed at: uv {' '.join(arguments[:2])}. Look at the lines above; then run this again.")


def tries_uv(*arguments: str) -> bool:
    """Run the pinned uv on the environment; gives whether it did what it was to do."""
    found = shutil.which("uv", path=str(PROGRAMS)) or shutil.which("uv")
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    return (
        found is not None
        and subprocess.run([found, *arguments], cwd=ROOT, env=environment, check=False).returncode == 0
    )


def fail(sentence: str) -> NoReturn:
    """End with a sentence that says what to do."""
    sys.exit(sentence)


def _fingerprint(lock: Path) -> str:
    """What an environment is made from: where it stands, the locks, and our own project file."""
    parts = b"".join(path.read_bytes() for path in (SETUP_LOCK, lock, ROOT / "pyproject.toml"))
    return f"{ROOT}\n{lock.name} {hashlib.sha256(parts).hexdigest()}\n"


def _stamp() -> str:
    return _STAMP.read_text(encoding="utf-8") if _STAMP.exists() else ""


def _create() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    python = _python()
    if python and _succeeds([python, "-c", "import ensurepip, venv"]):
        _run([python, "-m", "venv", str(VENV)])
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--only-binary=:all:", "-r", str(SETUP_LOCK)])
    elif shutil.which("uv"):
        uv("venv", "--quiet", "--python", python or ">=3.11,<3.14", str(VENV))
    elif python:
        fail(
            "This Python has no venv. Install it (Debian and Ubuntu: apt-get install python3-venv), and run this again."
        )
    else:
        fail("Musterbook needs Python 3.11, 3.12 or 3.13. Install one of them, or uv, and run this again.")


def _python() -> str:
    """The Python that runs us, or one on the path, whichever fits first; "" if none does."""
    names = [sys.executable, *(f"python{major}.{minor}" for major, minor in reversed(PYTHONS))]
    return next((found for found in map(shutil.which, names) if found and _runs_here(Path(found))), "")


def _runs_here(python: Path) -> bool:
    """Whether it starts, and is a version that fits: a name on the path may be a shim with nothing behind it."""
    return _succeeds([str(python), "-c", f"import sys; sys.exit(sys.version_info[:2] not in {PYTHONS!r})"])


def _succeeds(command: list[str]) -> bool:
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(command, stdout=quiet, stderr=quiet, check=False).returncode == 0
    except OSError:
        return False


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        fail("Setting up failed; look at the lines above, mend what they name, and run this again.")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
