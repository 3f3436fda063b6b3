"""Attacks by way of an SFTP feed: on this machine and its network, and by servers that never end or send anything."""

import asyncio
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pytest_django import Settings

from musterbook.config import encryption
from musterbook.directory import models
from musterbook.feeds.locations import host_keys, sftp, ssh
from musterbook.feeds.locations.location import FoundFile, LocationError, NotAllowed, Unreachable
from musterbook.feeds.locations.opening import open_location
from musterbook.feeds.locations.sftp import SftpLocation
from musterbook.feeds.locations.ssh import Credentials, Server
from tests.feeds.servers import OPENSSH, SftpServer, find_port
from tests.socket_servers import Serve, resolve_to, server

KEY = asyncssh.generate_private_key("ssh-ed25519")
PINNED = KEY.export_public_key("openssh").decode().strip()


def make_location(port: int, host: str = "127.0.0.1", *, pinned: str = PINNED) -> SftpLocation:
    return SftpLocation(Server(host, port), ".", pinned, Credentials("hr", password="swordfish"))


def make_feed(host: str, port: int = 22) -> models.Feed:
    where = {"kind": "sftp", "host": host, "port": port, "path": ".", "pattern": "*", "user": "hr"}
    secrets = {"password": encryption.seal("swordfish")}
    return models.Feed(
        agency=models.Agency(slug="springfield"), name="hr", location=where, secrets=secrets, host_key=PINNED
    )


# Where a feed may connect to


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
    ],
)
def test_a_name_that_resolves_to_an_address_of_the_own_network_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    resolve_to(monkeypatch, address)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    for host in ("sftp.example.org", address):
        feed = make_feed(host)
        location = open_location(feed)
        with pytest.raises(NotAllowed, match="has no public address"):
            location.list_files()
        with pytest.raises(NotAllowed, match="has no public address"):
            host_keys.read_host_key(feed)
        location.close()


def test_the_address_that_was_checked_is_connected_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    asked, connected = resolve_to(monkeypatch, "8.8.8.8", "127.0.0.1"), list[Any]()

    def connect(to: Any, **_: Any) -> socket.socket:
        connected.append(to)
        raise OSError("not here")

    monkeypatch.setattr(socket, "create_connection", connect)
    location = open_location(make_feed("rebinding.example", 2222))
    with pytest.raises(Unreachable, match="not here"):
        location.list_files()
    location.close()
    assert asked == ["rebinding.example"] and connected == [("8.8.8.8", 2222)]


def test_only_named_hosts_are_connected_to_where_the_installation_names_some(settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_HOSTS = ("sftp.example.org", "[::1]")
    settings.MUSTER_OUTSIDE_NETWORKS = (ipaddress.ip_network("::1"),)
    location = open_location(make_feed("127.0.0.1"))
    with pytest.raises(NotAllowed, match="not in MUSTER_OUTSIDE_HOSTS"):
        location.list_files()
    location.close()
    location = open_location(make_feed("::1", find_port()))
    with pytest.raises(Unreachable, match="cannot be reached"):
        location.list_files()
    location.close()


# Servers that speak no SSH, or never end


def _says_nothing(connection: socket.socket) -> None:
    connection.recv(1)


def _trickles(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"S")
        time.sleep(0.05)


def _sends_lines_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"hello\r\n" * 1_000)


def _sends_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-x\r\n" + os.urandom(10_000))
    connection.recv(65_536)


