"""Files are brought from a location onto this machine: part by part, hashed, and bounded in size and time (rules N1, N8).

It needs no saved feed, so that a folder can be watched without one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from musterbook.config.home import prepare_folder
from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.directory.imports.pending_uploads import ArrivingFile, TooLarge
from musterbook.directory.storage.import_files import DAY
from musterbook.feeds import complete, joining
from musterbook.feeds.complete import Arrival
from musterbook.feeds.locations.location import Location, Unreachable

LONGEST = 1800.0
"""The most seconds that one file may take to arrive."""
_MB = 1 << 20


class CannotTake(Exception):
    """The files are complete, but they cannot be an import. The message says why, for a person."""

    def __init__(self, message: str, size: int = 0, sha256: str = "") -> None:
        super().__init__(message)
        self.size, self.sha256 = size, sha256


class WrongChecksum(Exception):
    """A file does not have the checksum of its marker. It may still be being sent."""


@contextmanager
def fetch(location: Location, arrival: Arrival, name: str, keep: Callable[[], None]) -> Iterator[FileOnDisk]:
    """Bring the files of an arrival here, as one file, which is deleted at the end unless it was kept.

    `name`: the name of the file if it is made of several. `keep`: is called with each part, and may raise an error to stop.
    Raise CannotTake, WrongChecksum, the errors of a location, and OSError if the disk is full.
    """
    with ExitStack() as stack:
        parts = list[FileOnDisk]()
        for found in arrival.files:
            file = ArrivingFile(prepare_folder(settings.MUSTER_HOME / "arriving"))
            stack.callback(file.close)
            _read(location, arrival, file, found.name, keep, sum(part.size for part in parts))
            parts.append(FileOnDisk(file.path, found.name, file.size, file.digest()))
        if len(parts) == 1:
            yield parts[0]
            return
        joined = ArrivingFile(prepare_folder(settings.MUSTER_HOME / "arriving"))
        stack.callback(joined.close)
        try:
            joining.join(parts, joined.write, keep)
            joined.flush()
        except TooLarge:
            raise CannotTake(_describe_too_large(), joined.size) from None
        except joining.CannotJoin as error:
            raise CannotTake(str(error), sum(part.size for part in parts)) from None
        yield FileOnDisk(joined.path, name, joined.size, joined.digest())


def _read(
    location: Location, arrival: Arrival, file: ArrivingFile, name: str, keep: Callable[[], None], before: int
) -> None:
    """Bring one file here. `before`: the bytes of the earlier files of its snapshot, which is bounded as one file is."""
    found, started = next(one for one in arrival.files if one.name == name), time.monotonic()

    def write(part: bytes) -> None:
        keep()
        if time.monotonic() - started > LONGEST:
            raise Unreachable(
                _("%(name)s took longer than %(minutes)s minutes.") % {"name": name, "minutes": LONGEST // 60}
            )
        file.write(part)
        if before + file.size > settings.MUSTER_MAX_FILE_MB * _MB:
            raise TooLarge

    try:
        location.read_file(found, write)
        # Thousands of files may be one snapshot, and a process can have few files open.
        file.end()
    except TooLarge:
        raise CannotTake(_describe_too_large(), max(found.size, file.size) + before) from None
    marker = arrival.checksums.get(name)
    if marker:
        check_checksum(location.read_marker(marker), name, file.digest(), arrival, file.size)


def _describe_too_large() -> str:
    return _("The file is larger than %(limit)s MB, which is the most that an import can read.") % {
        "limit": settings.MUSTER_MAX_FILE_MB
    }


def check_checksum(marker: bytes, name: str, digest: str, arrival: Arrival, size: int) -> None:
    """Compare a file's SHA-256 with that in its marker. Raise WrongChecksum, or CannotTake if it stays wrong."""
    if complete.read_checksum(marker, name) == digest:
        return
    if not arrival.unchanged:
        raise WrongChecksum(name)
    message = _("The checksum in %(marker)s is not that of %(name)s. Send the file and its checksum again.")
    raise CannotTake(message % {"marker": arrival.checksums[name], "name": name}, size, digest)


def forget_old(at: datetime) -> None:
    """Delete what processes left that ended in the middle."""
    for path in prepare_folder(settings.MUSTER_HOME / "arriving").iterdir():
        # Its process may delete it at this moment.
        with suppress(FileNotFoundError):
            if at.timestamp() - path.stat().st_mtime > DAY:
                path.unlink()
