"""The folder that Musterbook keeps its things in, made when first needed, and the secret key within it."""

import os
import pwd
import secrets
from pathlib import Path

from musterbook.config import environment

KEY_FILE = "secret-key"


def prepare(folder: Path) -> Path:
    """Make the folder, if it is not there, and readable by its owner alone; gives it back."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def explain(error: OSError) -> tuple[str, str]:
    """Return what is wrong with a file or folder that cannot be used, and how to fix it; ("", "") if it is none of ours."""
    folder = environment.home()
    path = Path(os.fsdecode(error.filename)) if error.filename else None
    if path is None or not (path == folder or folder in path.parents or path in folder.parents):
        return "", ""
    found = f"{path} cannot be used: {error.strerror}"
    me, owner = _user(os.geteuid()), _owner(path)
    if owner in ("", me) or path in folder.parents:  # a parent belongs to others with good reason
        return found, f"Make {folder} a folder that {me} can read and write, or set MUSTER_HOME to another folder."
    return found, f"It belongs to {owner}, but Musterbook runs as {me}. Run as root: chown -R {me} {folder}"


def _owner(path: Path) -> str:
    try:
        return _user(path.stat().st_uid)
    except OSError:
        return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def secret_key() -> str:
    """Return the key of MUSTER_SECRET_KEY, or the one kept in MUSTER_HOME, which is made on first use."""
    named = environment.text("MUSTER_SECRET_KEY")
    return named or kept_key(environment.home())


def kept_key(folder: Path) -> str:
    """Return the key that the folder keeps, made if there is none; of several processes that make one, the first wins."""
    path = folder / KEY_FILE
    if not path.exists():
        _write_new(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii").strip()


def write(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in place of the one before; it appears whole or not at all."""
    draft = _draft(path, text)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _to_disk(path.parent)


def _write_new(path: Path, key: str) -> None:
    draft = _draft(path, key)
    try:
        # A link appears whole or not at all, and never takes the place of a key that somebody else has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _to_disk(path.parent)


def _draft(path: Path, text: str) -> Path:
    draft = prepare(path.parent) / f".{path.name}.{secrets.token_hex(8)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _to_disk(folder: Path) -> None:
    """Write the folder's list of names to the disk: a key that data is sealed with outlasts a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
