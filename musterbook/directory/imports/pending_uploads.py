"""Uploaded files that wait until their sender signs in: for an hour, and only for that user.

Each is a file in the installation's folder, in a folder for its agency and its user: a line of JSON, then the content.
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
"""The most files that wait for one user. The oldest is deleted to make room."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FOLDER = "waiting"
_ARRIVING = "arriving-"
MOST_ARRIVING = 2
"""The most files that one user can send at the same time."""
_MB = 1024 * 1024


class Gone(Exception):
    """No such file waits for the user: its hour is over, it is already planned, or it belongs to another user."""


class TooLarge(Exception):
    """The file is larger than an import may read."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting file, and the options of its import."""

    file: OnDisk
    options: Options
    at: datetime
    """The time when it was sent."""
    address: str = ""
    """The client address if the sender was no longer signed in.

    It is "" if the user sent the file while signed in.
    """

    @property
    def name(self) -> str:
        """Return the file name that the sender gave."""
        return self.file.name


def keep(user: User, name: str, options: Options, chunks: Iterable[bytes], at: datetime, *, address: str = "") -> str:
    """Keep the file for the user. Return its token, which gives no access to other users.

    `address`: the client address if the sender was no longer signed in. Raise TooLarge, OverQuota, and OSError if
    the disk is full.
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
    """Return a new file for an upload of the user, which is deleted when it is closed.

    Raise OverQuota, and OSError if the disk is full.
    """
    folder = _folder(user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _forget(folder.iterdir(), datetime.now(UTC))
    if len(list(folder.glob(f"{_ARRIVING}*"))) >= MOST_ARRIVING:
        raise OverQuota(Problem.of("too-many-waiting", owner="this user", limit=f"{MOST_ARRIVING} uploads at a time"))
    check_room(user)
    return tempfile.NamedTemporaryFile(prefix=_ARRIVING, dir=folder)


def check_room(user: User) -> None:
    """Raise OverQuota if the arriving and waiting files exceed the limit of the user or of the agency."""
    _refuse_over("this user", _folder(user).glob("*"), "MUSTER_USER_WAITING_MB")
    _refuse_over("this agency", _folder(user).parent.glob("*/*"), "MUSTER_AGENCY_WAITING_MB")


def _refuse_over(whose: str, paths: Iterable[Path], setting: str) -> None:
    if sum(map(_size, paths)) > getattr(settings, setting) * _MB:
        raise OverQuota(
            Problem.of("too-many-waiting", owner=whose, limit=f"{getattr(settings, setting):,} MB ({setting})")
        )


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
    """Return the file that waits for the user under that token. Raise Gone."""
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
    # Files that waited during an upgrade have no address: treat their sender as not signed in.
    address = told.get("address", "unknown")
    return Waiting(OnDisk(path, len(head), told["name"]), Options.of_json(told["options"]), sent, address)


def forget(user: User, token: str) -> None:
    """Delete the file that was read under that token."""
    _remove(_folder(user) / token)


def forget_old(at: datetime) -> int:
    """Delete all files whose hour is over, for all agencies. Return their number."""
    return _forget((settings.MUSTER_HOME / _FOLDER).glob("*/*/*"), at)


def _forget(paths: Iterable[Path], at: datetime) -> int:
    old = [path for path in paths if _is_old(path, at)]
    for path in old:
        _remove(path)
    return len(old)


def _is_old(path: Path, at: datetime) -> bool:
    return at.timestamp() - _since(path) >= LASTS.total_seconds()


def _since(path: Path) -> float:
    """Return when the file was sent, as its first line states.

    For a file that is arriving, or that cannot be read, use the modification time from the file system.
    """
    try:
        if path.name.startswith(_ARRIVING):
            # The sender controls its first line.
            return path.stat().st_mtime
        with path.open("rb") as file:
            return float(json.loads(file.readline())["at"])
    except ValueError:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    # Another process may have deleted it already.
    with suppress(OSError):
        path.unlink()
