"""Files that were sent for an import and wait for their sender to sign in: for an hour, and for that user alone.

Each is a file below the installation's folder, its agency and its user: a line of JSON, then the content.
"""

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from musterbook.directory.imports import Options
from musterbook.directory.models import User

LASTS = timedelta(hours=1)
MOST = 3
"""So many wait for one user at most; the oldest gives way."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FOLDER = "waiting"


class Gone(Exception):
    """No such file waits for the user: its hour is over, it was planned already, or it is somebody else's."""


class TooLarge(Exception):
    """The file is larger than an import may read."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that waits: its name, what is to be done with it, and what was sent."""

    name: str
    options: Options
    content: bytes


def keep(user: User, name: str, options: Options, chunks: Iterable[bytes], at: datetime) -> str:
    """Keeps the file for the user; gives the token that it is asked for by. Raises TooLarge, and OSError if there is no room."""
    folder = _folder(user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_room(folder, at)
    token = secrets.token_urlsafe(24)
    path = folder / token
    path.touch(mode=0o600)
    try:
        with path.open("wb") as file:
            told = {"name": name[:255], "options": options.as_json(), "at": at.timestamp()}
            file.write(json.dumps(told).encode() + b"\n")
            file.writelines(_limited(chunks))
    except (OSError, TooLarge):
        path.unlink()
        raise
    return token


def _folder(user: User) -> Path:
    root: Path = settings.MUSTER_HOME / _FOLDER
    return root / str(user.agency_id) / str(user.pk)


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    left = settings.MUSTER_MAX_FILE_MB * 1024 * 1024
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise TooLarge
        yield chunk


def _make_room(folder: Path, at: datetime) -> None:
    waiting = sorted(folder.iterdir(), key=_since)
    for path in waiting[: max(0, len(waiting) - MOST + 1)]:
        _remove(path)
    _forget(folder.iterdir(), at)


def read(user: User, token: str, at: datetime) -> Waiting:
    """The file that waits for the user under that token. Raises Gone."""
    path = _folder(user) / token
    if not _TOKEN.fullmatch(token) or not path.is_file() or _is_old(path, at):
        raise Gone
    try:
        head, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise Gone from None
    told = json.loads(head)
    return Waiting(told["name"], Options.of_json(told["options"]), content)


def forget(user: User, token: str) -> None:
    """Lets go of a file that was read under that token."""
    _remove(_folder(user) / token)


def forget_old(at: datetime) -> int:
    """Lets go of all files whose hour is over, of all agencies; gives how many."""
    return _forget((settings.MUSTER_HOME / _FOLDER).glob("*/*/*"), at)


def _forget(paths: Iterable[Path], at: datetime) -> int:
    old = [path for path in paths if _is_old(path, at)]
    for path in old:
        _remove(path)
    return len(old)


def _is_old(path: Path, at: datetime) -> bool:
    return at.timestamp() - _since(path) >= LASTS.total_seconds()


def _since(path: Path) -> float:
    """When the file came, as its first line says; of one that cannot be read yet or any more, as the folder says."""
    try:
        with path.open("rb") as file:
            return float(json.loads(file.readline())["at"])
    except ValueError:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    # Another process may have been quicker.
    with suppress(OSError):
        path.unlink()
