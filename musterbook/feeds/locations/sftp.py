"""Files on an SFTP server. It may be slow, or send anything, so times, sizes and numbers are limited."""

import os
import posixpath
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar, cast

import asyncssh
from asyncssh import SFTPAttrs
from django.utils.translation import gettext as _

from musterbook.feeds.locations import file_names
from musterbook.feeds.locations.folder import describe_too_many
from musterbook.feeds.locations.location import (
    MARKER_SIZE,
    MOST_FILES,
    FileChanged,
    FoundFile,
    NotAllowed,
    Unreachable,
    Write,
    do_nothing,
)
from musterbook.feeds.locations.ssh import Credentials, Server, Session

LIST_SECONDS, NAMES_SECONDS, STEP_SECONDS = 45.0, 45.0, 30.0
"""The time limits of reading a folder, of finding free names, and of each other step, such as reading the next part."""
_PART = 4 << 20
_REFUSED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported, asyncssh.SFTPWriteProtect)
"""The errors of a server where nothing can be written."""

T = TypeVar("T")


class SftpLocation:
    """A folder on an SFTP server. It connects when it is first used, and must be closed."""

    def __init__(self, server: Server, path: str, pinned: str, credentials: Credentials) -> None:
        self.moves, self.left_out = True, list[str]()
        self._server, self._path, self._pinned, self._credentials = server, path or ".", pinned, credentials
        self._session = Session(server)
        self._client: asyncssh.SFTPClient | None = None

    def list_files(self) -> list[FoundFile]:
        """Return all regular files here, without those of subfolders."""
        self.left_out = []
        with self._explain_errors():
            return self._run(self._list_files(self._connect()), LIST_SECONDS)

    async def _list_files(self, client: asyncssh.SFTPClient) -> list[FoundFile]:
        found: list[FoundFile] = []
        number = 0
        async for entry in client.scandir(self._join()):
            number += 1
            if number > MOST_FILES:
                raise NotAllowed(describe_too_many(f"{self._server} {self._path}"))
            if not _is_file(entry.attrs):
                continue
            name = _read_name(entry.filename)
            if name is None:
                file_names.add_left_out(self.left_out, entry.filename)
            else:
                found.append(_describe(name, entry.attrs))
        return found

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Pass the content to `write`. Raise FileChanged if it is not the file that was found, or changes meanwhile."""
        client, size = self._connect(), 0
        with self._open(client, found.name) as file:
            if _describe(found.name, self._step(file.stat())) != found:
                raise _make_changed(found.name)
            while part := self._step(_read_part(file, size)):
                size += len(part)
                if found.size >= 0 and size > found.size:
                    raise _make_changed(found.name)
                write(part)
        now = self._find(client, self._join(found.name))
        if now is None or _describe(found.name, now) != found or found.size not in (size, -1):
            raise _make_changed(found.name)
        return found

    def read_marker(self, name: str) -> bytes:
        """Return the first bytes of a small file."""
        with self._open(self._connect(), name) as file:
            return self._step(_read_part(file, 0, MARKER_SIZE))

    def file_away(
        self,
        name: str,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        *,
        modified: float | None = None,
        keep: Callable[[], None] = do_nothing,
    ) -> None:
        """Move the file into the subfolder, after the outputs were written there. A server may not allow it."""
        client = self._connect()
        with self._explain_errors():
            attrs = self._find(client, self._join(name)) if file_names.is_usable(name) else None
            if not self.moves or attrs is None or not _is_file(attrs):
                return
            found = _describe(name, attrs)
            if modified is not None and found.modified != modified:
                return
            try:
                self._make_folder(client, folder)
                names = self._choose_names(client, found, folder, outputs, keep)
                for output, ours in outputs.items():
                    keep()
                    self._write_output(client, self._join(folder, names[output]), ours, keep)
                self._rename(client, self._join(name), self._join(folder, names[name]))
            except _REFUSED:
                self.moves = False

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _connect(self) -> asyncssh.SFTPClient:
        if self._client is None:
            self._client = self._session.sign_in(self._pinned, self._credentials)
        return self._client

    def _run(self, step: Coroutine[Any, Any, T], seconds: float) -> T:
        return self._session.run(step, seconds)

    def _step(self, step: Coroutine[Any, Any, T]) -> T:
        return self._run(step, STEP_SECONDS)

    def _join(self, *names: str) -> bytes:
        return posixpath.join(self._path, *names).encode()

    @contextmanager
    def _open(self, client: asyncssh.SFTPClient, name: str) -> Iterator[asyncssh.SFTPClientFile]:
        if not file_names.is_usable(name):
            raise _make_changed(name)
        with self._explain_errors():
            try:
                file = self._step(_open_file(client, self._join(name)))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                raise _make_changed(name) from None
        try:
            yield file
        except asyncssh.SFTPError as error:
            raise self._explain(error) from error
        finally:
            with suppress(asyncssh.Error, Unreachable):
                self._step(file.close())

    def _find(self, client: asyncssh.SFTPClient, path: bytes) -> SFTPAttrs | None:
        """Return the attributes of a file, None if there is none."""
        try:
            return self._step(client.lstat(path))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    def _make_folder(self, client: asyncssh.SFTPClient, folder: str) -> None:
        path = self._join(folder)
        attrs = self._find(client, path)
        if attrs is None:
            self._step(client.mkdir(path))
        elif attrs.type not in (asyncssh.FILEXFER_TYPE_DIRECTORY, asyncssh.FILEXFER_TYPE_UNKNOWN):
            text = _("%(name)s on %(server)s is not a folder.")
            raise NotAllowed(text % {"name": posixpath.join(self._path, folder), "server": self._server})

    def _choose_names(
        self,
        client: asyncssh.SFTPClient,
        found: FoundFile,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        keep: Callable[[], None],
    ) -> dict[str, str]:
        """Return the names in the subfolder that no other file has. An output that is there already keeps its name."""
        ends = time.monotonic() + NAMES_SECONDS
        for names in file_names.list_free_names(found.name, outputs, found.modified):
            keep()
            if time.monotonic() > ends:
                text = _("%(server)s did not answer within %(seconds)s seconds.")
                raise Unreachable(text % {"server": self._server, "seconds": f"{NAMES_SECONDS:.0f}"})
            if self._find(client, self._join(folder, names[found.name])) is None and all(
                self._is_free(client, self._join(folder, names[output]), ours) for output, ours in outputs.items()
            ):
                return names
        raise Unreachable(_("There are too many files with the name %(name)s.") % {"name": found.name})

    def _is_free(self, client: asyncssh.SFTPClient, path: bytes, ours: BinaryIO) -> bool:
        """Return whether there is no file, or one with our content."""
        attrs = self._find(client, path)
        if attrs is None:
            return True
        if attrs.size != ours.seek(0, os.SEEK_END):
            return False
        ours.seek(0)
        file, size = self._step(_open_file(client, path)), 0
        try:
            while part := ours.read(_PART):
                if self._step(_read_part(file, size, len(part))) != part:
                    return False
                size += len(part)
        finally:
            self._step(file.close())
        return True

    def _write_output(self, client: asyncssh.SFTPClient, path: bytes, ours: BinaryIO, keep: Callable[[], None]) -> None:
        """Write a copy of the file, which appears whole or not at all."""
        if self._find(client, path) is not None:
            return
        folder, name = posixpath.split(path)
        draft = posixpath.join(folder, b"." + name[:200] + b".part")
        file = self._step(_open_file(client, draft, "wb"))
        ours.seek(0)
        try:
            while part := ours.read(_PART):
                keep()
                self._step(file.write(part))
        finally:
            self._step(file.close())
        self._rename(client, draft, path)

    def _rename(self, client: asyncssh.SFTPClient, old: bytes, new: bytes) -> None:
        """Rename a file to a name that is free. Old servers have only the rename of the protocol."""
        try:
            self._step(client.posix_rename(old, new))
        except asyncssh.SFTPOpUnsupported:
            self._step(client.rename(old, new))

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        try:
            yield
        except asyncssh.SFTPError as error:
            raise self._explain(error) from error

    def _explain(self, error: asyncssh.SFTPError) -> Unreachable:
        texts = {
            asyncssh.SFTPNoSuchFile: _("%(server)s has no folder %(path)s. Correct the path."),
            asyncssh.SFTPNoSuchPath: _("%(server)s has no folder %(path)s. Correct the path."),
            asyncssh.SFTPPermissionDenied: _("%(server)s does not let the user read %(path)s."),
        }
        text = texts.get(type(error), _("%(server)s answered that %(path)s cannot be used: %(reason)s."))
        reason = file_names.show(error.reason).strip(" .") or type(error).__name__
        return Unreachable(text % {"server": self._server, "path": self._path, "reason": reason})


async def _open_file(client: asyncssh.SFTPClient, path: bytes, mode: str = "rb") -> asyncssh.SFTPClientFile:
    return await client.open(path, mode)


async def _read_part(file: asyncssh.SFTPClientFile, begin: int, size: int = _PART) -> bytes:
    """Return the next bytes, none at the end. A server that sends more than it was asked for is refused."""
    part = cast("bytes", await file.read(size, begin))
    if len(part) > size:
        raise ValueError("more was sent than requested")
    return part


def _is_file(attrs: SFTPAttrs) -> bool:
    return attrs.type == asyncssh.FILEXFER_TYPE_REGULAR or (
        attrs.type == asyncssh.FILEXFER_TYPE_UNKNOWN and attrs.permissions is None
    )


def _read_name(name: str | bytes) -> str | None:
    """Return the name of a file, None if it cannot be used."""
    try:
        text = name.decode() if isinstance(name, bytes) else name
    except UnicodeDecodeError:
        return None
    return text if file_names.is_usable(text) else None


def _describe(name: str, attrs: SFTPAttrs) -> FoundFile:
    modified = float(attrs.mtime or 0) + (attrs.mtime_ns or 0) / 1_000_000_000
    return FoundFile(modified, name, -1 if attrs.size is None else attrs.size)


def _make_changed(name: str) -> FileChanged:
    return FileChanged(_("%(name)s changed while it was read.") % {"name": file_names.show(name)})
