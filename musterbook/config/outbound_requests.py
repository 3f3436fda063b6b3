"""Requests to other servers, limited in time and size. Only this module sends them.

They go only to public addresses, or to those that the configuration names. An agency's administrator or a provider's
own metadata may name an address. So the name is resolved first, each address is checked, and the connection uses the
address that was checked. A name that resolves to another address a moment later has no effect.
"""

import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

import certifi
from django.conf import settings

LARGEST = 512 * 1024
"""The maximum size of a response, in bytes."""
SECONDS = 10.0
"""The time limit for one request in seconds, from the lookup of the name to the last byte."""
_MOST_ADDRESSES = 3
"""The most addresses of one name that are tried."""
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&*+,=:@%/-]*)?(?P<query>\?[a-z0-9._~!$&*+,=:@%/?-]*)?",
    re.IGNORECASE | re.ASCII,
)
_HIGHEST_PORT = 65_535
_BLOCKED = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.88.99.0/24", "3fff::/20")))
"""Addresses that are public by number, but must not be reached.

They are the service that Azure gives its machines, old 6to4 relays, and addresses reserved for documentation.
"""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to IPv4."""
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine in a URL."""
_RESOLVER = ThreadPoolExecutor(max_workers=8, thread_name_prefix="outside")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideError(Exception):
    """The request was not answered: the server is unreachable, too slow, or its response is too large."""


class RequestRefused(OutsideError):
    """The request was not sent, because this installation does not allow it.

    The message has the reason, and the setting that would allow it.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a request: the parts of a valid URL."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Return the URL up to its path, as the content security policy of a browser names it."""
        is_default = self.port == _default_port(self.scheme)
        return f"{self.scheme}://{self.host}" if is_default else f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a server."""

    status: int
    kind: str
    body: bytes


def parse_url(url: str) -> Target | None:
    """Return the parts of a URL. Return None for an unusual one.

    Unusual are a user, a fragment, blanks, quotes, semicolons and any other unexpected part.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or _default_port(scheme))
    if not 0 < port <= _HIGHEST_PORT or ".." in host or (host.startswith("[") and not _is_v6(host[1:-1])):
        return None
    return Target(scheme, host, port, (match["path"] or "/") + (match["query"] or ""))


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def allows_http() -> bool:
    """Return whether http:// is allowed. It is allowed only to this machine.

    MUSTER_OUTSIDE_NETWORKS must name its loopback addresses.
    """
    return any(network.is_loopback for network in settings.MUSTER_OUTSIDE_NETWORKS)


def fetch(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """Send a request to another server: GET, or POST of a form. Follow no redirect. Raise RequestRefused and OutsideError."""
    target = parse_url(url)
    if target is None:
        raise RequestRefused(f"“{url[:200]}” is not a web address that this installation uses.")
    _check_name(target)
    deadline = time.monotonic() + SECONDS
    try:
        connection = _connect(target, deadline)
        try:
            return _send_request(connection, target, form, headers or {}, deadline)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise OutsideError(f"{target.origin} did not answer: {type(error).__name__}: {error}") from error


def explain_refusal(url: str) -> str:
    """Return the reason why this installation does not send requests to the URL.

    Return "" if it does, or if the name cannot be resolved now.
    """
    target = parse_url(url)
    try:
        if target is None:
            raise RequestRefused("its address is not written as it must be.")
        _check_name(target)
        if not settings.MUSTER_OUTSIDE_PROXY:
            _filter_addresses(target, _resolve(target, time.monotonic() + SECONDS))
    except RequestRefused as error:
        return str(error)
    except OSError:
        return ""
    return ""


def is_host_allowed(host: str) -> bool:
    """Return whether requests to the host are allowed: one of MUSTER_OUTSIDE_HOSTS, or any host if that is empty."""
    allowed = settings.MUSTER_OUTSIDE_HOSTS
    return not allowed or any(_matches_host(host, name) for name in allowed)


def _check_name(target: Target) -> None:
    if not is_host_allowed(target.host):
        raise RequestRefused(f"{target.host} is not in MUSTER_OUTSIDE_HOSTS.")
    if target.scheme == "http" and not allows_http():
        raise RequestRefused(f"{target.origin} is not encrypted: only https:// is used.")


def _matches_host(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _connect(target: Target, deadline: float) -> socket.socket:
    """Return a connection to the server. It is encrypted with a verified certificate, unless it is plain."""
    proxy = settings.MUSTER_OUTSIDE_PROXY
    plain = _connect_via_proxy(parse_url(proxy), target, deadline) if proxy else _connect_direct(target, deadline)
    return plain if target.scheme == "http" else _wrap_tls(plain, target.host, deadline)


def _connect_direct(target: Target, deadline: float) -> socket.socket:
    """Return a connection to one of the name's allowed addresses."""
    last_error: OSError = OSError("no address")
    for address in _filter_addresses(target, _resolve(target, deadline))[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((str(address), target.port), timeout=_get_remaining(deadline))
        except OSError as error:
            last_error = error
    raise last_error


def _connect_via_proxy(proxy: Target | None, target: Target, deadline: float) -> socket.socket:
    """Return a connection through the proxy. The proxy resolves the name, so only named hosts are allowed."""
    if proxy is None or target.scheme == "http" or not settings.MUSTER_OUTSIDE_HOSTS:
        raise RequestRefused("MUSTER_OUTSIDE_PROXY needs MUSTER_OUTSIDE_HOSTS, and takes https:// alone.")
    connection = socket.create_connection((proxy.host.strip("[]"), proxy.port), timeout=_get_remaining(deadline))
    try:
        bounded = _BoundedConnection(connection, deadline)
        name = f"{target.host}:{target.port}"
        bounded.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode("ascii"))
        response = http.client.HTTPResponse(bounded, method="CONNECT")  # type: ignore[arg-type]  # it has all methods used here
        response.begin()
        if response.status != http.client.OK:
            raise OSError(f"the proxy answered {response.status}")
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(target: Target, deadline: float) -> list[Address]:
    """Return the addresses of the name.

    This runs in a thread, because the lookup of the system has no time limit.
    """
    lookup = _RESOLVER.submit(socket.getaddrinfo, target.host.strip("[]"), target.port, 0, socket.SOCK_STREAM)
    entries = lookup.result(timeout=_get_remaining(deadline))
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))


