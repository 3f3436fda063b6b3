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
_NEVER = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.88.99.0/24", "3fff::/20")))
"""Addresses that are public by number, but must not be reached.

They are the service that Azure gives its machines, old 6to4 relays, and addresses reserved for documentation.
"""
_WITHIN_V6 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to IPv4."""
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine in a URL."""
_RESOLVING = ThreadPoolExecutor(max_workers=8, thread_name_prefix="outside")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideError(Exception):
    """The request was not answered: the server is unreachable, too slow, or its response is too large."""


class Refused(OutsideError):
    """The request was not sent, because this installation does not allow it.

    The message has the reason, and the setting that would allow it.
    """


@dataclass(frozen=True, slots=True)
class Place:
    """The target of a request: the parts of a valid URL."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Return the URL up to its path, as the content security policy of a browser names it."""
        usual = self.port == _port(self.scheme)
        return f"{self.scheme}://{self.host}" if usual else f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of a server."""

    status: int
    kind: str
    body: bytes


def place(url: str) -> Place | None:
    """Return the parts of a URL. Return None for an unusual one.

    Unusual are a user, a fragment, blanks, quotes, semicolons and any other unexpected part.
    """
    found = _URL.fullmatch(url)
    if found is None:
        return None
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"] or _port(scheme))
    if not 0 < port <= _HIGHEST_PORT or ".." in host or (host.startswith("[") and not _is_v6(host[1:-1])):
        return None
    return Place(scheme, host, port, (found["path"] or "/") + (found["query"] or ""))


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def may_be_plain() -> bool:
    """Return whether http:// is allowed. It is allowed only to this machine.

    MUSTER_OUTSIDE_NETWORKS must name its loopback addresses.
    """
    return any(network.is_loopback for network in settings.MUSTER_OUTSIDE_NETWORKS)


def fetch(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a request to another server: GET, or POST of a form. Follow no redirect. Raise Refused and OutsideError."""
    to = place(url)
    if to is None:
        raise Refused(f"“{url[:200]}” is not a web address that this installation uses.")
    _check_name(to)
    ends = time.monotonic() + SECONDS
    try:
        connection = _connect(to, ends)
        try:
            return _ask(connection, to, form, headers or {}, ends)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise OutsideError(f"{to.origin} did not answer: {type(error).__name__}: {error}") from error


def why_not(url: str) -> str:
    """Return the reason why this installation does not send requests to the URL.

    Return "" if it does, or if the name cannot be resolved now.
    """
    to = place(url)
    try:
        if to is None:
            raise Refused("its address is not written as it must be.")
        _check_name(to)
        if not settings.MUSTER_OUTSIDE_PROXY:
            _allowed(to, _resolve(to, time.monotonic() + SECONDS))
    except Refused as refused:
        return str(refused)
    except OSError:
        return ""
    return ""


def is_named(host: str) -> bool:
    """Return whether requests to the host are allowed: one of MUSTER_OUTSIDE_HOSTS, or any host if that is empty."""
    allowed = settings.MUSTER_OUTSIDE_HOSTS
    return not allowed or any(_is_of(host, name) for name in allowed)


def _check_name(to: Place) -> None:
    if not is_named(to.host):
        raise Refused(f"{to.host} is not in MUSTER_OUTSIDE_HOSTS.")
    if to.scheme == "http" and not may_be_plain():
        raise Refused(f"{to.origin} is not encrypted: only https:// is used.")