def _claims_a_huge_packet(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-x\r\n\xff\xff\xff\xff" + b"x" * 100_000)
    connection.recv(65_536)


def _sends_an_old_version(connection: socket.socket) -> None:
    connection.sendall(b"SSH-1.5-x\r\n")
    connection.recv(65_536)


def _closes(_: socket.socket) -> None:
    """Ends the connection at once."""


@pytest.mark.parametrize(
    "serve",
    [
        _says_nothing,
        _trickles,
        _sends_lines_without_end,
        _sends_nonsense,
        _claims_a_huge_packet,
        _sends_an_old_version,
        _closes,
    ],
)
def test_a_server_that_speaks_no_ssh_is_left_in_time(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 1.0)
    began = time.monotonic()
    with server(serve) as (port, asked):
        location = make_location(port)
        with pytest.raises(Unreachable):
            location.list_files()
        with pytest.raises(Unreachable):
            host_keys.read_host_key(make_feed("127.0.0.1", port))
        location.close()
    assert time.monotonic() - began < 5
    assert b"swordfish" not in b"".join(asked)


# Servers that speak SSH, and misuse it


class _Files(asyncssh.SFTPServer):
    """The files of a hostile server, which a test fills."""

    names: tuple[bytes, ...] = ()
    endless = False
    waits = 0.0
    size = 10
    sends = 10

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        attrs = self.lstat(path)
        for name in self.names:
            yield asyncssh.SFTPName(name, "", attrs)
        number = 0
        while self.endless:
            number += 1
            yield asyncssh.SFTPName(b"%d.csv" % number, "", attrs)
        await asyncio.sleep(self.waits)

    def open(self, *_: object) -> Any:
        return object()

    def fstat(self, _: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(size=self.size, permissions=0o100644, atime=1, mtime=1)

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self.fstat(path)

    async def read(self, *_: object) -> bytes:
        await asyncio.sleep(self.waits)
        return b"x" * min(self.sends, 200_000)

    def close(self, file_obj: object) -> None:
        """Nothing is open."""


class _Server(asyncssh.SSHServer):
    passwords: list[str]

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.passwords.append(password)
        return bool(username)


@contextmanager
def hostile(options: dict[str, Any] | None = None, **attributes: Any) -> Iterator[tuple[int, list[str]]]:
    """A server with these files, which accepts every password; its port, and the passwords that it got."""
    passwords: list[str] = []
    files = type("Files", (_Files,), attributes)
    accept = type("Server", (_Server,), {"passwords": passwords})
    loop, listening, port = asyncio.new_event_loop(), threading.Event(), find_port()
    connections: list[Any] = []
    ends = asyncio.Event()

    class Accept(accept):  # type: ignore[misc, valid-type]  # made for one test
        def connection_made(self, conn: Any) -> None:
            connections.append(conn)

    async def serve() -> None:
        chosen: dict[str, Any] = {"server_host_keys": [KEY], **(options or {})}
        running = await asyncssh.listen("127.0.0.1", port, server_factory=Accept, sftp_factory=files, **chosen)
        listening.set()
        await ends.wait()
        running.close()
        await asyncio.sleep(0.02)
        for connection in connections:
            connection.abort()
        await running.wait_closed()
        await asyncio.sleep(0.02)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield port, passwords
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(10)


def _refuses(act: Callable[[SftpLocation], object], port: int, error: type[LocationError], match: str) -> None:
    location = make_location(port)
    try:
        with pytest.raises(error, match=match):
            act(location)
    finally:
        location.close()


def test_names_that_are_paths_are_never_used() -> None:
    names = (
        b"../../etc/passwd",
        b"/etc/passwd",
        b"a/b.csv",
        b"..",
        b".",
        b"",
        b"a\0b.csv",
        b"\x1b[2Jx.csv",
        b"good.csv",
    )
    with hostile(names=names) as (port, _):
        location = make_location(port)
        assert [one.name for one in location.list_files()] == ["good.csv"]
        assert all(name.isprintable() for name in location.left_out)
        location.close()


def test_a_listing_without_end_is_cut_off() -> None:
    with hostile(endless=True) as (port, _):
        began = time.monotonic()
        _refuses(lambda location: location.list_files(), port, NotAllowed, "has more than 10,000")
        assert time.monotonic() - began < 30


def test_a_listing_that_takes_its_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "LIST_SECONDS", 0.5)
    with hostile(waits=5.0) as (port, _):
        began = time.monotonic()
        _refuses(lambda location: location.list_files(), port, Unreachable, "did not answer within")
        assert time.monotonic() - began < 4


def test_a_file_without_end_is_cut_off() -> None:
    read: list[bytes] = []
    with hostile(sends=200_000, names=(b"a.csv",)) as (port, _):
        found = FoundFile(1.0, "a.csv", 10)
        _refuses(
            lambda location: location.read_file(found, read.append),
            port,
            LocationError,
            "changed while|cannot be reached",
        )
    assert sum(map(len, read)) <= 10


def test_a_file_that_takes_its_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "STEP_SECONDS", 0.5)
    with hostile(waits=5.0) as (port, _):
        found = FoundFile(1.0, "a.csv", 10)
        began = time.monotonic()
        _refuses(lambda location: location.read_file(found, lambda _: None), port, Unreachable, "did not answer within")
        assert time.monotonic() - began < 4


