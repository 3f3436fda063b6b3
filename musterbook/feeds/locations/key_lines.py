"""Host keys of SFTP servers as text: lines of `known_hosts`, and fingerprints."""

from itertools import pairwise

import asyncssh
from django.utils.translation import gettext as _

from musterbook.feeds.locations.location import NotSetUp

_LONGEST = 20_000


def write(host: str, port: int, key: asyncssh.SSHKey) -> str:
    """Return the key of a server as a line of `known_hosts`."""
    name = host if port == 22 else f"[{host}]:{port}"
    kind, data = key.export_public_key("openssh").decode("ascii").split()[:2]
    return f"{name} {kind} {data}"


def parse(line: str) -> asyncssh.SSHKey:
    """Return the key of a line of `known_hosts`, or of a file of a public key. Raise NotAllowed."""
    words = line.split() if len(line) <= _LONGEST and line.isprintable() else []
    for kind, data in pairwise(words):
        if data.startswith("AAAA"):
            try:
                return asyncssh.import_public_key(f"{kind} {data}")
            except (asyncssh.KeyImportError, ValueError):
                break
    raise NotSetUp(_("The host key of the server must be accepted first."))


def describe(key: asyncssh.SSHKey) -> str:
    """Return the kind of the key and its fingerprint, as `ssh-keygen -l` shows it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"
