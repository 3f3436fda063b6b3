"""The location in the settings of a feed: where its files are, by kind. It is checked here, and used in `feeds.locations`.

Nothing here opens it. Whether the installation allows a folder or an address is decided each time it is used.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from musterbook.config import outbound_requests
from musterbook.directory.agency import networks
from musterbook.directory.agency.feed_errors import Errors, show_value
from musterbook.directory.agency.table_reader import suggest_name
from musterbook.directory.agency.vocabularies import InvalidValue

KINDS = ("folder", "sftp", "https", "sent", "command")
"""The kinds of locations."""
WITH_FOLDERS = ("folder", "sftp")
"""The kinds that can have several files."""
SECRETS = {"sftp": ("password", "key", "passphrase"), "https": ("header",)}
"""Kind of location → the names of the secrets that it can have."""
HOST_PORT = 22
_SETTINGS = {
    "folder": ("path", "pattern"),
    "sftp": ("host", "port", "path", "pattern", "user"),
    "https": ("url", "header"),
    "sent": ("addresses",),
    "command": (),
}
_LONGEST, _LONGEST_PATH, _LONGEST_URL = 255, 1000, 2000
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,62}(?<!-))(?:\.[a-z0-9](?:[a-z0-9-]{0,62}(?<!-)))*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OURS = frozenset(
    (
        "accept-encoding", "connection", "content-length", "expect", "host", "if-modified-since", "if-none-match",
        "proxy-authorization", "proxy-connection", "range", "te", "trailer", "transfer-encoding", "upgrade", "via",
    )
)  # fmt: skip
"""Headers that carry no secret, because the connection or our own request sets them."""
MASK = "…"
"""What is shown in place of a secret."""
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_PARAMETER = re.compile(r"([?&;]([^=&;#?]+)=)[^&;#]+")
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[-_.])(?:token|secret|pass|passwd|password|passphrase|pwd|auth|authorization|credential|credentials|sig"
    r"|signature|bearer|jwt)$|(?:^|[-_.]|api|access|auth|private|subscription)key$|(?:access|auth|api)(?:token|secret)$"
)
"""The names of parameters whose value is a secret: `token`, `api_key`, `X-Amz-Signature`."""
_EXAMPLE = 'location = { kind = "folder", path = "hr", pattern = "*.csv" }'


def parse_location(value: object, errors: Errors) -> dict[str, Any]:
    """Return the location as it is stored: its kind, and each setting of this kind. Add all errors."""
    table = errors.read_table(value, 10)
    kind = table.get("kind")
    if kind not in KINDS:
        text = _("%(value)s is not a kind of location. Write one of these: %(kinds)s. For example: %(example)s.")
        kinds = ", ".join(KINDS)
        errors.add(text % {"value": show_value(kind or ""), "kinds": kinds, "example": _EXAMPLE})
        return {}
    known = _SETTINGS[kind]
    for name in table:
        if name not in ("kind", *known):
            unknown = _("A location of the kind %(kind)s has no setting “%(name)s”. %(what)s")
            what = suggest_name(name[:_LONGEST], ("kind", *known))
            errors.add(unknown % {"kind": kind, "name": name[:_LONGEST], "what": what})
    read = {name: _PARSERS[kind, name](table.get(name, ""), errors.at(f"location.{name}")) for name in known}
    return {"kind": kind} | {name: value for name, value in read.items() if value or name != "addresses"}


def get_target(location: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what receives the secrets of a location: another target must not get them."""
    if location.get("kind") == "https":
        target = outbound_requests.parse_url(location["url"])
        return "https", target and target.origin
    return location.get("kind"), location.get("host"), location.get("port")


def _parse_folder(value: object, errors: Errors) -> str:
    """Return the path of a folder below the folders of the agency, "" for the top."""
    text = errors.read_text(value, _LONGEST_PATH)
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or text.startswith("~"):
        wrong = _(
            "%(value)s is not below the agency's folder. Write a path without a slash at its beginning, such as hr."
        )
        errors.add(wrong % {"value": show_value(text)})
    return "" if str(path) == "." else str(path)