def _filter_addresses(target: Target, addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses that connections are allowed to. Raise RequestRefused if there are none."""
    allowed = [
        address for address in addresses if is_allowed(address) and (target.scheme == "https" or address.is_loopback)
    ]
    if not allowed:
        raise RequestRefused(
            f"{target.host} has no public address. MUSTER_OUTSIDE_NETWORKS can name networks of your own that may be reached."
        )
    return allowed


def is_allowed(address: Address) -> bool:
    """Return whether a connection may go to the address: a public one, or one of MUSTER_OUTSIDE_NETWORKS."""
    if any(address in network for network in settings.MUSTER_OUTSIDE_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _extract_ipv4(address)
        if embedded is not None:
            return is_allowed(embedded)
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _BLOCKED)


def _extract_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that the IPv6 address represents, or None."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


@cache
def _make_context() -> ssl.SSLContext:
    """Return a context with the certificate authorities of this machine (SSL_CERT_FILE names others) and of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _wrap_tls(plain: socket.socket, host: str, deadline: float) -> socket.socket:
    try:
        plain.settimeout(_get_remaining(deadline))
        return _make_context().wrap_socket(plain, server_hostname=host.strip("[]"))
    except BaseException:
        plain.close()
        raise


def _get_remaining(deadline: float) -> float:
    """Return the remaining seconds. Raise TimeoutError if there are none."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError(f"no whole answer within {SECONDS:g} seconds")
    return remaining


class _BoundedReader(io.RawIOBase):
    """The incoming data of a connection, readable until the time limit."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        self._connection.settimeout(_get_remaining(self._ends))
        return self._connection.recv_into(into)  # type: ignore[arg-type]  # a buffer


class _BoundedConnection:
    """A connection that http.client reads and writes until the time limit."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._connection, self._ends))

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_get_remaining(self._ends))
        self._connection.sendall(data)

    def close(self) -> None:
        """Leave the connection open for `fetch` to close: http.client closes it while it still reads."""


def _send_request(
    connection: socket.socket,
    target: Target,
    form: Mapping[str, str] | None,
    headers: Mapping[str, str],
    deadline: float,
) -> Response:
    client = http.client.HTTPConnection(target.host, target.port)
    client.default_port = _default_port(target.scheme)
    client.sock = _BoundedConnection(connection, deadline)
    body = None if form is None else urlencode(form)
    defaults = {"Accept": "application/json", "Connection": "close"}
    if body is not None:
        defaults["Content-Type"] = "application/x-www-form-urlencoded"
    client.request("GET" if form is None else "POST", target.path, body, defaults | dict(headers))
    response = client.getresponse()
    content = response.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OutsideError(f"{target.origin} answered more than {LARGEST:,} bytes.")
    return Response(response.status, response.headers.get_content_type(), content)
