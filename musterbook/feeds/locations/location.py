"""The interface of all locations, and what can go wrong at one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

MOST_FILES = 10_000
"""The most entries of a folder that are read. A folder with more is refused, because a feed takes files away."""
MARKER_SIZE = 4_096
"""The most bytes of a marker that are read."""


class LocationError(Exception):
    """The location cannot be used. The message says where, why, and how to fix it, for a person."""


class Unreachable(LocationError):
    """The location does not answer, or refuses what was saved for it. It may work again later (rule N5)."""


class NotAllowed(LocationError):
    """The installation does not allow the location, or its settings are wrong. Only a person can change that (N8)."""


class NotSetUp(NotAllowed):
    """What a person must enter or accept first is still missing, such as in the minutes after a feed was added."""


class HostKeyChanged(LocationError):
    """The server has another key than the pinned one. The feed stops until a person accepts the new key."""


class FileChanged(LocationError):
    """The file changed or vanished while it was read. The next check takes it when it is complete (rule N1)."""


@dataclass(frozen=True, slots=True, order=True)
class FoundFile:
    """A file at a location. `modified`: the time of its last change, in seconds; the oldest file sorts first.

    `size` is -1 if the location does not say it. `tag`: what else identifies its content there, such as an ETag.
    `is_complete`: whether the location knows that it is complete, so that no second check is needed.
    """

    modified: float
    name: str
    size: int
    tag: str = ""
    is_complete: bool = field(default=False, compare=False)


Write = Callable[[bytes], None]
"""Receives the parts of a file. It raises an error if the file is too large; the location passes that on."""


def do_nothing() -> None:
    """Do nothing: nobody needs to know that there is progress."""


class Location(Protocol):
    """A place that holds files. A value of it serves one check, and `close` ends what it opened."""

    moves: bool
    """Whether files can be moved here, so that a taken file leaves (rule N2). It is known after the first attempt."""
    left_out: list[str]
    """After `list_files`: files that cannot be taken because of their names, which are written here without odd signs."""

    def list_files(self) -> list[FoundFile]:
        """Return all files here, markers too, without those of subfolders. Raise LocationError."""

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Pass the content of the file to `write`, part by part. Return the file as it was when it was read.

        Raise FileChanged if it changed meanwhile, and the other errors of a location.
        """

    def read_marker(self, name: str) -> bytes:
        """Return the first 4,096 bytes of a small file, such as a checksum. Raise LocationError."""

    def file_away(
        self,
        name: str,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        *,
        modified: float | None = None,
        keep: Callable[[], None] = do_nothing,
    ) -> None:
        """Move the file into a subfolder (`done` or `failed`), next to copies of open files, by their names there.

        It can be repeated: what is moved or written already stays. Earlier files of the same names stay too: the new ones
        get the time of the file in their names. `modified`: the time of the file that was taken. A newer file of its name
        stays where it is. `keep` is called from time to time. At a location where nothing can be moved, this only sets
        `moves`. Raise LocationError.
        """

    def close(self) -> None:
        """End all connections."""
