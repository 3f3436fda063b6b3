"""Requests to other servers: the only way out, to public addresses (or named ones), within bounds of time and size.

An agency's administrator or a provider's own metadata may name an address. So the name is resolved first, each address is
checked, and the connection goes to the address that was checked: a name that resolves to another address a moment later
changes nothing.
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
"""The most bytes of an answer."""
SECONDS = 10.0
"""The most time for one request, from the look-up of the name to the last byte."""
_MOST_ADDRESSES = 3
"""So many addresses of one name are tried."""
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&*+,=:@%/-]*)?(?P<query>\?[a-z0-9._~!$&*+,=:@%/?-]*)?",
    re.IGNORECASE | re.ASCII,
)
_HIGHEST_PORT = 65_535
_NEVER = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.88.99.0/24", "3fff::/20")))
"""Public by their number, and yet not: the service that Azure gives its machines, old 6to4 relays, numbers for documents."""
_WITHIN_V6 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to IPv4."""
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
"""What this machine is called in an address."""
_RESOLVING = ThreadPoolExecutor(max_workers=8, thread_name_prefix="outside")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideError(Exception):
    """The request was not answered: the server is away, too slow, or answers too much."""


class Refused(OutsideError):
    """The request was not sent: this installation does not go there. The message says why, and what would allow it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: the parts of a web address that is written as it must be."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """The address up to its path, as a browser's rules name it."""
        usual = self.port == _port(self.scheme)
        return f"{self.scheme}://{self.host}" if usual else f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    kind: str
    body: bytes


def place(url: str) -> Place | None:
    """The parts of a web address; None for one with a user, a fragment, blanks, quotes, semicolons or anything else unusual."""
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
    """Whether http:// is allowed, to this machine alone: only where MUSTER_OUTSIDE_NETWORKS names its loopback addresses."""
    return any(network.is_loopback for network in settings.MUSTER_OUTSIDE_NETWORKS)


def fetch(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Asks another server: GET, or POST of a form. Follows no redirect. Raises Refused and OutsideError."""
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
    """Why this installation does not ask the server at the address; "" if it does, or if the name cannot be looked up now."""
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
    """Whether the installation lets the host be asked: one of MUSTER_OUTSIDE_HOSTS, or any if that names none."""
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
    """A connection to the server: encrypted, and the certificate checked, unless it is plain."""
    proxy = settings.MUSTER_OUTSIDE_PROXY
    plain = _through(place(proxy), to, ends) if proxy else _direct(to, ends)
    return plain if to.scheme == "http" else _encrypted(plain, to.host, ends)


def _direct(to: Place, ends: float) -> socket.socket:
    """A connection to one of the addresses of the name that are allowed."""
    wrong: OSError = OSError("no address")
    for address in _allowed(to, _resolve(to, ends))[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((str(address), to.port), timeout=_left(ends))
        except OSError as error:
            wrong = error
    raise wrong


def _through(proxy: Place | None, to: Place, ends: float) -> socket.socket:
    """A connection through the proxy, which resolves the name: so only hosts that are named are reached."""
    if proxy is None or to.scheme == "http" or not settings.MUSTER_OUTSIDE_HOSTS:
        raise Refused("MUSTER_OUTSIDE_PROXY needs MUSTER_OUTSIDE_HOSTS, and takes https:// alone.")
    connection = socket.create_connection((proxy.host.strip("[]"), proxy.port), timeout=_left(ends))
    try:
        bounded = _Bounded(connection, ends)
        name = f"{to.host}:{to.port}"
        bounded.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode("ascii"))
        answer = http.client.HTTPResponse(bounded, method="CONNECT")  # type: ignore[arg-type]  # all that it asks of one
        answer.begin()
        if answer.status != http.client.OK:
            raise OSError(f"the proxy answered {answer.status}")
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(to: Place, ends: float) -> list[Address]:
    """The addresses of the name. In a thread: the system's own look-up knows no limit of time."""
    looking = _RESOLVING.submit(socket.getaddrinfo, to.host.strip("[]"), to.port, 0, socket.SOCK_STREAM)
    found = looking.result(timeout=_left(ends))
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _allowed(to: Place, addresses: Iterable[Address]) -> list[Address]:
    """Those of the addresses that may be connected to. Raises Refused if there are none."""
    found = [address for address in addresses if is_allowed(address) and (to.scheme == "https" or address.is_loopback)]
    if not found:
        raise Refused(
            f"{to.host} has no public address. MUSTER_OUTSIDE_NETWORKS can name networks of your own that may be reached."
        )
    return found


def is_allowed(address: Address) -> bool:
    """Whether a connection may go to the address: a public one, or one of MUSTER_OUTSIDE_NETWORKS."""
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
    """The IPv4 address that an IPv6 address is another form of."""
    if address in _WITHIN_V6:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


@cache
def _trust() -> ssl.SSLContext:
    """The authorities of this machine (SSL_CERT_FILE names others), and those that come with certifi."""
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
    """The seconds that are left. Raises TimeoutError if there are none."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no whole answer within {SECONDS:g} seconds")
    return left


class _Reading(io.RawIOBase):
    """What a connection sends, as long as there is time."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        self._connection.settimeout(_left(self._ends))
        return self._connection.recv_into(into)  # type: ignore[arg-type]  # a buffer


class _Bounded:
    """A connection that http.client reads and writes, as long as there is time."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends = connection, ends

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._connection, self._ends))

    def sendall(self, sent: bytes) -> None:
        self._connection.settimeout(_left(self._ends))
        self._connection.sendall(sent)

    def close(self) -> None:
        """Leave it to `fetch`: http.client closes a connection while it still reads."""


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