def _is_of(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _connect(to: Place, ends: float) -> socket.socket:
    """Return a connection to the server. It is encrypted with a verified certificate, unless it is plain."""
    proxy = settings.MUSTER_OUTSIDE_PROXY
    plain = _through(place(proxy), to, ends) if proxy else _direct(to, ends)
    return plain if to.scheme == "http" else _encrypted(plain, to.host, ends)


def _direct(to: Place, ends: float) -> socket.socket:
    """Return a connection to one of the name's allowed addresses."""
    wrong: OSError = OSError("no address")
    for address in _allowed(to, _resolve(to, ends))[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((str(address), to.port), timeout=_left(ends))
        except OSError as error:
            wrong = error
    raise wrong


def _through(proxy: Place | None, to: Place, ends: float) -> socket.socket:
    """Return a connection through the proxy. The proxy resolves the name, so only named hosts are allowed."""
    if proxy is None or to.scheme == "http" or not settings.MUSTER_OUTSIDE_HOSTS:
        raise Refused("MUSTER_OUTSIDE_PROXY needs MUSTER_OUTSIDE_HOSTS, and takes https:// alone.")
    connection = socket.create_connection((proxy.host.strip("[]"), proxy.port), timeout=_left(ends))
    try:
        bounded = _Bounded(connection, ends)
        name = f"{to.host}:{to.port}"
        bounded.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode("ascii"))
        answer = http.client.HTTPResponse(bounded, method="CONNECT")  # type: ignore[arg-type]  # it has all methods used here
        answer.begin()
        if answer.status != http.client.OK:
            raise OSError(f"the proxy answered {answer.status}")
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(to: Place, ends: float) -> list[Address]:
    """Return the addresses of the name.

    This runs in a thread, because the lookup of the system has no time limit.
    """
    looking = _RESOLVING.submit(socket.getaddrinfo, to.host.strip("[]"), to.port, 0, socket.SOCK_STREAM)
    found = looking.result(timeout=_left(ends))
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _allowed(to: Place, addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses that connections are allowed to. Raise Refused if there are none."""
    found = [address for address in addresses if is_allowed(address) and (to.scheme == "https" or address.is_loopback)]
    if not found:
        raise Refused(
            f"{to.host} has no public address. MUSTER_OUTSIDE_NETWORKS can name networks of your own that may be reached."
        )
    return found


def is_allowed(address: Address) -> bool:
    """Return whether a connection may go to the address: a public one, or one of MUSTER_OUTSIDE_NETWORKS."""
    if any(address in network for network in settings.MUSTER_OUTSIDE_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        within = _within(address)
        if within is not None:
            return is_allowed(within)
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _NEVER)


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that the IPv6 address represents, or None."""
    if address in _WITHIN_V6:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


@cache
def _trust() -> ssl.SSLContext:
    """Return a context with the certificate authorities of this machine (SSL_CERT_FILE names others) and of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _encrypted(plain: socket.socket, host: str, ends: float) -> socket.socket:
    try:
        plain.settimeout(_left(ends))
        return _trust().wrap_socket(plain, server_hostname=host.strip("[]"))
    except BaseException:
        plain.close()
        raise


def _left(ends: float) -> float:
    """Return the remaining seconds. Raise TimeoutError if there are none."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no whole answer within {SECONDS:g} seconds")
    return left


class _Reading(io.RawIOBase):
    """The incoming data of a connection, readable until the time limit."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        self._connection.settimeout(_left(self._ends))
        return self._connection.recv_into(into)  # type: ignore[arg-type]  # a buffer


class _Bounded:
    """A connection that http.client reads and writes until the time limit."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._connection, self._ends))

    def sendall(self, sent: bytes) -> None:
        self._connection.settimeout(_left(self._ends))
        self._connection.sendall(sent)

    def close(self) -> None:
        """Leave the connection open for `fetch` to close: http.client closes it while it still reads."""


def _ask(
    connection: socket.socket, to: Place, form: Mapping[str, str] | None, headers: Mapping[str, str], ends: float
) -> Answer:
    asking = http.client.HTTPConnection(to.host, to.port)
    asking.default_port = _port(to.scheme)
    asking.sock = _Bounded(connection, ends)
    body = None if form is None else urlencode(form)
    also = {"Accept": "application/json", "Connection": "close"}
    if body is not None:
        also["Content-Type"] = "application/x-www-form-urlencoded"
    asking.request("GET" if form is None else "POST", to.path, body, also | dict(headers))
    answer = asking.getresponse()
    told = answer.read(LARGEST + 1)
    if len(told) > LARGEST:
        raise OutsideError(f"{to.origin} answered more than {LARGEST:,} bytes.")
    return Answer(answer.status, answer.headers.get_content_type(), told)
