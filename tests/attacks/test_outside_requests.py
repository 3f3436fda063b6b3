"""Attacks by way of the requests that the server itself sends: to its own machine or network, or to a server that never ends."""

import ast
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings

from musterbook.config import outbound_connections, outbound_requests
from musterbook.directory.installation import doctor
from musterbook.directory.installation.findings import Finding
from tests import certificates
from tests.directory import cast
from tests.socket_servers import Serve, answer_with, resolve_to, server

PACKAGE = Path(outbound_requests.__file__).parents[1]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def test_a_server_is_asked_and_answers() -> None:
    with server(answer_with(OK)) as (port, asked):
        answer = outbound_requests.fetch(f"http://127.0.0.1:{port}/a?b=c", headers={"Authorization": "Bearer x"})
    assert (answer.status, answer.kind, answer.body) == (200, "application/json", b"{}")
    assert asked[0].startswith(b"GET /a?b=c HTTP/1.1\r\n") and b"Authorization: Bearer x" in asked[0]
    with server(answer_with(OK)) as (port, asked):
        outbound_requests.fetch(f"http://localhost:{port}/token", form={"code": "a b"})
    assert asked[0].startswith(b"POST /token ") and f"Host: localhost:{port}".encode() in asked[0]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
        "255.255.255.255",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "fec0::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_no_address_that_is_not_public_is_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    resolve_to(monkeypatch, address)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    with pytest.raises(outbound_connections.RequestRefused, match="has no public address"):
        outbound_requests.fetch("https://provider.example/")
    assert not outbound_connections.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(settings: Settings, address: str) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    assert outbound_connections.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost", "0", "[::1]", "[::ffff:7f00:1]"]
)
def test_other_ways_to_write_this_machine_lead_nowhere_either(settings: Settings, host: str) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    with server(answer_with(OK)) as (port, asked), pytest.raises(outbound_connections.OutsideError):
        outbound_requests.fetch(f"https://{host}:{port}/")
    assert asked == []


def test_own_networks_are_reached_once_they_are_named_and_no_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = (ipaddress.ip_network("10.20.0.0/16"),)
    assert outbound_connections.is_allowed(ipaddress.ip_address("10.20.3.4"))
    assert not outbound_connections.is_allowed(ipaddress.ip_address("10.21.3.4"))
    assert not outbound_requests.allows_http()
    resolve_to(monkeypatch, "10.20.3.4")
    with pytest.raises(outbound_connections.RequestRefused, match="not encrypted"):
        outbound_requests.fetch("http://idp.agency.example/")


def test_a_name_that_resolves_elsewhere_a_moment_later_changes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    asked = resolve_to(monkeypatch, "8.8.8.8")
    connected: list[Any] = []

    def connect(to: Any, **_: Any) -> socket.socket:
        connected.append(to)
        raise OSError("not here")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(outbound_connections.OutsideError):
        outbound_requests.fetch("https://rebinding.example/")
    assert asked == ["rebinding.example"], (
        "the name is looked up once, and the address that was checked is connected to"
    )
    assert connected == [("8.8.8.8", 443)]


def test_of_several_addresses_only_the_public_ones_are_tried(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    resolve_to(monkeypatch, "127.0.0.1", "8.8.8.8", "10.0.0.1")
    connected: list[Any] = []

    def connect(to: Any, **_: Any) -> socket.socket:
        connected.append(to[0])
        raise OSError("not here")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(outbound_connections.OutsideError):
        outbound_requests.fetch("https://both.example/")
    assert connected == ["8.8.8.8"]


def test_a_redirect_is_not_followed() -> None:
    with server(answer_with(OK)) as (inner, reached):
        answer = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/secret\r\nContent-Length: 0\r\n\r\n".encode()
        )
        with server(answer_with(answer)) as (port, _):
            assert outbound_requests.fetch(f"http://127.0.0.1:{port}/").status == 302
    assert reached == []


def _endless_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65_536)


def _endless_chunks(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")


def _claims_much(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65_536)


def _endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 60_000 + b"\r\n")


@pytest.mark.parametrize("serve", [_endless_body, _endless_chunks, _claims_much, _endless_headers])
def test_an_answer_without_end_is_cut_off(serve: Serve) -> None:
    with server(serve) as (port, _), pytest.raises(outbound_connections.OutsideError):
        outbound_requests.fetch(f"http://127.0.0.1:{port}/")


def _says_nothing(connection: socket.socket) -> None:
    connection.recv(1)


def _trickles_headers(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.1)


