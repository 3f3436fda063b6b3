"""The folder that Musterbook keeps its things in, made when first needed, and the secret key within it."""

import os
import pwd
import secrets
from pathlib import Path

from musterbook.config import environment

KEY_FILE = "secret-key"


def prepare_folder(folder: Path) -> Path:
    """Make the folder, if it is not there, and readable by its owner alone; gives it back."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def explain_error(error: OSError) -> tuple[str, str]:
    """Return what is wrong with a file or folder that cannot be used, and how to fix it; ("", "") if it is none of ours."""
    folder = environment.home()
    path = Path(os.fsdecode(error.filename)) if error.filename else None
    if path is None or not (path == folder or folder in path.parents or path in folder.parents):
        return "", ""
    problem = f"{path} cannot be used: {error.strerror}"
    user, (owner, mode) = _find_user_name(os.geteuid()), _find_owner_and_mode(path)
    if owner in ("", user) or path in folder.parents:  # a parent belongs to others with good reason
        if owner == user and mode & 0o600 != 0o600:
            return problem, f"It belongs to {user}, and its mode is {mode:04o}. Run: chmod -R u+rwX {folder}"
        return problem, f"Make {folder} a folder that {user} can read and write, or set MUSTER_HOME to another folder."
    chown = f"Run as root: chown -R {user} {folder}"
    return problem, f"It belongs to {owner}, and its mode is {mode:04o}, but Musterbook runs as {user}. {chown}"


def _find_owner_and_mode(path: Path) -> tuple[str, int]:
    try:
        status = path.stat()
    except OSError:
        return "", 0
    return _find_user_name(status.st_uid), status.st_mode & 0o7777


def _find_user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def read_or_make_key(folder: Path) -> str:
    """Return the key that the folder keeps, made if there is none; of several processes that make one, the first wins."""
    path = folder / KEY_FILE
    if not path.exists():
        _write_new(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii").strip()


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read, in place of the one before; it appears whole or not at all."""
    draft = _write_draft(path, content)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_new(path: Path, key: str) -> None:
    draft = _write_draft(path, key)
    try:
        # A link appears whole or not at all, and never takes the place of a key that somebody else has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _write_draft(path: Path, content: str | bytes) -> Path:
    """Write a new file next to the path, and return it. If it does not fit on the disk, nothing of it stays."""
    draft = prepare_folder(path.parent) / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    """Write the folder's list of names to the disk: a key that data is sealed with outlasts a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
