"""Connections to SSH servers with asyncssh: to checked addresses, with modern algorithms, and with nothing of the user account.

No configuration, agent, key or list of known hosts of the account that runs Musterbook is used. Each step has a time limit.
"""

import asyncio
import getpass
import hmac
import os
import re
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import asyncssh
from django.utils.translation import gettext as _

from musterbook.config import outbound_connections
from musterbook.config.outbound_connections import TimeLimit
from musterbook.feeds.locations import key_lines
from musterbook.feeds.locations.location import HostKeyChanged, NotAllowed, NotSetUp, Unreachable

CONNECT_SECONDS = 20.0
"""The time limit of the lookup of the name and the connection, and that of the sign-in."""
_LONGEST_REASON = 200
_KEX = (
    "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
)  # fmt: skip
_KEY_ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
_ALGORITHMS: dict[str, Any] = {
    "kex_algs": _KEX,
    "encryption_algs": (
        "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr",
        "aes128-ctr",
    ),
    "mac_algs": (
        "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
    ),
    "signature_algs": _KEY_ALGORITHMS,
    # A compressed answer could be much larger than what is received.
    "compression_algs": ("none",),
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """An SSH server: the name or address of its host, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The name to sign in with, and what proves it. Secrets are not part of its text."""

    user: str
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)


class Session:
    """A connection to an SSH server, and the event loop that it runs in. Each call blocks until its step is done.

    The loop has a thread of its own, because the thread of the caller may have a loop already.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ssh")
        self._runner = asyncio.Runner()
        self._thread.submit(self._start).result()
        self._connection: asyncssh.SSHClientConnection | None = None

    def _start(self) -> None:
        # What goes wrong reaches the caller. A server must not be able to fill the log.
        self._runner.get_loop().set_exception_handler(lambda *_: None)

    def read_key(self) -> asyncssh.SSHKey:
        """Return the host key that the server shows. Raise LocationError."""
        sock = self._open_socket()
        get_key = asyncssh.get_server_host_key(
            self.server.host, self.server.port, sock=sock, config=None, client_version="Musterbook", kex_algs=_KEX,
            server_host_key_algs=_KEY_ALGORITHMS,
        )  # fmt: skip
        # Only methods of Kerberos, which are not allowed here, need no host key.
        return cast("asyncssh.SSHKey", self.run(get_key, CONNECT_SECONDS))

    def sign_in(self, pinned: str, credentials: Credentials) -> asyncssh.SFTPClient:
        """Connect, compare the host key with the pinned one, and sign in. Raise LocationError."""
        expected, keys = key_lines.parse(pinned), _load_key(credentials)
        sock = self._open_socket()
        client = _Client(expected)
        _name_account()
        try:
            return self.run(self._connect(sock, client, credentials, keys), CONNECT_SECONDS)
        except Unreachable:
            if client.other:
                raise HostKeyChanged(_describe_other_key(self.server, expected, client.other)) from None
            raise

    async def _connect(
        self, sock: Any, client: "_Client", credentials: Credentials, keys: list[asyncssh.SSHKey]
    ) -> asyncssh.SFTPClient:
        algorithms = sorted(_KEY_ALGORITHMS, key=lambda name: name not in client.list_algorithms())
        methods = ["publickey"] * bool(keys) + ["password", "keyboard-interactive"] * bool(credentials.password)
        self._connection = await asyncssh.connect(
            self.server.host, self.server.port, sock=sock, config=None, client_factory=lambda: client,
            # The lists must not be empty altogether: asyncssh would then read those of the account.
            known_hosts=([], [], []), server_host_key_algs=algorithms, username=credentials.user,
            password=credentials.password or None, client_keys=keys or None, preferred_auth=methods, agent_path=None,
            pkcs11_provider=None, gss_host=None, x509_trusted_certs=None, disable_trivial_auth=True, send_env=None,
            client_version="Musterbook", login_timeout=CONNECT_SECONDS, **_ALGORITHMS,
        )  # fmt: skip
        # Names are bytes here, because they need not be UTF-8.
        return await self._connection.start_sftp_client(path_encoding=None, sftp_version=3)

    def _open_socket(self) -> Any:
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        try:
            return outbound_connections.connect(host, self.server.port, TimeLimit.start(CONNECT_SECONDS))
        except outbound_connections.RequestRefused as error:
            raise NotAllowed(str(error)) from error
        except OSError as error:
            raise _make_unreachable(self.server, error) from error

    def run(self, step: Coroutine[Any, Any, T], seconds: float) -> T:
        """Return the result of the step. Errors of SFTP pass; all others are LocationError."""
        with _translate_errors(self.server, seconds):
            return self._thread.submit(self._runner.run, self._limit(step, seconds)).result()

    async def _limit(self, step: Coroutine[Any, Any, T], seconds: float) -> T:
        task = asyncio.ensure_future(step)
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        # A step that is canceled still closes what it opened, which waits for the server. So the connection ends first.
        if self._connection:
            self._connection.abort()
        task.cancel()
        await asyncio.wait({task}, timeout=1)
        raise TimeoutError

    def close(self) -> None:
        """End the connection without waiting for the server."""
        if self._connection:
            self._connection.abort()
            with suppress(Exception):
                self._thread.submit(self._runner.run, self._wait_closed()).result()
            self._connection = None
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _wait_closed(self) -> None:
        if self._connection:
            async with asyncio.timeout(1):
                await self._connection.wait_closed()


@contextmanager
def _translate_errors(server: Server, seconds: float) -> Iterator[None]:
    try:
        yield
    except asyncssh.PermissionDenied:
        text = _("%(server)s does not accept the user name, or the password or key.")
        raise Unreachable(text % {"server": server}) from None
    except asyncssh.KeyExchangeFailed:
        text = _("%(server)s has no modern way to encrypt the connection. Update the server.")
        raise Unreachable(text % {"server": server}) from None
    except TimeoutError as error:
        text = _("%(server)s did not answer within %(seconds)s seconds.")
        raise Unreachable(text % {"server": server, "seconds": f"{seconds:.0f}"}) from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPBadMessage) as error:
        raise _make_unreachable(server, error) from error
    except asyncssh.SFTPError:
        raise
    # A server can send anything, and asyncssh reads it. Such an answer must not end the worker.
    except (asyncssh.Error, OSError, ValueError, EOFError, AssertionError, TypeError, LookupError) as error:
        raise _make_unreachable(server, error) from error


class _Client(asyncssh.SSHClient):
    """Compares the host key that a server shows with the pinned one."""

    def __init__(self, expected: asyncssh.SSHKey) -> None:
        self._expected = expected
        self.other: asyncssh.SSHKey | None = None

    def list_algorithms(self) -> set[str]:
        """Return the algorithms of the pinned key: the server should show a key of this kind."""
        return {name.decode() for name in self._expected.sig_algorithms}

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Return whether the key is the pinned one."""
        del host, addr, port
        if hmac.compare_digest(key.public_data, self._expected.public_data):
            return True
        self.other = key
        return False


