"""The mail server that sends mails: the one that a URL names, or none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from django.core.mail.backends.smtp import EmailBackend

SECONDS = 30
"""The time in seconds that we wait for a mail server's response."""
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_EXPECTED = "Write it as smtp+starttls://user:password@host:587, smtps://… or smtp://…."


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server. `secure`: "" for no encryption, `starttls`, or `tls` from the start."""

    host: str
    port: int
    username: str
    password: str
    secure: str


def parse_url(url: str) -> MailServer | None:
    """Return the server of the URL, or None for "".

    Raise ImproperlyConfigured, without the password in its message.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"MUSTER_SMTP_URL cannot be read. {_EXPECTED}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ImproperlyConfigured(f"MUSTER_SMTP_URL is not the address of a mail server. {_EXPECTED}")
    return MailServer(
        parts.hostname, port or _PORTS[parts.scheme], unquote(parts.username or ""), unquote(parts.password or ""),
        {"smtp": "", "smtp+starttls": "starttls", "smtps": "tls"}[parts.scheme],
    )  # fmt: skip


def make_connection(server: MailServer) -> "EmailBackend":
    """Return a connection to the server that is not opened yet.

    With encryption, the server's certificate is verified.
    """
    from django.core.mail.backends.smtp import EmailBackend

    return EmailBackend(
        host=server.host, port=server.port, username=server.username, password=server.password,
        use_tls=server.secure == "starttls", use_ssl=server.secure == "tls", timeout=SECONDS,
    )  # fmt: skip
