"""The locations of feeds whose files are brought: sent by a program, or named in a command. Nothing is found there."""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from django.utils.translation import gettext as _

from musterbook.feeds.locations import file_names
from musterbook.feeds.locations.location import FileChanged, FoundFile, Write, do_nothing


class BroughtLocation:
    """A location without files."""

    moves = False

    def __init__(self) -> None:
        self.left_out: list[str] = []

    def list_files(self) -> list[FoundFile]:
        """Return no file."""
        return []

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Raise FileChanged: no file can be read here."""
        del write
        raise FileChanged(_("%(name)s is not here.") % {"name": file_names.show(found.name)})

    def read_marker(self, name: str) -> bytes:
        """Raise FileChanged: no file can be read here."""
        raise FileChanged(_("%(name)s is not here.") % {"name": file_names.show(name)})

    def file_away(
        self,
        name: str,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        *,
        modified: float | None = None,
        keep: Callable[[], None] = do_nothing,
    ) -> None:
        """Do nothing: who brought the file still has it."""

    def close(self) -> None:
        """Do nothing: nothing is open."""
