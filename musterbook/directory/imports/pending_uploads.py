"""Uploaded files that wait until their sender signs in: for an hour, and only for that user.

Each is a file in the installation's folder, in a folder for its agency and its user. A second file next to it describes
it, in JSON. The first file is never copied: it is written and hashed while it arrives, and gets another name when it waits
and when it is submitted (`storage.import_files.adopt_file`).
"""

import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

from musterbook.core.domain.problems import Problem
from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.models import Feed, User

KEEP_FOR = timedelta(hours=1)
MAX_WAITING = 3
"""The most files that wait for one user. The oldest is deleted to make room."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FOLDER = "waiting"
_ARRIVING = "arriving-"
_ABOUT = ".json"
MAX_ARRIVING = 2
"""The most files that one user can send at the same time."""
_MB = 1024 * 1024


class UploadGone(Exception):
    """No such file waits for the user: its hour is over, it is already planned, or it belongs to another user."""


class TooLarge(Exception):
    """The file is larger than an import may read."""


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A waiting file, and the options of its import."""

    file: FileOnDisk
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


class ArrivingFile:
    """A file that a user is sending. It is hashed while it arrives, and deleted when it is closed unless it was kept."""

    def __init__(self, folder: Path) -> None:
        number, name = tempfile.mkstemp(prefix=_ARRIVING, dir=folder)
        self.path, self.size = Path(name), 0
        self._file, self._hash = os.fdopen(number, "wb"), hashlib.sha256()

    def write(self, part: bytes) -> None:
        """Add a part. Raise TooLarge if the file exceeds the limit, and OSError if the disk is full."""
        self.size += len(part)
        if self.size > settings.MUSTER_MAX_FILE_MB * _MB:
            raise TooLarge
        self._hash.update(part)
        self._file.write(part)

    def flush(self) -> None:
        """Write all parts to the disk."""
        self._file.flush()

    def end(self) -> None:
        """Write all parts to the disk, and leave the file there until it is moved or closed."""
        self._file.close()

    def digest(self) -> str:
        """Return its SHA-256."""
        return self._hash.hexdigest()

    def move(self, path: Path) -> None:
        """Move the whole file to the path, which is on the same file system."""
        self._file.close()
        self.path.rename(path)

    def close(self) -> None:
        """Delete the file unless it was moved."""
        # A full disk keeps it from being closed properly.
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def keep_file(user: User, name: str, options: Options, file: ArrivingFile, at: datetime, *, address: str = "") -> str:
    """Keep the file for the user. Return its token, which gives no access to other users.

    `address`: the client address if the sender was no longer signed in. Raise OverQuota, and OSError if the disk is
    full.
    """
    folder = _folder(user)
    _make_room(folder, at)
    check_room(user)
    path = folder / secrets.token_urlsafe(24)
    description = {
        "name": name[:255], "options": options.as_json(), "at": at.timestamp(), "address": address,
        "size": file.size, "sha256": file.digest(),
    }  # fmt: skip
    try:
        _description_path(path).touch(mode=0o600)
        _description_path(path).write_text(json.dumps(description), encoding="utf-8")
        # This comes last: without it, nothing waits.
        file.move(path)
    except OSError:
        _remove(path)
        raise
    return path.name


def _description_path(path: Path) -> Path:
    return path.with_suffix(_ABOUT)


def _folder(user: User) -> Path:
    root: Path = settings.MUSTER_HOME / _FOLDER
    return root / str(user.agency_id) / str(user.pk)


def open_arriving(user: User, at: datetime) -> ArrivingFile:
    """Return a new file for an upload of the user. Raise OverQuota, and OSError if the disk is full."""
    return _open(_folder(user), "this user", at)


def open_for_feed(feed: Feed, at: datetime) -> ArrivingFile:
    """Return a new file for what a program sends to the feed. Raise OverQuota, and OSError if the disk is full."""
    return _open(_folder_of_feed(feed), _THIS_FEED, at)


_THIS_FEED = "this feed"


def _open(folder: Path, owner: str, at: datetime) -> ArrivingFile:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _delete_old(folder.iterdir(), at)
    if len(list(folder.glob(f"{_ARRIVING}*"))) >= MAX_ARRIVING:
        raise OverQuota(Problem.of("too-many-waiting", owner=owner, limit=f"{MAX_ARRIVING} uploads at a time"))
    _check_room(folder, owner)
    return ArrivingFile(folder)


def check_room(user: User) -> None:
    """Raise OverQuota if the arriving and waiting files exceed the limit of the user or of the agency."""
    _check_room(_folder(user), "this user")


def check_room_of_feed(feed: Feed) -> None:
    """Raise OverQuota if the arriving files exceed the limit of the feed, which is that of a user, or of the agency."""
    _check_room(_folder_of_feed(feed), _THIS_FEED)


def _folder_of_feed(feed: Feed) -> Path:
    root: Path = settings.MUSTER_HOME / _FOLDER
    return root / str(feed.agency_id) / f"feed-{feed.pk}"


def _check_room(folder: Path, owner: str) -> None:
    _check_limit(owner, folder.glob("*"), "MUSTER_USER_WAITING_MB")
    _check_limit("this agency", folder.parent.glob("*/*"), "MUSTER_AGENCY_WAITING_MB")


def _check_limit(owner: str, paths: Iterable[Path], setting: str) -> None:
    if sum(map(_size, paths)) > getattr(settings, setting) * _MB:
        raise OverQuota(
            Problem.of("too-many-waiting", owner=owner, limit=f"{getattr(settings, setting):,} MB ({setting})")
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _make_room(folder: Path, at: datetime) -> None:
    waiting = sorted((path for path in folder.iterdir() if _TOKEN.fullmatch(path.name)), key=_sent_at)
    for path in waiting[: max(0, len(waiting) - MAX_WAITING + 1)]:
        _remove(path)
    _delete_old(folder.iterdir(), at)


def find_waiting(user: User, token: str, at: datetime) -> WaitingFile:
    """Return the file that waits for the user under that token. Raise UploadGone."""
    path = _folder(user) / token
    if not _TOKEN.fullmatch(token) or not path.is_file() or _is_old(path, at):
        raise UploadGone
    try:
        description = json.loads(_description_path(path).read_bytes())
    except FileNotFoundError:
        raise UploadGone from None
    file = FileOnDisk(path, description["name"], description["size"], description["sha256"])
    sent = datetime.fromtimestamp(description["at"], UTC)
    return WaitingFile(file, Options.of_json(description["options"]), sent, description["address"])


def delete_waiting(user: User, token: str) -> None:
    """Delete the file that was read under that token."""
    _remove(_folder(user) / token)


def forget_old(at: datetime) -> None:
    """Delete all files whose hour is over, for all agencies, and what processes left that ended in the middle."""
    _delete_old((settings.MUSTER_HOME / _FOLDER).glob("*/*/*"), at)


def _delete_old(paths: Iterable[Path], at: datetime) -> None:
    for path in [path for path in paths if _is_old(path, at)]:
        _remove(path)


def _is_old(path: Path, at: datetime) -> bool:
    return at.timestamp() - _sent_at(path) >= KEEP_FOR.total_seconds()


def _sent_at(path: Path) -> float:
    """Return when the file was sent, as its description states.

    For a file that is arriving, or whose description is missing or not whole, use the modification time from the file
    system.
    """
    try:
        return float(json.loads(_description_path(path).read_bytes())["at"])
    except (FileNotFoundError, ValueError):
        pass
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    for one in (path, _description_path(path)):
        # Another process may have deleted it already.
        with suppress(OSError):
            one.unlink()