def test_a_server_that_says_of_every_name_that_it_is_taken_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def lstat(_: object, path: bytes) -> asyncssh.SFTPAttrs:
        time.sleep(0.1)
        folder = path.endswith(b"done")
        return asyncssh.SFTPAttrs(size=10, permissions=0o40755 if folder else 0o100644, atime=1, mtime=1)

    monkeypatch.setattr(sftp, "NAMES_SECONDS", 0.5)
    kept: list[None] = []
    with hostile(lstat=lstat) as (port, _):
        began = time.monotonic()
        _refuses(
            lambda location: location.file_away("x.csv", "done", {}, keep=lambda: kept.append(None)),
            port, Unreachable, "did not answer within",
        )  # fmt: skip
        assert time.monotonic() - began < 5
    assert len(kept) > 1


def test_a_file_that_ends_early_is_not_taken() -> None:
    with hostile(sends=0) as (port, _):
        found = FoundFile(1.0, "a.csv", 10)
        _refuses(lambda location: location.read_file(found, lambda _: None), port, LocationError, "changed while")


def test_the_password_goes_to_the_pinned_server_alone() -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    with hostile({"server_host_keys": [other]}) as (port, passwords):
        _refuses(lambda location: location.list_files(), port, LocationError, "another host key")
        assert passwords == []
    with hostile() as (port, passwords):
        location = make_location(port)
        assert location.list_files() == []
        location.close()
        assert passwords == ["swordfish"]


def test_a_host_key_of_the_same_kind_is_asked_for_first() -> None:
    with hostile({"server_host_keys": [asyncssh.generate_private_key("ecdsa-sha2-nistp256"), KEY]}) as (
        port,
        passwords,
    ):
        location = make_location(port)
        assert location.list_files() == []
        location.close()
        assert passwords == ["swordfish"]


def test_a_certificate_of_another_authority_is_no_host_key() -> None:
    authority, host = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(host, "x", principals=["127.0.0.1"])
    with hostile({"server_host_keys": [(host, certificate)]}) as (port, passwords):
        _refuses(lambda location: location.list_files(), port, LocationError, ".")
        assert passwords == []


@pytest.mark.parametrize(
    "options",
    [
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
    ],
    ids=["kex", "cipher", "mac"],
)
def test_old_algorithms_are_not_used(options: dict[str, Any]) -> None:
    with hostile(options) as (port, passwords):
        _refuses(lambda location: location.list_files(), port, Unreachable, "no modern way to encrypt|Connection lost")
        assert passwords == []


@pytest.mark.skipif(not OPENSSH, reason="OpenSSH's server is not installed")
def test_signatures_with_sha_1_are_not_accepted(tmp_path: Path) -> None:
    running = SftpServer(tmp_path, more="HostKeyAlgorithms ssh-rsa\n")
    running.change_key("ssh-rsa")
    with running:
        location = SftpLocation(
            Server("127.0.0.1", running.port), ".", running.pinned, Credentials("hr", password="swordfish")
        )
        try:
            with pytest.raises(Unreachable):  # it depends on who ends the connection first
                location.list_files()
        finally:
            location.close()
        key = asyncssh.get_server_host_key("127.0.0.1", running.port, config=None, server_host_key_algs=["ssh-rsa"])
        with ThreadPoolExecutor(1) as thread:  # the thread of the tests may have a loop already
            shown = thread.submit(asyncio.run, key).result()
        assert shown and shown.public_data == running.host_key.public_data, "the server itself works"


def test_no_secret_is_in_a_message_or_in_the_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    with SftpServer(tmp_path, password="correct horse") as running:
        credentials = Credentials("hr", password="swordfish", passphrase="mellon")
        location = SftpLocation(Server("127.0.0.1", running.port), ".", running.pinned, credentials)
        with pytest.raises(Unreachable) as raised:
            location.list_files()
        location.close()
        location = SftpLocation(
            Server("127.0.0.1", running.port), ".", running.pinned, Credentials("hr", password="correct horse")
        )
        location.list_files()
        location.close()
    said = " ".join([repr(raised.value), repr(credentials), caplog.text])
    assert not any(secret in said for secret in ("swordfish", "mellon", "correct horse"))
