"""Encrypted backups in the format of age (age-encryption.org/v1), written and read as a stream.

For recipients, a backup is one age file. For a passphrase, it is a tar file with two members: `key.age`, a key that the
passphrase encrypts, and `backup.age`, which that key encrypts. Both kinds can be opened without Musterbook, with `tar`
and `age`.
"""

import errno
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import pyrage
from django.utils.translation import gettext as _
from pyrage import passphrase, x25519

SHORTEST = 16
"""The minimum length of a passphrase, in characters."""

_AGE = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
_KEY, _BACKUP = "key.age", "backup.age"
_BUFFER = 1 << 20
_MOST_KEY = 1 << 16


class CannotUse(Exception):
    """A recipient, an identity or a passphrase cannot be used. The message has the reason, and never shows a secret."""


class CannotOpen(Exception):
    """The backup cannot be decrypted. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The encryption of a backup: the holders of the recipients' identities, or of the passphrase, can open it."""

    recipients: tuple[Any, ...] = ()
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Opener:
    """The secret that opens a backup: identities, or the passphrase."""

    identities: tuple[Any, ...] = field(default=(), repr=False)
    passphrase: str = field(default="", repr=False)


def parse_recipient(text: str) -> Any:
    """Return a recipient from its text, as `age-keygen` prints it. Raise CannotUse."""
    if not text.strip().lower().startswith("age1"):
        # The text may be the identity, given by mistake, so the message does not repeat it.
        raise CannotUse(
            _("A recipient begins with age1. `age-keygen -o FILE` creates an identity and prints its recipient.")
        )
    try:
        return x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise CannotUse(
            _("“%(text)s” is not an age recipient. Copy it again; it begins with age1.") % {"text": text}
        ) from None


def parse_identities(text: str) -> tuple[Any, ...]:
    """Return the identities from the text of a file that `age-keygen` wrote. Raise CannotUse."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        keys = tuple(x25519.Identity.from_str(line) for line in lines)
    except pyrage.IdentityError:
        keys = ()
    if not keys:
        raise CannotUse(
            _("The identity file has no line that begins with AGE-SECRET-KEY-. Create one with `age-keygen`.")
        )
    return keys


def is_encrypted(path: Path) -> bool:
    """Return whether the file is an encrypted backup."""
    beginning = _read_beginning(path)
    return beginning.startswith(_AGE) or _has_passphrase(beginning)


def _read_beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _has_passphrase(beginning: bytes) -> bool:
    return beginning.startswith(f"{_KEY}\0".encode())


@contextmanager
def encrypting(file: BinaryIO, lock: Lock) -> Iterator[BinaryIO]:
    """Yield a file whose content is written encrypted to `file`. Raise OSError if that cannot be written."""
    if lock.recipients:
        with _open_stream(file, lock.recipients) as into:
            yield into
        return
    identity = x25519.Identity.generate()
    key = passphrase.encrypt(str(identity).encode(), lock.passphrase)
    file.write(_build_header(_KEY, len(key)) + key + bytes(-len(key) % tarfile.BLOCKSIZE))
    start = file.tell()
    file.write(bytes(tarfile.BLOCKSIZE))
    with _open_stream(file, (identity.to_public(),)) as into:
        yield into
    size = file.tell() - start - tarfile.BLOCKSIZE
    file.write(bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
    file.seek(start)
    file.write(_build_header(_BACKUP, size))


def _build_header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.GNU_FORMAT)


@contextmanager
def _open_stream(file: BinaryIO, recipients: tuple[Any, ...]) -> Iterator[BinaryIO]:
    """Yield a file that encrypts to the recipients.

    The library reads its input, but a tar file is written. So a pipe and a thread connect them.
    """
    source, sink = os.pipe()
    failed: list[Exception] = []

    def encrypt() -> None:
        with os.fdopen(source, "rb", _BUFFER) as reading:
            try:
                pyrage.encrypt_io(reading, _Sink(file, failed), list(recipients))
            except (pyrage.EncryptError, OSError) as error:
                failed.append(error)

    thread = Thread(target=encrypt, name="encrypting")
    thread.start()
    try:
        with os.fdopen(sink, "wb", _BUFFER) as writing:
            yield writing
    except BrokenPipeError:
        pass  # the thread has ended, and recorded the error
    finally:
        thread.join()
    if failed:
        raise OSError(errno.EIO, str(failed[0]))


class _Sink:
    """A file that remembers a failed write, because the library does not report one for the last bytes."""

    def __init__(self, file: BinaryIO, failed: list[Exception]) -> None:
        self._file, self._failed = file, failed

    def write(self, content: bytes) -> int:
        """Write the bytes."""
        try:
            return self._file.write(content)
        except OSError as error:
            self._failed.append(error)
            raise

    def flush(self) -> None:
        """Write the remaining bytes."""
        self._file.flush()


def decrypt(path: Path, target: BinaryIO, opener: Opener) -> None:
    """Decrypt the backup into `target`.

    Raise CannotOpen for a backup that was changed or cut off, and for a wrong key.
    """
    beginning = _read_beginning(path)
    with path.open("rb", _BUFFER) as file:
        try:
            if _has_passphrase(beginning):
                _decrypt_by_passphrase(file, target, opener.passphrase)
            else:
                _decrypt(file, target, opener.identities)
        except (pyrage.DecryptError, pyrage.IdentityError, tarfile.TarError, OSError, UnicodeDecodeError) as error:
            raise CannotOpen(_describe_error(error, by_passphrase=_has_passphrase(beginning))) from None


def _describe_error(error: Exception, *, by_passphrase: bool) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"{error.strerror}"
    if "No matching keys" in str(error):
        return "it is encrypted for other recipients"
    if "xcessive work" in str(error):
        return "its passphrase takes more work than this machine can do now; try again when the machine is less busy"
    if "ecryption" not in str(error):
        return str(error)
    return "the passphrase is wrong, or it was changed or cut off" if by_passphrase else "it was changed or cut off"


def _decrypt(file: Any, target: BinaryIO, identities: tuple[Any, ...]) -> None:
    if not identities:
        raise CannotUse(_("The file is encrypted. Name the file of your age identity: --identity FILE."))
    pyrage.decrypt_io(file, target, list(identities))


def _decrypt_by_passphrase(file: BinaryIO, target: BinaryIO, secret: str) -> None:
    if not secret:
        raise CannotUse(
            _("The file is encrypted with a passphrase. Name the file of the passphrase: --passphrase-file FILE.")
        )
    key = file.read(_read_size(file, _KEY, _MOST_KEY))
    file.read(-len(key) % tarfile.BLOCKSIZE)
    identity = x25519.Identity.from_str(passphrase.decrypt(key, secret).decode())
    _decrypt(_FilePart(file, _read_size(file, _BACKUP)), target, (identity,))


def _read_size(file: BinaryIO, name: str, most: int | None = None) -> int:
    """Read the header of the member of that name. Return its size."""
    entry = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "strict")
    if entry.name != name or entry.size < 1 or (most and entry.size > most):
        raise tarfile.ReadError(f"it does not hold {name}")
    return entry.size


class _FilePart:
    """The next bytes of a file, up to a size, for reading."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        """Read at most that many bytes."""
        content = self._file.read(min(size, self._left))
        self._left -= len(content)
        return content
