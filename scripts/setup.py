"""The virtual environment of a checkout: where it is, its locks, and how it is made.

It uses the standard library alone, in a syntax that older Pythons understand, so that they can report what is missing.
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
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
"""The Pythons that Musterbook runs on."""

SETUP_LOCK, RUN_LOCK, DEV_LOCK, POSTGRES_LOCK, ASSETS_LOCK, MUTATION_LOCK, PEERS_LOCK = (
    ROOT / f"requirements{part}.lock" for part in ("-setup", "", "-dev", "-postgres", "-assets", "-mutation", "-peers")
)
_STAMP = VENV / "made-from"


def make_environment(*, dev: bool) -> None:
    """Make the environment exactly that of the lock, with the development tools if `dev`. Exit if that fails."""
    fingerprint = _compute_fingerprint(DEV_LOCK if dev else RUN_LOCK)
    fit = {
        fingerprint,
        _compute_fingerprint(DEV_LOCK),
    }  # the development lock contains the other one, in the same versions
    if _read_stamp() in fit:
        return
    _say("Setting up (once, a minute or so) …")
    if not _read_stamp().startswith(f"{ROOT}\n") or not _runs_here(PYTHON):
        _create()
    _STAMP.unlink(missing_ok=True)
    locks = [SETUP_LOCK, DEV_LOCK if dev else RUN_LOCK]
    # Compile now, because the user who runs it may have no write access. A start takes half the time.
    run_uv("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", *map(str, locks))
    run_uv("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline", "--editable", str(ROOT))
    _STAMP.write_text(fingerprint, encoding="utf-8")


def run_uv(*arguments: str) -> None:
    """Run the pinned uv on the environment. Exit if it fails: its output says why."""
    if not try_uv(*arguments):
        fail(f"Setting up failed at: uv {' '.join(arguments[:2])}. Look at the lines above; then run this again.")


def try_uv(*arguments: str) -> bool:
    """Run the pinned uv on the environment. Return whether it succeeded."""
    found = shutil.which("uv", path=str(PROGRAMS)) or shutil.which("uv")
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    return (
        found is not None
        and subprocess.run([found, *arguments], cwd=ROOT, env=environment, check=False).returncode == 0
    )


def fail(sentence: str) -> NoReturn:
    """Exit with a sentence that says what to do."""
    sys.exit(sentence)


def _compute_fingerprint(lock: Path) -> str:
    """Return the hash of an environment's sources: its path, the locks, and the project file."""
    parts = b"".join(path.read_bytes() for path in (SETUP_LOCK, lock, ROOT / "pyproject.toml"))
    return f"{ROOT}\n{lock.name} {hashlib.sha256(parts).hexdigest()}\n"


def _read_stamp() -> str:
    return _STAMP.read_text(encoding="utf-8") if _STAMP.exists() else ""


def _create() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    python = _find_python()
    if python and _succeeds([python, "-c", "import ensurepip, venv"]):
        _run([python, "-m", "venv", str(VENV)])
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--only-binary=:all:", "-r", str(SETUP_LOCK)])
    elif shutil.which("uv"):
        run_uv("venv", "--quiet", "--python", python or ">=3.11,<3.15", str(VENV))
    elif python:
        fail(
            "This Python has no venv. Install it (Debian and Ubuntu: apt-get install python3-venv), and run this again."
        )
    else:
        fail("Musterbook needs Python 3.11, 3.12, 3.13 or 3.14. Install one of them, or uv, and run this again.")


def _find_python() -> str:
    """Return the current Python, or one on the path, whichever fits first; "" if none does."""
    names = [sys.executable, *(f"python{major}.{minor}" for major, minor in reversed(PYTHONS))]
    return next((found for found in map(shutil.which, names) if found and _runs_here(Path(found))), "")


def _runs_here(python: Path) -> bool:
    """Return whether it starts and has a supported version. A name on the path may be a shim without a Python."""
    return _succeeds([str(python), "-c", f"import sys; sys.exit(sys.version_info[:2] not in {PYTHONS!r})"])


def _succeeds(command: list[str]) -> bool:
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(command, stdout=quiet, stderr=quiet, check=False).returncode == 0
    except OSError:
        return False


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        fail("The setup failed. Read the lines above, correct what they name, and run this again.")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
