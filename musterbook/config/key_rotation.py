"""The files of secret keys in MUSTER_HOME: a new current key, and old ones added or removed. No step can lose a key."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from musterbook.config import environment, home, secret_keys


class KeptElsewhere(Exception):
    """The key comes from the environment, so it can only be changed there; the message says which key and how."""


class UnknownKey(Exception):
    """No old key of the file has that name."""


def replace(at: datetime, *, compromised: bool) -> secret_keys.Key:
    """Make a new current key and keep the one before for reading. Raises KeptElsewhere.

    `compromised`: no signature of any old key is accepted from now on.
    """
    path = secret_keys.place()
    if path is None:
        raise KeptElsewhere(_elsewhere())
    with _alone(path.parent):
        # The old key is safe in its file before the new one takes its place: a process that ends in between loses none.
        use = secret_keys.READS if compromised else secret_keys.SIGNS
        lines = [f"{secret_keys.current()}\t{at.isoformat()}\t{use}"]
        lines += [
            _demoted(line) if compromised else line for line in _lines() if _secret(line) != secret_keys.current()
        ]
        home.write(path.with_name(secret_keys.OLD_FILE), "".join(f"{line}\n" for line in lines))
        home.write(path, secrets.token_urlsafe(48))
    return secret_keys.ring()[0]


def _elsewhere() -> str:
    source = secret_keys.ring()[0].source
    return (
        f"The secret key comes from {source}, so change it there:\n"
        f"1. Make a new key: {secret_keys.NEW_KEY}\n"
        "2. Stop all processes. Put the old key into MUSTER_OLD_SECRET_KEYS and the new one in its place.\n"
        "3. Start them again, and run `muster keys reseal`."
    )


def forget(name: str) -> None:
    """Remove an old key from the file. Raises UnknownKey."""
    folder = environment.home()
    with _alone(folder):
        lines = _lines()
        kept = [line for line in lines if secret_keys.Key(_secret(line), "").name != name]
        if kept == lines:
            raise UnknownKey(name)
        home.write(folder / secret_keys.OLD_FILE, "".join(f"{line}\n" for line in kept))


def _lines() -> list[str]:
    secret_keys.kept_old()  # raises for a file that cannot be read, which must not be written over
    path = environment.home() / secret_keys.OLD_FILE
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.exists() else []


def _secret(line: str) -> str:
    return line.strip().partition("\t")[0]


def _demoted(line: str) -> str:
    secret, *told = line.strip().split("\t")
    return "\t".join([secret, *told[:1], secret_keys.READS] if told else [secret])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several processes that change the files, one does it, and the others wait."""
    number = os.open(home.prepare(folder) / ".rotating", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
