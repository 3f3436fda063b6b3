"""Connections to other servers: only to public addresses, or to those that the configuration names.

An agency's administrator or a provider's own metadata may name an address. So the name is resolved first, each address
is checked, and the connection uses the address that was checked. A name that resolves to another address a moment later
has no effect.
"""

import ipaddress
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from django.conf import settings

_MOST_ADDRESSES = 3
"""The most addresses of one name that are tried."""
_BLOCKED = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.88.99.0/24", "3fff::/20")))
"""Addresses that are public by number, but must not be reached.

They are the service that Azure gives its machines, old 6to4 relays, and addresses reserved for documentation.
"""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to IPv4."""
_RESOLVER = ThreadPoolExecutor(max_workers=8, thread_name_prefix="outside")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideError(Exception):
    """The request was not answered: the server is unreachable, too slow, or its response is too large."""


class RequestRefused(OutsideError):
    """The request was not sent, because this installation does not allow it.

    The message has the reason, and the setting that would allow it.
    """


@dataclass(slots=True)
class TimeLimit:
    """The time limit of all that is done with a server. `pause`: the most seconds without any data."""

    seconds: float
    pause: float
    _ends: float

    @classmethod
    def start(cls, seconds: float) -> Self:
        """Return a limit that begins now."""
        return cls(seconds, seconds, time.monotonic() + seconds)

    def extend(self, seconds: float, pause: float) -> None:
        """Begin again, with more time for what follows."""
        self.seconds, self.pause, self._ends = seconds, pause, time.monotonic() + seconds

    def get_remaining(self) -> float:
        """Return the seconds that the next step may take. Raise TimeoutError if there are none."""
        remaining = self._ends - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"no whole answer within {self.seconds:g} seconds")
        return min(remaining, self.pause)


def is_host_allowed(host: str) -> bool:
    """Return whether connections to the host are allowed: one of MUSTER_OUTSIDE_HOSTS, or any host if that is empty."""
    allowed = settings.MUSTER_OUTSIDE_HOSTS
    return not allowed or any(_matches_host(host.lower(), name) for name in allowed)


def check_host(host: str) -> None:
    """Raise RequestRefused if the name of the host is not allowed."""
    if not is_host_allowed(host):
        raise RequestRefused(f"{host} is not in MUSTER_OUTSIDE_HOSTS.")


def _matches_host(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def connect(host: str, port: int, limit: TimeLimit, *, is_loopback_only: bool = False) -> socket.socket:
    """Return a connection to one of the allowed addresses of the host. Raise RequestRefused and OSError.

    `is_loopback_only`: whether only addresses of this machine are allowed, for connections without encryption.
    """
    check_host(host)
    last_error: OSError = OSError("no address")
    for address in find_addresses(host, port, limit, is_loopback_only=is_loopback_only)[:_MOST_ADDRESSES]:
        try:
            return connect_to(str(address), port, limit)
        except OSError as error:
            last_error = error
    raise last_error


def connect_to(address: str, port: int, limit: TimeLimit) -> socket.socket:
    """Return a connection to an address that is checked, or that the configuration names. Raise OSError."""
    connection = socket.create_connection((address, port), timeout=limit.get_remaining())
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return connection


def find_addresses(host: str, port: int, limit: TimeLimit, *, is_loopback_only: bool = False) -> list[Address]:
    """Return the addresses of the host that connections are allowed to. Raise RequestRefused if there are none."""
    return _filter_addresses(host, _resolve(host, port, limit), is_loopback_only)


def _resolve(host: str, port: int, limit: TimeLimit) -> list[Address]:
    """Return the addresses of the name.

    This runs in a thread, because the lookup of the system has no time limit.
    """
    lookup = _RESOLVER.submit(socket.getaddrinfo, host.strip("[]"), port, 0, socket.SOCK_STREAM)
    entries = lookup.result(timeout=limit.get_remaining())
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))


def _filter_addresses(host: str, addresses: Iterable[Address], is_loopback_only: bool) -> list[Address]:
    allowed = [
        address for address in addresses if is_allowed(address) and (address.is_loopback or not is_loopback_only)
    ]
    if not allowed:
        raise RequestRefused(
            f"{host} has no public address. MUSTER_OUTSIDE_NETWORKS can name networks of your own that may be reached."
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
