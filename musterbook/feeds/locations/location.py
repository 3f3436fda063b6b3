"""The interface of all locations, and what can go wrong at one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class LocationError(Exception):
    """The location cannot be used. The message says where, why, and how to fix it, for a person."""


class Unreachable(LocationError):
    """The location does not answer, or refuses what was saved for it. It may work again later (rule N5)."""


class NotAllowed(LocationError):
    """The installation does not allow the location, or its settings are wrong. Only a person can change that (N8)."""


class HostKeyChanged(LocationError):
    """The server has another key than the pinned one. The feed stops until a person accepts the new key."""


class FileChanged(LocationError):
    """The file changed or vanished while it was read. The next check takes it when it is complete (rule N1)."""


@dataclass(frozen=True, slots=True, order=True)
class FoundFile:
    """A file at a location. `modified`: the time of its last change, in seconds; the oldest file sorts first.

    `size` is -1 if the location does not say it. `tag`: what else identifies its content there, such as an ETag.
    """

    modified: float
    name: str
    size: int
    tag: str = ""


Write = Callable[[bytes], None]
"""Receives the parts of a file. It raises an error if the file is too large; the location passes that on."""


class Location(Protocol):
    """A place that holds files. A value of it serves one check, and `close` ends what it opened."""

    moves: bool
    """Whether files can be moved here, so that a taken file leaves (rule N2)."""

    def list_files(self) -> list[FoundFile]:
        """Return all files here, markers too, without those of subfolders. Raise LocationError."""

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Pass the content of the file to `write`, part by part. Return the file as it was when it was read.

        Raise FileChanged if it changed meanwhile, and the other errors of a location.
        """

    def read_marker(self, name: str) -> bytes:
        """Return the first 4,096 bytes of a small file, such as a checksum. Raise LocationError."""

    def file_away(self, name: str, folder: str, outputs: Mapping[str, Path]) -> None:
        """Move the file into a subfolder (`done` or `failed`), next to copies of the outputs, by their names there.

        It can be repeated: what is moved or written already stays. Raise LocationError.
        """

    def close(self) -> None:
        """End all connections."""
