"""The files of secret keys in MUSTER_HOME: a new current key, and old ones added or removed. No step can lose a key."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from musterbook.config import environment, home, secret_keys


class KeyInEnvironment(Exception):
    """The key comes from the environment, so it can only be changed there; the message says which key and how."""


class UnknownKey(Exception):
    """No old key of the file has that name."""


def replace_key(at: datetime, *, compromised: bool) -> secret_keys.Key:
    """Make a new current key and keep the one before for reading. Raises KeyInEnvironment.

    `compromised`: no signature of any old key is accepted from now on.
    """
    path = secret_keys.find_key_file()
    if path is None:
        raise KeyInEnvironment(_explain_source())
    with _lock_files(path.parent):
        # The old key is safe in its file before the new one takes its place: a process that ends in between loses none.
        use = secret_keys.READS if compromised else secret_keys.SIGNS
        lines = [f"{secret_keys.get_current()}\t{at.isoformat()}\t{use}"]
        lines += [
            _demote_line(line) if compromised else line
            for line in _read_lines()
            if _parse_secret(line) != secret_keys.get_current()
        ]
        home.write_private(path.with_name(secret_keys.OLD_FILE), "".join(f"{line}\n" for line in lines))
        home.write_private(path, secrets.token_urlsafe(48))
    return secret_keys.ring()[0]


def _explain_source() -> str:
    source = secret_keys.ring()[0].source
    return (
        f"The secret key comes from {source}, so change it there:\n"
        f"1. Make a new key: {secret_keys.NEW_KEY}\n"
        "2. Stop all processes. Put the old key into MUSTER_OLD_SECRET_KEYS and the new one in its place.\n"
        "3. Start them again, and run `muster keys reseal`."
    )


def remove_key(name: str) -> None:
    """Remove an old key from the file. Raises UnknownKey."""
    folder = environment.home()
    with _lock_files(folder):
        lines = _read_lines()
        remaining = [line for line in lines if secret_keys.Key(_parse_secret(line), "").name != name]
        if remaining == lines:
            raise UnknownKey(name)
        home.write_private(folder / secret_keys.OLD_FILE, "".join(f"{line}\n" for line in remaining))


def _read_lines() -> list[str]:
    secret_keys.read_kept_old()  # raises for a file that cannot be read, which must not be written over
    path = environment.home() / secret_keys.OLD_FILE
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.exists() else []


def _parse_secret(line: str) -> str:
    return line.strip().partition("\t")[0]


def _demote_line(line: str) -> str:
    secret, *fields = line.strip().split("\t")
    return "\t".join([secret, *fields[:1], secret_keys.READS] if fields else [secret])


@contextmanager
def _lock_files(folder: Path) -> Iterator[None]:
    """Of several processes that change the files, one does it, and the others wait."""
    number = os.open(home.prepare_folder(folder) / ".rotating", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
