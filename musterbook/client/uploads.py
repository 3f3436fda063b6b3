"""A file to send: it can be opened again for each attempt, and is never whole in memory."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TypeAlias

FileToSend: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]
"""The path of a file, a file that is open for reading bytes, or bytes. It is sent from its beginning."""
_NAMELESS = "file"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send, by the name that the server is given."""

    name: str
    source: str | bytes | IO[bytes]

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the file at its beginning. A file that the caller has opened stays open."""
        if isinstance(self.source, str):
            with Path(self.source).open("rb") as file:
                yield file
        elif isinstance(self.source, bytes):
            yield io.BytesIO(self.source)
        else:
            self.source.seek(0)
            yield self.source


def make_upload(file: FileToSend, name: str = "") -> Upload:
    """Return what is sent. Raise OSError if the file cannot be read, and TypeError for a file of text."""
    if isinstance(file, bytes):
        return Upload(name or _NAMELESS, file)
    if isinstance(file, str | os.PathLike):
        path = Path(file)
        path.stat()
        return Upload(name or path.name, str(path))
    if not isinstance(file.read(0), bytes):
        raise TypeError("Open the file for reading bytes: open(path, 'rb').")
    given = getattr(file, "name", "")
    named = name or (PurePath(given).name if isinstance(given, str) and not given.startswith("<") else "") or _NAMELESS
    if file.seekable():
        return Upload(named, file)
    # The server needs the length, and an attempt may be repeated.
    stored = tempfile.TemporaryFile()  # noqa: SIM115  (it is closed when the upload is gone)
    shutil.copyfileobj(file, stored)
    return Upload(named, stored)