def _parse_path(value: object, errors: Errors) -> str:
    """Return the path of a folder on another machine."""
    text = errors.read_text(value, _LONGEST_PATH)
    if ".." in PurePosixPath(text).parts:
        errors.add(_("%(value)s has “..” in it. Write the path without it.") % {"value": show_value(text)})
    return text or "."


def _parse_pattern(value: object, errors: Errors) -> str:
    """Return the pattern of names of files: any file if there is none."""
    text = errors.read_text(value, _LONGEST)
    if "/" in text or "\\" in text:
        wrong = _("%(value)s has a slash in it. Write a pattern of names, such as *.csv, and the folder as path.")
        errors.add(wrong % {"value": show_value(text)})
    return text or "*"


def _parse_host(value: object, errors: Errors) -> str:
    text = errors.read_text(value, _LONGEST).lower()
    if not _HOST.fullmatch(text) and not _is_address(text):
        wrong = _("%(value)s is not the name or address of a server. Write it like sftp.example.org.")
        errors.add(wrong % {"value": show_value(text)})
    return text


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _parse_port(value: object, errors: Errors) -> int:
    return HOST_PORT if value == "" else errors.read_number(value, 1, 65_535)


def _parse_user(value: object, errors: Errors) -> str:
    text = errors.read_text(value, _LONGEST)
    if not text:
        errors.add(_("This is missing. Write the name with which to sign in at the server."))
    return text


def _parse_url(value: object, errors: Errors) -> str:
    text = errors.read_text(value, _LONGEST_URL)
    if MASK in text or mask_url(text) != text:
        wrong = _(
            "This address has a secret in it, which everyone who sees the feed could read. Write the address without it, "
            "write the name of a header, such as Authorization, and set the secret as that of the feed."
        )
        errors.add(wrong)
        return ""
    address = outbound_requests.parse_url(text)
    if address is None or (
        address.scheme == "http"
        and not (outbound_requests.allows_http() and address.host in outbound_requests.THIS_MACHINE)
    ):
        wrong = _("%(value)s is not an address of a file that begins with https://. It has no user and no #.")
        errors.add(wrong % {"value": show_value(text)})
    return text


def mask_url(url: str) -> str:
    """Return the address with every secret in it replaced: a user with a password, or a parameter such as `token`."""
    plain = _USER.sub(rf"\g<1>{MASK}@", url)
    return _PARAMETER.sub(lambda found: f"{found[1]}{MASK}" if _SECRET_NAME.search(found[2]) else found[0], plain)


def _parse_header(value: object, errors: Errors) -> str:
    """Return the name of the header that has the secret, "" for none."""
    text = errors.read_text(value, _LONGEST)
    if text and (not _HEADER.fullmatch(text) or text.lower() in _OURS):
        wrong = _("%(value)s cannot be the header with the secret. Write its name, such as Authorization.")
        errors.add(wrong % {"value": show_value(text)})
    return text


def _parse_addresses(value: object, errors: Errors) -> str:
    """Return the networks that may use the token of the feed, separated by commas, "" for all."""
    text = errors.read_text(value, _LONGEST_URL)
    try:
        return ", ".join(networks.check_networks(text.replace(",", " ").split()))
    except InvalidValue as error:
        errors.add(error.sentence)
        return ""


_PARSERS: dict[tuple[str, str], Callable[[object, Errors], Any]] = {
    ("folder", "path"): _parse_folder,
    ("folder", "pattern"): _parse_pattern,
    ("sftp", "host"): _parse_host,
    ("sftp", "port"): _parse_port,
    ("sftp", "path"): _parse_path,
    ("sftp", "pattern"): _parse_pattern,
    ("sftp", "user"): _parse_user,
    ("https", "url"): _parse_url,
    ("https", "header"): _parse_header,
    ("sent", "addresses"): _parse_addresses,
}
