"""Requests to other servers, limited in time and size. Only this module sends them.

httpx2 speaks HTTP. It gets its connections from `outbound_connections`, which checks the addresses that they go to. No
redirect is followed here, and no proxy or password of the user account is used.
"""

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import certifi
import httpcore2
import httpx2
from django.conf import settings

from musterbook.config import outbound_connections
from musterbook.config.outbound_connections import OutsideError, RequestRefused, TimeLimit

LARGEST = 512 * 1024
"""The maximum size of a response to `fetch`, in bytes."""
SECONDS = 10.0
"""The time limit for one `fetch` in seconds, from the lookup of the name to the last byte."""
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&*+,=:@%/-]*)?(?P<query>\?[a-z0-9._~!$&*+,=:@%/?-]*)?",
    re.IGNORECASE | re.ASCII,
)
_HIGHEST_PORT = 65_535
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine in a URL."""
_LONGEST_ERROR = 300


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
    wanted = {"Accept": "application/json", **(headers or {})}
    with open_response(url, TimeLimit.start(SECONDS), form=form, headers=wanted) as response:
        body = bytearray()
        for part in response.read_parts():
            body += part
            if len(body) > LARGEST:
                raise OutsideError(f"{response.target.origin} answered more than {LARGEST:,} bytes.")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Response(response.status, kind, bytes(body))


class OpenResponse:
    """A response whose body is not read yet. It must be closed, as by `with`."""

    def __init__(self, target: Target, client: httpx2.Client, response: httpx2.Response) -> None:
        self.target = target
        self.status = response.status_code
        self.headers = response.headers
        self._client, self._response = client, response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_parts(self) -> Iterator[bytes]:
        """Return the parts of the body, as the server sent them. Raise OutsideError if it ends too early or too late."""
        with _translate_errors(self.target):
            yield from self._response.iter_raw()

    def close(self) -> None:
        """End the connection. What was not read is not read anymore."""
        self._response.close()
        self._client.close()


def open_response(
    url: str,
    limit: TimeLimit,
    *,
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> OpenResponse:
    """Send a request, and return the response up to its body. Raise RequestRefused and OutsideError.

    It is a POST of the form or of the content, and otherwise a GET.
    """
    target = parse_url(url)
    if target is None:
        raise RequestRefused(f"“{url[:200]}” is not a web address that this installation uses.")
    _check_target(target)
    client = httpx2.Client(transport=_Transport(target, limit), trust_env=False, timeout=limit.seconds)
    try:
        with _translate_errors(target):
            return OpenResponse(target, client, _send_request(client, target, form, content, headers or {}))
    except BaseException:
        client.close()
        raise


def _send_request(
    client: httpx2.Client,
    target: Target,
    form: Mapping[str, str] | None,
    content: bytes | None,
    headers: Mapping[str, str],
) -> httpx2.Response:
    request = client.build_request(
        "GET" if form is None and content is None else "POST",
        target.origin + target.path,
        data=form,
        content=content,
        # A compressed body could be much larger than what is received.
        headers={"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "Musterbook", **headers},
    )
    return client.send(request, stream=True, follow_redirects=False)


@contextmanager
def _translate_errors(target: Target) -> Iterator[None]:
    try:
        yield
    except httpx2.ProxyError as error:
        raise OutsideError(f"{target.origin} did not answer: the proxy answered {error}") from error
    except (OSError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
        raise OutsideError(f"{target.origin} did not answer: {reason}") from error


def explain_refusal(url: str) -> str:
    """Return the reason why this installation does not send requests to the URL.

    Return "" if it does, or if the name cannot be resolved now.
    """
    target = parse_url(url)
    try:
        if target is None:
            raise RequestRefused("its address is not written as it must be.")
        _check_target(target)
        if not settings.MUSTER_OUTSIDE_PROXY:
            outbound_connections.find_addresses(
                target.host, target.port, TimeLimit.start(SECONDS), is_loopback_only=target.scheme == "http"
            )
    except RequestRefused as error:
        return str(error)
    except OSError:
        return ""
    return ""


def _check_target(target: Target) -> None:
    outbound_connections.check_host(target.host)
    if target.scheme == "http" and not allows_http():
        raise RequestRefused(f"{target.origin} is not encrypted: only https:// is used.")


@cache
def _make_context() -> ssl.SSLContext:
    """Return a context with the certificate authorities of this machine (SSL_CERT_FILE names others) and of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Transport(httpx2.HTTPTransport):
    """The transport of httpx2, with connections to checked addresses alone."""

    def __init__(self, target: Target, limit: TimeLimit) -> None:
        context = _make_context()
        super().__init__(verify=context, trust_env=False)
        proxy = _parse_proxy(target)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            proxy=httpcore2.Proxy(f"http://{proxy.host}:{proxy.port}") if proxy else None,
            network_backend=_Backend(target, limit, proxy),
            max_connections=1,
        )


def _parse_proxy(target: Target) -> Target | None:
    """Return the proxy, or None without one. It resolves the name itself, so only named hosts are allowed."""
    if not settings.MUSTER_OUTSIDE_PROXY:
        return None
    proxy = parse_url(settings.MUSTER_OUTSIDE_PROXY)
    if proxy is None or target.scheme == "http" or not settings.MUSTER_OUTSIDE_HOSTS:
        raise RequestRefused("MUSTER_OUTSIDE_PROXY needs MUSTER_OUTSIDE_HOSTS, and takes https:// alone.")
    return proxy


class _Backend(httpcore2.NetworkBackend):
    """Opens the connections of httpcore2: to the checked addresses of the target, or to the proxy."""

    def __init__(self, target: Target, limit: TimeLimit, proxy: Target | None) -> None:
        self._target, self._limit, self._proxy = target, limit, proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection to the host, as `outbound_connections` allows it."""
        del timeout, local_address, socket_options
        limit = self._limit
        if self._proxy:
            proxy = self._proxy
            return _Stream(outbound_connections.connect_to(proxy.host.strip("[]"), proxy.port, limit), limit)
        is_plain = self._target.scheme == "http"
        name = f"[{host}]" if ":" in host else host
        return _Stream(outbound_connections.connect(name, port, limit, is_loopback_only=is_plain), limit)


class _Stream(httpcore2.NetworkStream):
    """A connection that is read and written until the time limit."""

    def __init__(self, connection: socket.socket, limit: TimeLimit) -> None:
        self._connection, self._limit = connection, limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes; none at the end."""
        del timeout
        self._connection.settimeout(self._limit.get_remaining())
        return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send the bytes. Raise httpcore2.WriteError if the server takes no more: httpcore2 then reads its response."""
        del timeout
        self._connection.settimeout(self._limit.get_remaining())
        try:
            self._connection.sendall(buffer)
        except ConnectionError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Return the connection, encrypted after the certificate of the server was verified."""
        del timeout
        try:
            self._connection.settimeout(self._limit.get_remaining())
            encrypted = ssl_context.wrap_socket(self._connection, server_hostname=server_hostname)
        except BaseException:
            self.close()
            raise
        return _Stream(encrypted, self._limit)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore2 asks about the connection: only its object of TLS."""
        return self._connection if info == "ssl_object" and isinstance(self._connection, ssl.SSLSocket) else None