def _trickles_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def _goes_on_and_on(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


@pytest.mark.parametrize("serve", [_says_nothing, _trickles_headers, _trickles_body, _goes_on_and_on])
def test_a_server_that_takes_its_time_is_left(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setattr(outbound_requests, "SECONDS", 0.5)
    began = time.monotonic()
    with server(serve) as (port, _):
        with pytest.raises(outbound_connections.OutsideError):
            outbound_requests.fetch(f"http://127.0.0.1:{port}/")
        assert time.monotonic() - began < 3


def test_a_look_up_that_takes_its_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_requests, "SECONDS", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: time.sleep(2))
    began = time.monotonic()
    with pytest.raises(outbound_connections.OutsideError):
        outbound_requests.fetch("https://slow.example/")
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    "answer", [b"", b"\x00\xff" * 50, b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/9 x\r\n\r\n"]
)
def test_an_answer_that_is_none_is_one_kind_of_error(answer: bytes) -> None:
    with server(answer_with(answer)) as (port, _), suppress(outbound_connections.OutsideError):
        assert outbound_requests.fetch(f"http://127.0.0.1:{port}/").body == b""


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://a.example/", "gopher://127.0.0.1:25/", "https://user@a.example/", "https://a.example/#x",
        "https://a.example;script-src *", "https://a.example/ b", "https://a.example/'", 'https://a.example/"', "https://a.example\n/",
        "https://a.example\\@b.example/", "https://", "https://a..example/", "https://.a.example/", "https://a.example:0/",
        "https://a.example:99999/", "https://[::1", "https://[:::::]/", "https://ä.example/", "//a.example/", "https:a.example",
        "https://a.example/<x>", "https://a.example/\r\nX: y", "https://a.example/;x", "",
    ],
)  # fmt: skip
def test_an_address_that_is_written_oddly_is_none(url: str) -> None:
    assert outbound_requests.parse_url(url) is None
    with pytest.raises(outbound_connections.RequestRefused):
        outbound_requests.fetch(url)


def test_only_named_hosts_are_asked_where_the_installation_names_some(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_OUTSIDE_HOSTS = ("login.example.org", "*.example.com")
    asked = resolve_to(monkeypatch, "192.0.2.1")
    for host in (
        "evil.example",
        "example.com",
        "login.example.org.evil.example",
        "xlogin.example.org",
        "evilexample.com",
    ):
        with pytest.raises(outbound_connections.RequestRefused, match="not in MUSTER_OUTSIDE_HOSTS"):
            outbound_requests.fetch(f"https://{host}/")
    assert asked == []
    for host in ("LOGIN.example.org", "a.example.com"):
        with pytest.raises(outbound_connections.RequestRefused, match="no public address"):
            outbound_requests.fetch(f"https://{host}/")


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answer_with(OK)) as (proxy, through), server(answer_with(OK)) as (port, asked):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("NO_PROXY", "")
        outbound_requests.fetch(f"http://127.0.0.1:{port}/")
    assert len(asked) == 1 and through == []


