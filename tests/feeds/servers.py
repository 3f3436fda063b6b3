"""Servers that feeds fetch files from, over a folder: SFTP and HTTPS, on this machine. They can be stopped and restarted.

The SFTP server is OpenSSH's where it is installed, run as the user who runs the tests. Otherwise it is asyncssh's.
"""

import asyncio
import hashlib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock
from urllib.parse import unquote

import asyncssh
from cryptography.hazmat.primitives.asymmetric import ec

from musterbook.config import encryption, outbound_requests
from tests import certificates

OPENSSH = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
_PATIENCE = 10.0


class _Server:
    """A server that runs from `with` to its end, and can be stopped in between."""

    port: int

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        """The same server, at the same port, after it was stopped or running."""
        self.stop()
        self.start()


def find_port() -> int:
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class SftpServer(_Server):
    """An SFTP server over the folder, whose user signs in with `private_key`, or with `password` if there is one.

    `read_only`: whether nothing can be written. `own`: whether it is asyncssh's even where OpenSSH is installed; it always
    is with a password. `more`: further lines of OpenSSH's configuration. `is_old`: whether asyncssh's knows only the plain
    rename of the protocol.
    """

    def __init__(
        self, folder: Path, *, read_only: bool = False, password: str = "", own: bool = False, more: str = ""
    ) -> None:
        self.more, self.is_old = more, False
        self.folder, self.read_only, self.password = folder, read_only, password
        self.is_openssh = bool(OPENSSH) and not password and not own
        self.user = pwd.getpwuid(os.getuid()).pw_name if self.is_openssh else "hr"
        self.port = find_port()
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.private_key = self._key.export_private_key("openssh").decode()
        self.change_key()
        self._made = Path(tempfile.mkdtemp(prefix="muster-sftp-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._own: _OwnServer | None = None

    def change_key(self, kind: str = "ssh-ed25519") -> None:
        """Another host key, from the next start on."""
        self.host_key = asyncssh.generate_private_key(kind)

    @property
    def pinned(self) -> str:
        """The host key as a line of `known_hosts`."""
        key = self.host_key.export_public_key("openssh").decode().strip()
        return f"[127.0.0.1]:{self.port} {' '.join(key.split()[:2])}"

    def location(self, pattern: str = "*", path: str = ".") -> dict[str, Any]:
        """The location of a feed for this server."""
        return {
            "kind": "sftp", "host": "127.0.0.1", "port": self.port, "path": path, "pattern": pattern, "user": self.user,
        }  # fmt: skip

    def secrets(self) -> dict[str, str]:
        """The sealed secrets of a feed for this server."""
        if self.password:
            return {"password": encryption.seal(self.password)}
        return {"key": encryption.seal(self.private_key)}

    def start(self) -> None:
        """Runs the server, and waits until it answers."""
        if self.is_openssh:
            self._process = subprocess.Popen(self._write_command(), stderr=subprocess.DEVNULL)
            _wait_for_port(self.port)
        else:
            self._own = _OwnServer(self)

    def stop(self) -> None:
        """Ends the server and its connections."""
        if self._process:
            self._process.terminate()
            self._process.wait(_PATIENCE)
            self._process = None
        if self._own:
            self._own.stop()
            self._own = None

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._made, ignore_errors=True)

    def _write_command(self) -> list[str]:
        """The configuration of OpenSSH, and the command that runs it."""
        assert OPENSSH
        # Without PAM, an ordinary user whose password is locked could not sign in with a key either.
        pam = "yes" if os.getuid() != 0 and Path("/etc/pam.d/sshd").exists() else "no"
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        key, keys, config = self._made / "host_key", self._made / "authorized_keys", self._made / "sshd_config"
        key.unlink(missing_ok=True)
        key.write_bytes(self.host_key.export_private_key("openssh"))
        key.chmod(0o600)
        keys.write_bytes(self._key.export_public_key("openssh"))
        internal = f"internal-sftp -d {self.folder}{' -R' if self.read_only else ''}"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {key}\nPidFile none\nUsePAM {pam}\nStrictModes no\n"
            f"AuthorizedKeysFile {keys}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin prohibit-password\nMaxStartups 100\nSubsystem sftp {internal}\nForceCommand {internal}\n{self.more}"
        )
        return [OPENSSH, "-D", "-e", "-f", str(config)]


class _OwnServer:
    """asyncssh's server, in a thread."""

    def __init__(self, of: SftpServer) -> None:
        self._of, self._loop, self._end = of, asyncio.new_event_loop(), asyncio.Event()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listens.wait(_PATIENCE), "the server does not start"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        connections: list[asyncssh.SSHServerConnection] = []
        serving = await asyncssh.listen(
            "127.0.0.1", self._of.port, server_factory=lambda: _Sessions(self._of, connections),
            server_host_keys=[self._of.host_key], sftp_factory=lambda channel: _Files(self._of, channel), reuse_address=True,
        )  # fmt: skip
        self._listens.set()
        await self._end.wait()
        serving.close()
        await asyncio.sleep(0.02)  # what was just accepted becomes a connection
        for connection in connections:
            connection.abort()
            await connection.wait_closed()
        await serving.wait_closed()
        await asyncio.sleep(0.02)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_PATIENCE)


