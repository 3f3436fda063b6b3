"""The tar file of a backup, and the seal at its end, which proves its writer and that nothing was changed.

The seal is an HMAC-SHA256 of the name, size, time and content of every member, with a key derived from the secret key.
"""

import errno
import hashlib
import hmac
import io
import os
import re
import stat
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from musterbook.config.secret_keys import Key

SHA256 = "sha256"
"""The name in place of a key's, for a seal that is a plain digest."""
_SEAL = "seal"
_LONGEST_SEAL = 100
_PIECE = 1 << 16
_LARGEST_READ = 1 << 20
_PLAIN_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,99}")


class NotPlainFile(Exception):
    """The path to pack is a link, a folder or a device."""


class Packing:
    """A tar file that is being written, and its seal: by a key, or without one, a plain digest of all content."""

    def __init__(self, tar: tarfile.TarFile, key: Key | None) -> None:
        self._tar, self._key, self._seal = tar, key, _Seal()

    def add(self, name: str, content: bytes) -> None:
        """Add a member."""
        self._add(name, len(content), 0, io.BytesIO(content))

    def add_file(self, name: str, path: Path) -> None:
        """Add a file as a member.

        Raise NotPlainFile for anything but a plain file, and FileNotFoundError if it is gone.
        """
        try:
            # Do not follow a link, and do not wait for a pipe.
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise NotPlainFile(path) from None
            raise
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            os.close(number)
            raise NotPlainFile(path)
        with os.fdopen(number, "rb") as file:
            self._add(name, status.st_size, int(status.st_mtime), file)

    def _add(self, name: str, size: int, at: int, file: BinaryIO) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, at
        self._seal.begin(name, size, at)
        self._tar.addfile(entry, _SealingReader(file, self._seal))

    def close(self) -> None:
        """Add the seal (`finish`)."""
        self.finish()

    def finish(self) -> str:
        """Add the seal, and return its HMAC or digest.

        It has the name of the key, and the HMAC. Without a key, it has the name SHA256, and the digest.
        """
        name, seal = (self._key.name, self._seal.by(self._key)) if self._key else (SHA256, self._seal.plain())
        self.add(_SEAL, f"{name}:{seal}".encode())
        return seal


class _Seal:
    """The digest of the content read so far, and its HMAC. The key of the HMAC is known only at the end."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def begin(self, name: str, size: int, at: int) -> None:
        self._digest.update(f"{name}\0{size}\0{at}\0".encode())

    def add(self, content: bytes) -> None:
        self._digest.update(content)

    def plain(self) -> str:
        return self._digest.hexdigest()

    def by(self, key: Key) -> str:
        return hmac.new(key.derive("backup"), self._digest.digest(), "sha256").hexdigest()


class _SealingReader:
    """A file whose bytes are added to the seal as they are read."""

    def __init__(self, file: BinaryIO, seal: _Seal) -> None:
        self._file, self._seal = file, seal

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._seal.add(content)
        return content


@dataclass(frozen=True, slots=True)
class BackupSeal:
    """The seal of a backup as read.

    `key`: the name of the key, "" without a seal. `strange`: the number of members that no backup has.
    """

    key: str
    mac: str
    strange: int
    _seal: _Seal = field(repr=False)

    @property
    def digest(self) -> str:
        """Return the digest of all unpacked content."""
        return self._seal.plain()

    @property
    def is_whole(self) -> bool:
        """Return whether the seal is a plain digest, and of exactly the unpacked content."""
        return self.key == SHA256 and not self.strange and hmac.compare_digest(self.mac, self.digest)

    def is_by(self, key: Key) -> bool:
        """Return whether that key sealed exactly the unpacked content."""
        return hmac.compare_digest(self.mac, self._seal.by(key))


def unpack(file: BinaryIO, into: Path, names: Collection[str], *folders: str) -> BackupSeal:
    """Write the members of those names, and those of the folders, into `into`, readable only by their owner.

    Nothing else is written, regardless of the tar file's content: none of its links, devices, paths, owners or
    modes. Memory is bounded, and the size of the file bounds the disk space. Raise tarfile.TarError, OSError and
    ValueError.
    """
    seal, strange, sealed = _Seal(), 0, ""
    for tar, entry in _read_members(file):
        if entry.name == _SEAL and not sealed:
            sealed = _read_seal(tar, entry)
        elif entry.isreg() and not entry.issparse() and not sealed and _is_known(entry.name, names, folders):
            seal.begin(entry.name, entry.size, int(entry.mtime))
            _extract(tar, entry, into / entry.name, seal)
        else:
            strange += 1
    key, _, mac = sealed.partition(":")
    return BackupSeal(key, mac, strange, seal)


def _is_known(name: str, names: Collection[str], folders: Collection[str]) -> bool:
    before, slash, last = name.rpartition("/")
    return name in names or (slash == "/" and before in folders and bool(_PLAIN_NAME.fullmatch(last)))


def _read_members(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with tarfile.open(fileobj=_ForwardReader(file), mode="r:") as tar:  # type: ignore[call-overload]  # tarfile only reads it
        while (entry := tar.next()) is not None:
            if entry.size < 0:
                raise tarfile.ReadError("a member has a negative size")
            yield tar, entry
            tar.members.clear()  # keep no members in memory: there may be millions


class _ForwardReader:
    """A file that is read only forward and in small pieces, regardless of the sizes in its headers."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, to: int) -> int:
        if to < self._file.tell():
            raise tarfile.ReadError("a header leads backwards")
        return self._file.seek(to)


def _read_seal(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    source = tar.extractfile(entry) if entry.isreg() and entry.size <= _LONGEST_SEAL else None
    if source is None:
        raise tarfile.ReadError("its seal is not one")
    return source.read().decode("ascii")


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, seal: _Seal) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    # It is a plain file, so it has content. If that was cut off, reading it raises ReadError.
    source = cast("IO[bytes]", tar.extractfile(entry))
    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with source, os.fdopen(number, "wb") as out:
        while piece := source.read(_PIECE):
            seal.add(piece)
            out.write(piece)
    at = min(max(int(entry.mtime), 0), 1 << 40)
    os.utime(target, (at, at))
