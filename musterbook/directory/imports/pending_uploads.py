"""Files that were sent for an import and wait for their sender to sign in: for an hour, and for that user alone.

Each is a file below the installation's folder, its agency and its user: a line of JSON, then the content.
"""

import json
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

from musterbook.core.domain.problems import Problem
from musterbook.directory.imports.file_import import OnDisk, Options
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.models import User

LASTS = timedelta(hours=1)
MOST = 3
"""So many wait for one user at most; the oldest gives way."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FOLDER = "waiting"
_ARRIVING = "arriving-"
MOST_ARRIVING = 2
"""So many files of one user may be on their way at a time."""
_MB = 1024 * 1024


class Gone(Exception):
    """No such file waits for the user: its hour is over, it was planned already, or it is somebody else's."""


class TooLarge(Exception):
    """The file is larger than an import may read."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that waits, and what is to be done with it."""

    file: OnDisk
    options: Options
    at: datetime
    """When it was sent."""
    address: str = ""
    """From where, if nobody was signed in there any more; "" for a file that its user sent while signed in."""

    @property
    def name(self) -> str:
        """The name that it came under."""
        return self.file.name


def keep(user: User, name: str, options: Options, chunks: Iterable[bytes], at: datetime, *, address: str = "") -> str:
    """Keeps the file for the user; gives the name that it is asked for by, which opens nothing to anybody else.

    `address`: from where it was sent by somebody who was no longer signed in. Raises TooLarge, OverQuota, and OSError if there
    is no room on the disk.
    """
    folder = _folder(user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_room(folder, at)
    check_room(user)
    token = secrets.token_urlsafe(24)
    path = folder / token
    path.touch(mode=0o600)
    try:
        with path.open("wb") as file:
            told = {"name": name[:255], "options": options.as_json(), "at": at.timestamp(), "address": address}
            file.write(json.dumps(told).encode() + b"\n")
            file.writelines(_limited(chunks))
    except (OSError, TooLarge):
        path.unlink()
        raise
    return token


def _folder(user: User) -> Path:
    root: Path = settings.MUSTER_HOME / _FOLDER
    return root / str(user.agency_id) / str(user.pk)


def arriving(user: User) -> "tempfile._TemporaryFileWrapper[bytes]":
    """A new file for what the user sends, gone when it is closed. Raises OverQuota, and OSError if there is no room."""
    folder = _folder(user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _forget(folder.iterdir(), datetime.now(UTC))
    if len(list(folder.glob(f"{_ARRIVING}*"))) >= MOST_ARRIVING:
        raise OverQuota(Problem("too-many-waiting", detail="this user", hint=f"{MOST_ARRIVING} at a time"))
    check_room(user)
    return tempfile.NamedTemporaryFile(prefix=_ARRIVING, dir=folder)


def check_room(user: User) -> None:
    """Raises OverQuota if what arrives and waits is more than the user, or the agency, may have so."""
    _refuse_over("this user", _folder(user).glob("*"), "MUSTER_USER_WAITING_MB")
    _refuse_over("this agency", _folder(user).parent.glob("*/*"), "MUSTER_AGENCY_WAITING_MB")


def _refuse_over(whose: str, paths: Iterable[Path], setting: str) -> None:
    if sum(map(_size, paths)) > getattr(settings, setting) * _MB:
        raise OverQuota(Problem("too-many-waiting", detail=whose, hint=setting))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    left = settings.MUSTER_MAX_FILE_MB * 1024 * 1024
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise TooLarge
        yield chunk


def _make_room(folder: Path, at: datetime) -> None:
    waiting = sorted((path for path in folder.iterdir() if _TOKEN.fullmatch(path.name)), key=_since)
    for path in waiting[: max(0, len(waiting) - MOST + 1)]:
        _remove(path)
    _forget(folder.iterdir(), at)


def read(user: User, token: str, at: datetime) -> Waiting:
    """The file that waits for the user under that token. Raises Gone."""
    path = _folder(user) / token
    if not _TOKEN.fullmatch(token) or not path.is_file() or _is_old(path, at):
        raise Gone
    try:
        with path.open("rb") as file:
            head = file.readline()
    except FileNotFoundError:
        raise Gone from None
    told = json.loads(head)
    sent = datetime.fromtimestamp(told["at"], UTC)
    # Files that waited during an upgrade say no address: they are taken as sent by nobody who was signed in.
    address = told.get("address", "unknown")
    return Waiting(OnDisk(path, len(head), told["name"]), Options.of_json(told["options"]), sent, address)


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
    """When the file came, as its first line says; of one that arrives, or cannot be read, as the folder says."""
    try:
        if path.name.startswith(_ARRIVING):
            # Its first line is the sender's.
            return path.stat().st_mtime
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
