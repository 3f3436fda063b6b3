"""The secrets of a feed's location, and the host key of its server: what can be one, and how a host key is compared."""

import base64
import binascii
import hashlib
import re

from django.utils.translation import gettext as _

from musterbook.directory.agency import feed_locations
from musterbook.directory.agency.setting_values import ILLEGAL
from musterbook.directory.agency.vocabularies import InvalidValue

_LONGEST = {"password": 1000, "passphrase": 1000, "header": 4000, "key": 20_000}
_KEY = re.compile(r"-----BEGIN (?P<kind>[A-Z0-9 ]*PRIVATE KEY)-----\n[\x20-\x7e\n]+\n-----END (?P=kind)-----")
_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_HOST_KEY = re.compile(
    r"(?:\S{1,300} )?(?P<kind>[a-z0-9@.-]{1,64}) (?P<blob>[A-Za-z0-9+/]{16,3000}={0,2})(?: [\x21-\x7e]{1,255})?"
)


def check(kind: str, name: str, text: str) -> str:
    """Return a secret as it is sealed, for a location of this kind. "" removes the secret. Raise InvalidValue."""
    known = feed_locations.SECRETS.get(kind, ())
    if not known:
        raise InvalidValue(name, _("A location of this kind has no secret."))
    if name not in known:
        raise InvalidValue(
            name, _("A location of this kind can have these secrets: %(names)s.") % {"names": ", ".join(known)}
        )
    # A file ends with a line break, which is no part of the secret.
    secret = (
        text.replace("\r\n", "\n").strip() if name in {"key", "header"} else text.removesuffix("\n").removesuffix("\r")
    )
    if len(secret) > _LONGEST[name]:
        text = _("Shorten this to %(most)s characters. It has %(number)s.")
        raise InvalidValue(name, text % {"most": f"{_LONGEST[name]:,}", "number": f"{len(secret):,}"})
    if not secret:
        return ""
    if name == "key" and not _KEY.fullmatch(secret):
        raise InvalidValue(
            name,
            _(
                "This is not a private key. Give the whole file, from -----BEGIN to -----END, such as one that ssh-keygen makes."
            ),
        )
    if name == "header" and not _HEADER.fullmatch(secret):
        raise InvalidValue(name, _("A header has one line of plain letters, digits and signs. Enter it again."))
    if name in {"password", "passphrase"} and ILLEGAL.search(secret):
        raise InvalidValue(name, _("This contains a line break or another control character. Enter it again."))
    return secret


def check_host_key(text: str) -> str:
    """Return a host key as it is pinned: one line as `known_hosts` or `ssh-keyscan` has it. Raise InvalidValue."""
    line = text.strip()
    if _read_blob(line) is None:
        raise InvalidValue("host_key", _("This is not a host key. Write it like ssh-ed25519 AAAA…"))
    return line


def get_fingerprint(key: str) -> str:
    """Return the fingerprint of a host key as `ssh-keygen -l` shows it: SHA256:…; "" for what is not a key."""
    blob = _read_blob(key.strip())
    return "" if blob is None else f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def _read_blob(line: str) -> bytes | None:
    """Return the key of a line, if the kind that it names is the one in its key."""
    match = _HOST_KEY.fullmatch(line)
    try:
        blob = base64.b64decode(match["blob"], validate=True) if match else b""
    except binascii.Error:
        return None
    length = int.from_bytes(blob[:4], "big")
    return blob if match and blob[4 : 4 + length] == match["kind"].encode() and len(blob) > 4 + length else None