def _load_key(credentials: Credentials) -> list[asyncssh.SSHKey]:
    if not credentials.key:
        if not credentials.password:
            raise NotSetUp(_("There is no password and no private key. Enter one of them."))
        return []
    try:
        return [asyncssh.import_private_key(credentials.key, credentials.passphrase or None)]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        if isinstance(error, asyncssh.KeyEncryptionError) or re.search("passphrase|decrypt", str(error), re.IGNORECASE):
            raise NotAllowed(_("The passphrase does not open the private key. Enter both again.")) from None
        text = _(
            "The private key cannot be read. Enter the whole file that ssh-keygen made, with its first and last line."
        )
        raise NotAllowed(text) from None


def _describe_other_key(server: Server, expected: asyncssh.SSHKey, shown: asyncssh.SSHKey) -> str:
    text = _(
        "%(server)s has another host key than before: %(shown)s instead of %(expected)s. Ask the owner of the server "
        "whether it is new. If it is not, another server may have taken its place."
    )
    both = {"shown": key_lines.describe(shown), "expected": key_lines.describe(expected)}
    return text % {"server": server, **both}


def _make_unreachable(server: Server, error: BaseException) -> Unreachable:
    reason = "".join(sign if sign.isprintable() else " " for sign in str(error))[:_LONGEST_REASON].strip(" .")
    text = _("%(server)s cannot be reached: %(reason)s.")
    return Unreachable(text % {"server": server, "reason": reason or type(error).__name__})


def _name_account() -> None:
    """Give the account a name if it has none, as in some containers: asyncssh needs one, though it is not used."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "musterbook"
