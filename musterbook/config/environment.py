"""The settings from outside: every environment variable, its default, and its meaning."""

import os
import re
import sys
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, its default as an operator would write it, and its purpose."""

    name: str
    default: str
    about: str


VARIABLES = (
    Variable("MUSTER_HOME", "", "The folder of the embedded database and kept files; by default in the user's data folder."),
    Variable("DATABASE_URL", "", "The PostgreSQL database, such as postgres://…; by default SQLite in MUSTER_HOME."),
    Variable("MUSTER_SECRET_KEY", "", "The secret key, which signs and seals data; by default a file in MUSTER_HOME."),
    Variable("MUSTER_SECRET_KEY_FILE", "", "A file that contains the secret key instead, as secret stores provide it."),
    Variable("MUSTER_OLD_SECRET_KEYS", "", "Old secret keys, which still open the data that they sealed; separated by commas."),
    Variable("MUSTER_BACKUP_PASSPHRASE", "", "The passphrase that encrypts backups; --recipient takes precedence."),
    Variable("MUSTER_URL", "http://localhost:8000", "The address of the pages. Links in emails begin with it."),
    Variable("MUSTER_PROXIES", "0", "The number of trusted proxies in front of Musterbook that name the client's address."),
    Variable("MUSTER_OUTSIDE_HOSTS", "", "Hosts for outgoing requests, such as login.example.org *.example.com; by default all."),
    Variable("MUSTER_OUTSIDE_NETWORKS", "", "Internal networks for outgoing requests, such as 10.20.0.0/16; by default none."),
    Variable("MUSTER_OUTSIDE_PROXY", "", "The proxy for these requests, such as http://proxy.example.org:3128; by default none."),
    Variable("MUSTER_FEED_FOLDERS", "", "Folders with a subfolder for each agency, by commas; by default MUSTER_HOME/feeds."),
    Variable("MUSTER_SMTP_URL", "", "The mail server, such as smtp+starttls://user:password@host; by default emails are files."),
    Variable("MUSTER_MAIL_FROM", "Musterbook <musterbook@localhost>", "The sender of emails."),
    Variable("MUSTER_ANCHOR_MAIL", "", "The address that gets the heads of the audit trails daily, for later checks."),
    Variable("MUSTER_MAILS_PER_MINUTE", "600", "Maximum number of emails sent in a minute."),
    Variable("MUSTER_REFUSED_PASSWORDS", "", "A sorted file of passwords that nobody can choose, such as breached ones."),
    Variable("MUSTER_ALERTS_TO", "", "Email addresses that get errors, separated by commas; by default none."),
    Variable("MUSTER_LOG_FORMAT", "text", "The format of the log on standard error and for syslog: text, or json."),
    Variable("MUSTER_METRICS_TOKEN", "", "The token with which a monitoring server reads /metrics; by default nobody reads it."),
    Variable("MUSTER_METRICS_LISTEN", "", "An address only for /metrics, such as 127.0.0.1:9464; by default none."),
    Variable("MUSTER_READY_WORKER", "auto", "Whether /readyz needs a worker: yes, no, or auto (if `muster serve` starts one)."),
    Variable("MUSTER_DRAIN_SECONDS", "0", "Seconds for which a stopping server still answers while /readyz says 503."),
    Variable("MUSTER_STOP_SECONDS", "20", "Seconds for a stopping server and worker to finish their current work."),
    Variable("MUSTER_SYSLOG", "", "An additional destination of the log, such as udp://host:514 or /dev/log; by default none."),
    Variable("MUSTER_MAX_FILE_MB", "512", "Maximum size of a file that an import reads, in megabytes."),
    Variable("MUSTER_MAX_ROWS", "5000000", "Maximum number of rows in a file, without the header."),
    Variable("MUSTER_MAX_CELL_CHARACTERS", "10000", "Maximum number of characters in a cell of a file."),
    Variable("MUSTER_KEEP_MAILS_DAYS", "30", "Days for which an email is kept after it was sent or written to a file."),
    Variable("MUSTER_KEEP_FILES_DAYS", "90", "Days for which an imported file is kept; after that, only its hash is kept."),
    Variable("MUSTER_USER_FILES", "5000", "Maximum number of imported and previewed files that are kept for a user."),
    Variable("MUSTER_USER_FILES_MB", "20000", "Maximum megabytes of such files that are kept for a user."),
    Variable("MUSTER_AGENCY_FILES", "20000", "Maximum number of imported and previewed files that are kept for an agency."),
    Variable("MUSTER_AGENCY_FILES_MB", "100000", "Maximum megabytes of such files that are kept for an agency."),
    Variable("MUSTER_USER_WAITING_MB", "2048", "Maximum megabytes that a user sends at a time, or that wait for a sign-in."),
    Variable("MUSTER_AGENCY_WAITING_MB", "8192", "Maximum megabytes that an agency's users send at a time, or that wait."),
    Variable("MUSTER_CLIENT_SECONDS", "30", "Seconds for a client to send a form or its next part; slower clients are cut off."),
    Variable("MUSTER_SCAN_COMMAND", "", "A virus scanner. It gets each file on standard input before Musterbook reads it."),
)  # fmt: skip
"""Every variable that Musterbook reads, in the order of the reference."""

_DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


def text(name: str) -> str:
    """Return the value of one of VARIABLES, or its default if it is unset or blank."""
    return os.environ.get(name, "").strip() or _DEFAULTS[name]


def number(name: str) -> int:
    """Return the value of one of VARIABLES as a whole number above zero.

    Raise ImproperlyConfigured for any other value.
    """
    value = text(name)
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        message = f"{name} is “{value}”, which is not a whole number above zero. Write it in digits, or leave it unset."
        raise ImproperlyConfigured(message)
    return int(value)


def count(name: str) -> int:
    """Return the value of one of VARIABLES as a whole number of at least zero.

    Raise ImproperlyConfigured for any other value.
    """
    return 0 if text(name) == "0" else number(name)


def choice(name: str, choices: tuple[str, ...]) -> str:
    """Return the value of one of VARIABLES as one of the choices, in any case.

    Raise ImproperlyConfigured for any other value.
    """
    value = text(name).lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is “{text(name)}”. Write one of these: {', '.join(choices)}.")
    return value


_SHORTEST_TOKEN = 24
"""The fewest characters of a token. Nobody can guess so many random characters."""


def token(name: str) -> str:
    """Return the value of one of VARIABLES as a token, "" if it is unset.

    Raise ImproperlyConfigured for one that is too short. The message does not contain the token.
    """
    value = text(name)
    if value and (len(value) < _SHORTEST_TOKEN or not value.isascii() or " " in value):
        raise ImproperlyConfigured(
            f"{name} must have at least {_SHORTEST_TOKEN} characters, all of them letters, digits or signs. "
            "Make one with: openssl rand -hex 32"
        )
    return value


def listen_address(name: str) -> tuple[str, int] | None:
    """Return the value of one of VARIABLES as an address to listen on and a port, None if it is unset.

    Raise ImproperlyConfigured for any other value.
    """
    value = text(name)
    if not value:
        return None
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise ImproperlyConfigured(f"{name} is “{value}”. Write an IP address and a port, such as 127.0.0.1:9464.")
    return host, number


def mailboxes(name: str) -> list[str]:
    """Return the value of one of VARIABLES as a list of email addresses.

    Raise ImproperlyConfigured for any other value.
    """
    addresses = [mailbox.strip() for mailbox in text(name).split(",") if mailbox.strip()]
    for mailbox in addresses:
        if not _MAILBOX.fullmatch(mailbox):
            raise ImproperlyConfigured(
                f"{name} has “{mailbox}”, which is not an email address. Write it as ops@example.org."
            )
    return addresses


_MAILBOX = re.compile(r"[^@\s,]+@[^@\s,]+")


def address(name: str) -> str:
    """Return the value of one of VARIABLES as the beginning of a URL, without a slash at its end.

    Raise ImproperlyConfigured for any other value.
    """
    value = text(name).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.fragment:
        message = (
            f"{name} is “{value}”, which is not a web address. Write it as https://muster.example.org, without a path."
        )
        raise ImproperlyConfigured(message)
    return value


def host(url: str) -> str:
    """Return the host of a URL as a request names it: an IPv6 address has brackets."""
    hostname = urlsplit(url).hostname or ""
    return f"[{hostname}]" if ":" in hostname else hostname


def file(name: str) -> Path | None:
    """Return the path of the file that one of VARIABLES names, or None if it is unset."""
    value = text(name)
    return Path(value).expanduser().absolute() if value else None


def folders(name: str) -> tuple[Path, ...]:
    """Return the paths of the folders that one of VARIABLES names, separated by commas.

    Raise ImproperlyConfigured for a path that does not begin at the top.
    """
    paths = tuple(Path(path.strip()).expanduser() for path in text(name).split(",") if path.strip())
    for path in paths:
        if not path.is_absolute():
            raise ImproperlyConfigured(
                f"{name} has “{path}”, which is not a whole path. Write it as /srv/muster/feeds."
            )
    return paths


def hosts(name: str) -> tuple[str, ...]:
    """Return the value of one of VARIABLES as host names, or as patterns for all hosts of a domain (*.example.org).

    Raise ImproperlyConfigured for any other value.
    """
    names = tuple(text(name).lower().replace(",", " ").split())
    for host in names:
        if not re.fullmatch(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", host):
            raise ImproperlyConfigured(f"{name}: “{host}” is not a host name. Write it as login.example.org.")
    return names


def networks(name: str) -> tuple[Network, ...]:
    """Return the value of one of VARIABLES as networks, such as 10.20.0.0/16 or 127.0.0.1.

    Raise ImproperlyConfigured for any other value.
    """
    try:
        return tuple(ip_network(network) for network in text(name).replace(",", " ").split())
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Write networks as 10.20.0.0/16.") from None


def home() -> Path:
    """Return the folder of MUSTER_HOME, or else one in the user's data folder of the platform.

    The folder need not exist.
    """
    folder = text("MUSTER_HOME")
    return Path(folder).expanduser().absolute() if folder else _data_folder() / "musterbook"


def _data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    # The XDG base directory specification requires that a relative XDG_DATA_HOME is ignored.
    folder = os.environ.get("XDG_DATA_HOME", "")
    return Path(folder) if folder.startswith("/") else Path.home() / ".local" / "share"
