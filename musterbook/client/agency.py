"""The agency of a token: where its resources are, and how requests reach it."""

import ipaddress
import os
import platform
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import httpx2

from musterbook import __version__
from musterbook.client.calls import Steps
from musterbook.client.described import routes
from musterbook.client.described.answers import Me
from musterbook.client.exchanging import Patience
from musterbook.client.operations import Operation, Resource, S
from musterbook.client.resources.connections import Tokens, Webhooks
from musterbook.client.resources.feeds import Feeds
from musterbook.client.resources.imports import Files, Imports
from musterbook.client.resources.oversight import Audit, Settings
from musterbook.client.resources.users import Users
from musterbook.client.resources.vocabularies import Groups, Ranks, Roles
from musterbook.client.sessions import AsyncSession, SyncSession

ADDRESS, TOKEN, TOKEN_FILE = "MUSTERBOOK_AGENCY", "MUSTERBOOK_TOKEN", "MUSTERBOOK_TOKEN_FILE"
"""The environment variables of a program: the address of the agency, and its token or the file that has it."""
_CONNECTING = 10


class _Resources(Resource[S]):
    """The resources of an agency."""

    def __init__(self, session: S) -> None:
        super().__init__(session)
        self.imports = Imports(session)
        self.users = Users(session)
        self.roles = Roles(session)
        self.ranks = Ranks(session)
        self.groups = Groups(session)
        self.tokens = Tokens(session)
        self.webhooks = Webhooks(session)
        self.files = Files(session)
        self.feeds = Feeds(session)
        self.audit = Audit(session)
        self.settings = Settings(session)

    @Operation
    def me(self) -> Steps[Me]:
        """Return the token that is used: its agency, its creator and its permissions. It is a good first request."""
        return self._ask(routes.READ_ME)


class Agency(_Resources[SyncSession]):
    """An agency, for a program that waits for each result: `with Agency(address, token) as agency:`.

    `address`: such as https://muster.example.org/springfield-pd. Without https, it must be of this computer, unless
    `allow_http` is true. `token`: that of the agency, or of one feed. `timeout`: the most seconds without an answer
    of the server. `attempts`: how often a request is sent, if it fails in a way that may pass, and may be repeated.
    `program`: the name of your program, for the audit trail. `transport`: another transport of httpx2, for tests.
    """

    def __init__(
        self, address: str, token: str, *, timeout: float = 120, attempts: int = 4, program: str = "",
        allow_http: bool = False, transport: httpx2.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        base, options = _make_options(address, token, timeout, program, allow_http=allow_http)
        super().__init__(SyncSession(base, Patience(attempts), httpx2.Client(transport=transport, **options)))

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Return the agency that the environment names: MUSTERBOOK_AGENCY is its address, MUSTERBOOK_TOKEN the token.

        MUSTERBOOK_TOKEN_FILE is a file that has the token. `options`: as of the class. Raise ValueError without them.
        """
        return cls(*_read_environment(), **options)

    def close(self) -> None:
        """Close the connections."""
        self._session.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAgency(_Resources[AsyncSession]):
    """An agency whose results are awaited: `async with AsyncAgency(address, token) as agency:`.

    It has the resources and methods of Agency. Lists are for `async for`, and files are opened by `async with`.
    """

    def __init__(
        self, address: str, token: str, *, timeout: float = 120, attempts: int = 4, program: str = "",
        allow_http: bool = False, transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        base, options = _make_options(address, token, timeout, program, allow_http=allow_http)
        super().__init__(AsyncSession(base, Patience(attempts), httpx2.AsyncClient(transport=transport, **options)))

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Return the agency that the environment names: MUSTERBOOK_AGENCY is its address, MUSTERBOOK_TOKEN the token.

        MUSTERBOOK_TOKEN_FILE is a file that has the token. `options`: as of the class. Raise ValueError without them.
        """
        return cls(*_read_environment(), **options)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _read_environment() -> tuple[str, str]:
    """Return the address and the token that the environment has. Raise ValueError."""
    address, token, file = (os.environ.get(name, "") for name in (ADDRESS, TOKEN, TOKEN_FILE))
    if not address or not (token or file):
        raise ValueError(f"Set {ADDRESS} to the address of the agency, and {TOKEN} or {TOKEN_FILE}.")
    return address, token or Path(file).read_text(encoding="utf-8")


def _make_options(
    address: str, token: str, timeout: float, program: str, *, allow_http: bool
) -> tuple[str, dict[str, Any]]:
    """Return the address of the API, and the options of an httpx2 client. Raise ValueError."""
    base = _read_address(address, allow_http=allow_http)
    secret = token.strip()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValueError("This is not a token.")
    return base, {
        "headers": make_headers(secret, program),
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, _CONNECTING)),
        "follow_redirects": False,  # a token is sent to no other address
        "trust_env": base.startswith("https:"),  # a proxy would read what is not encrypted
    }


def make_headers(token: str, program: str = "") -> dict[str, str]:
    """Return the headers of each request: the token, and which program sends it."""
    agent = f"musterbook-client/{__version__} Python/{platform.python_version()}"
    return {"Authorization": f"Bearer {token}", "User-Agent": f"{program} {agent}".strip()}


def _read_address(address: str, *, allow_http: bool) -> str:
    """Return the address of the API of an agency. Raise ValueError."""
    try:
        parts = urlsplit(address.strip())
        parts.port  # noqa: B018  (this checks it)
    except ValueError as error:
        raise ValueError(f"{address!r} is not the address of an agency: {error}.") from None
    path = parts.path.rstrip("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not path or parts.query or parts.fragment:
        raise ValueError(
            f"{address!r} is not the address of an agency. Use one such as https://muster.example.org/springfield-pd."
        )
    if "@" in parts.netloc:
        raise ValueError("Leave the name and the password out of the address. The token alone gives access.")
    if parts.scheme == "http" and not allow_http and not _is_own(parts):
        raise ValueError("The token would be sent unencrypted. Use an address with https, or allow_http=True.")
    return f"{parts.scheme}://{parts.netloc}{path}/api/v1"


def _is_own(parts: SplitResult) -> bool:
    """Return whether the address is of this computer."""
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