def test_a_proxy_that_is_set_is_asked_for_named_hosts_alone(settings: Settings) -> None:
    with server(answer_with(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as (port, asked):
        settings.MUSTER_OUTSIDE_PROXY = f"http://127.0.0.1:{port}"
        with pytest.raises(outbound_connections.RequestRefused, match="needs MUSTER_OUTSIDE_HOSTS"):
            outbound_requests.fetch("https://login.example.org/")
        assert asked == []
        settings.MUSTER_OUTSIDE_HOSTS = ("login.example.org",)
        with pytest.raises(outbound_connections.OutsideError, match="the proxy answered 403"):
            outbound_requests.fetch("https://login.example.org/")
    assert asked[0].startswith(b"CONNECT login.example.org:443 HTTP/1.1\r\n")


# Certificates


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A key, and a certificate that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_text(certificates.certificate(key, name))
    private.write_text(certificates.private(key))
    return certificate, private


@contextmanager
def encrypted(folder: Path, name: str) -> Iterator[tuple[int, list[bytes], Path]]:
    """A server that speaks TLS."""
    certificate, private = make_certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                plain, _ = listening.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    asked.append(connection.recv(65_536))
                    connection.sendall(OK)
            except ssl.SSLError:
                continue
            except OSError:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], asked, certificate
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


@pytest.fixture
def _fresh_trust() -> Iterator[None]:
    outbound_requests._make_context.cache_clear()
    yield
    outbound_requests._make_context.cache_clear()


@pytest.mark.usefixtures("_fresh_trust")
def test_a_certificate_is_checked_against_known_authorities_and_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with encrypted(tmp_path, "localhost") as (port, asked, certificate):
        with pytest.raises(outbound_connections.OutsideError, match="CERTIFICATE_VERIFY_FAILED"):
            outbound_requests.fetch(f"https://localhost:{port}/")
        assert asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        outbound_requests._make_context.cache_clear()
        assert outbound_requests.fetch(f"https://localhost:{port}/").body == b"{}"
        assert f"Host: localhost:{port}".encode() in asked[0]
        with pytest.raises(outbound_connections.OutsideError, match="IP address mismatch"):
            outbound_requests.fetch(f"https://127.0.0.1:{port}/")


# Nothing else in the package goes outside

WAYS_OUT = {
    "requests", "urllib3", "urllib.request", "http.client", "httpx", "httpcore", "httpx2", "httpcore2", "aiohttp", "asyncssh",
    "socket", "ssl", "ftplib", "telnetlib", "smtplib", "poplib", "imaplib", "nntplib", "xmlrpc", "asyncio", "socketserver",
    "pycurl", "websockets", "paramiko",
}  # fmt: skip
KNOWN = {
    ("config/outbound_connections.py", "socket"),  # attacked here
    *(("config/outbound_requests.py", library) for library in ("httpx2", "httpcore2", "socket", "ssl")),  # attacked here
    # Over such connections, with a pinned key; attacked in tests/feeds/locations.
    *((f"feeds/locations/{name}.py", "asyncssh") for name in ("key_lines", "sftp", "ssh")), ("feeds/locations/ssh.py", "asyncio"),
    ("accounts/outbox.py", "smtplib"),  # the mail server of MUSTER_SMTP_URL, which the installation names, and no agency
    ("accounts/anchor_delivery.py", "smtplib"),  # the same: it names the errors of the outbox's connection
    ("jobs.py", "socket"), ("feeds/watched_folder.py", "socket"),  # the machine's own name
    ("cli/serving.py", "socket"),  # looks whether the port is free
    # The client of REST runs in programs of others, and connects to the address that they give it.
    *((f"client/{name}.py", "httpx2") for name in ("agency", "calls", "exchanging", "sessions")),
    ("client/sessions.py", "asyncio"),
    # It listens where the installation says, for its own monitoring.
    *(("server/metrics_port.py", way) for way in ("http.client", "socket")),
    # What clients send to us is paced, and a client that is too slow is cut off.
    ("server/responses.py", "asyncio"), ("server/bodies.py", "asyncio"), ("server/paces.py", "asyncio"),
    ("server/concurrency.py", "asyncio"), ("server/connection_closer.py", "asyncio"), ("server/connection_closer.py", "socket"),
}  # fmt: skip
"""Who uses what: each is a way out that security.md lists, or a comment says why it is none."""


def _ways_out(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (way for way in WAYS_OUT if ".".join(parts[: way.count(".") + 1]) == way)


def test_nothing_else_in_the_package_opens_connections() -> None:
    used = {
        (str(path.relative_to(PACKAGE)), way) for path in sorted(PACKAGE.rglob("*.py")) for way in set(_ways_out(path))
    }
    assert used - KNOWN == set(), "outbound_requests.fetch is the way out; see docs/explanation/security.md"
    assert KNOWN - used == set(), "no longer used: take it off the list"


@pytest.mark.django_db
def test_the_doctor_names_providers_that_this_installation_does_not_ask(settings: Settings) -> None:
    agency = cast.agency()
    provider = {"kind": "oidc", "slug": "county", "name": "County", "server": "https://127.0.0.1/realms/x"}
    agency.sign_on = [provider, {"kind": "saml", "slug": "state", "sso_url": "https://idp.example"}]
    agency.save()

    def found() -> Finding:
        return next(one for one in doctor.run_checks() if one.about == "single sign-on")

    assert found().remedy == ""
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    assert "county: 127.0.0.1 has no public address" in found().found and "MUSTER_OUTSIDE_NETWORKS" in found().remedy
    settings.MUSTER_OUTSIDE_HOSTS = ("login.example.org",)
    assert "127.0.0.1 is not in MUSTER_OUTSIDE_HOSTS" in found().found
    agency.sign_on = [provider | {"server": "https://a;b"}]
    agency.save()
    assert "not written as it must be" in found().found
    assert outbound_requests.explain_refusal("https://login.example.org.invalid/") != ""
    settings.MUSTER_OUTSIDE_HOSTS = ()
    assert outbound_requests.explain_refusal("https://no-such-name.invalid/") == ""