class _Sessions(asyncssh.SSHServer):
    """Who may sign in."""

    def __init__(self, of: SftpServer, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._of, self._connections = of, connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return bool(username)

    def password_auth_supported(self) -> bool:
        return bool(self._of.password)

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._of.user, self._of.password)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._of.user and key.public_data == self._of._key.public_data


class _Files(asyncssh.SFTPServer):
    """The files of the folder, which may be read-only."""

    def __init__(self, of: SftpServer, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(channel, chroot=os.fsencode(of.folder))
        self._of = of

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        self._check(pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_CREAT))
        return super().open(path, pflags, attrs)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self._check(1)
        return super().mkdir(path, attrs)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._check(1)
        if self._of.is_old:
            raise asyncssh.SFTPOpUnsupported("posix-rename")
        return super().posix_rename(oldpath, newpath)

    def _check(self, writes: int) -> None:
        if writes and self._of.read_only:
            raise asyncssh.SFTPPermissionDenied("read-only")


class HttpsServer(_Server):
    """An HTTPS server over the files of a folder. Its own certificate is trusted while it runs, by this process alone.

    `header`: the name and the value of a header that a request must have. `validators`: whether it sends ETag and
    Last-Modified. `requests`: the method, path and headers of each request; `served`: the paths whose content was sent.
    """

    def __init__(self, folder: Path, *, header: tuple[str, str] | None = None, validators: bool = True) -> None:
        self.folder, self.header, self.validators = folder, header, validators
        self.port = find_port()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.served: list[str] = []
        self.answers: dict[str, bytes] = {}
        """A path → the bytes that are sent instead of an answer, such as a redirect."""
        self._made = Path(tempfile.mkdtemp(prefix="muster-https-"))
        self._server: _HttpServer | None = None
        self._thread = threading.Thread()
        self._trust = mock.patch.dict(os.environ, {"SSL_CERT_FILE": str(self._made / "certificate.pem")})
        self.change_key()

    def change_key(self) -> None:
        """Another key and certificate, from the next start on. They are trusted as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._made / "certificate.pem"
        self.certificate.write_text(certificates.certificate(key, "localhost"))
        (self._made / "key.pem").write_text(certificates.private(key))
        outbound_requests._make_context.cache_clear()

    def location(self, path: str = "roster.csv") -> dict[str, Any]:
        """The location of a feed for a file of this server."""
        return {"kind": "https", "url": f"https://localhost:{self.port}/{path}", "header": (self.header or ("",))[0]}

    def secrets(self) -> dict[str, str]:
        """The sealed secret of a feed for this server."""
        return {"header": encryption.seal(self.header[1])} if self.header else {}

    def __enter__(self) -> Self:
        self._trust.start()
        outbound_requests._make_context.cache_clear()
        return super().__enter__()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        self._trust.stop()
        outbound_requests._make_context.cache_clear()
        shutil.rmtree(self._made, ignore_errors=True)

    def start(self) -> None:
        """Runs the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._made / "key.pem")
        self._server = _HttpServer(("127.0.0.1", self.port), _Handler)
        self._server.of = self
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the server."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(_PATIENCE)
            self._server = None


class _HttpServer(ThreadingHTTPServer):
    """Knows for whom it answers."""

    allow_reuse_address = True
    daemon_threads = True
    of: HttpsServer


class _Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    server: _HttpServer

    def do_GET(self) -> None:
        of = self.server.of
        of.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = of.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if self.path in of.answers:
            self.wfile.write(of.answers[self.path])
            self.close_connection = True
        elif of.header and self.headers.get(of.header[0]) != of.header[1]:
            self._answer(401)
        elif not path.is_file():
            self._answer(404)
        else:
            self._send(path)

    def _send(self, path: Path) -> None:
        of = self.server.of
        content, modified = path.read_bytes(), path.stat().st_mtime
        tag, date = f'"{hashlib.sha256(content).hexdigest()[:20]}"', formatdate(modified, usegmt=True)
        validators = {"ETag": tag, "Last-Modified": date} if of.validators else {}
        known = self.headers.get("If-None-Match") == tag or self.headers.get("If-Modified-Since") == date
        if of.validators and known:
            self._answer(304, validators)
        else:
            of.served.append(self.path)
            self._answer(200, {**validators, "Content-Type": "text/csv"}, content)

    def _answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # who asked is gone
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _wait_for_port(port: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < ends, "the server does not start"
            time.sleep(0.02)
        else:
            return
