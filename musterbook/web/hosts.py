"""The check of the address of each request: MUSTER_URL, and HTTPS if it says so.

The addresses for monitoring are served under any host.
"""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponsePermanentRedirect
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase

from musterbook.config import environment

_LOG = logging.getLogger("musterbook.security")
READINESS = "/readyz"
PROBES = (READINESS, "/metrics")
"""The addresses for monitoring (`web.probes`).

Monitoring servers request them by IP address, and inside a private network without encryption. They reveal nothing about
any user. (`/healthz` does not get as far: the server itself answers it.)
"""
_NEVER = ("TRACE", "TRACK", "CONNECT")
"""The methods that no page serves. They echo the request or open a tunnel."""
_PORTS = {"http": "80", "https": "443"}
_ABSOLUTE = ("sign-in/", "my-account/second-factors/")
"""The pages whose library builds absolute addresses: for responses of identity providers, and for passkeys."""


def check(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse requests for other hosts, and HTTP requests if MUSTER_URL is an HTTPS address.

    Another host gets 400. An HTTP request gets 403, or a redirect to the same page over HTTPS.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method in _NEVER:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if request.path_info in PROBES:
            return respond(request)
        public = urlsplit(settings.MUSTER_URL)
        _check_host(request, public)
        if public.scheme == "https":
            if not _is_secure(request):
                return _refuse_insecure(request)
            _set_public_address(request, public)
        return respond(request)

    return answer


def _check_host(request: HttpRequest, public: SplitResult) -> None:
    """Raise DisallowedHost for another host, or for our own host with another port."""
    host, port = split_domain_port(request.get_host())
    usual = _PORTS[public.scheme]
    if (
        host == environment.host(settings.MUSTER_URL)
        and host not in _LOCAL
        and (port or usual) != str(public.port or usual)
    ):
        raise DisallowedHost(f"Invalid HTTP_HOST header: the port of {host} is not the one of MUSTER_URL.")


_LOCAL = {"localhost", "127.0.0.1", "[::1]"}
"""The names of this machine. Any port is accepted under them, for containers and tests."""


def _is_secure(request: HttpRequest) -> bool:
    """Return whether the request came over HTTPS.

    The server must say so. If a proxy is configured, each part of its header must say so too.
    """
    header = _find_proxy_header()
    schemes = request.META.get(header, "") if header else ""
    return request.is_secure() and all(part.strip() == "https" for part in schemes.split(",") if schemes)


def _find_proxy_header() -> str:
    """Return the header in which a trusted proxy states the scheme of the request.

    It is "" if there is no proxy.
    """
    setting: tuple[str, str] | None = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    return setting[0] if setting else ""


def _refuse_insecure(request: HttpRequest) -> HttpResponseBase:
    """Redirect a browser to the same page over HTTPS if a trusted proxy states plain HTTP. Refuse all other requests.

    API requests are refused: a redirect would hide that the client sends its token without encryption on every request.
    """
    header = _find_proxy_header()
    by_http = bool(header) and request.META.get(header) == "http"
    if by_http and request.method in ("GET", "HEAD") and not _is_for_programs(request.path_info):
        return HttpResponsePermanentRedirect(f"{settings.MUSTER_URL}{request.get_full_path()}")
    _LOG.warning("Refused an unencrypted request: %s %s", request.method, request.path_info)
    return HttpResponse(
        f"These pages are served by https alone, at {settings.MUSTER_URL}. Nothing was changed.\n\n"
        "If that is where you are: the proxy before Musterbook must send X-Forwarded-Proto, and MUSTER_PROXIES must say"
        " how many proxies there are.\n",
        status=403,
        content_type="text/plain; charset=utf-8",
    )


def _is_for_programs(path: str) -> bool:
    """Return whether the second part of the path belongs to the API. The agency in the path need not exist."""
    return path.removeprefix("/").partition("/")[2].partition("/")[0] in settings.AGENCY_URLCONFS


class Public:
    """The middleware that makes absolute addresses begin with MUSTER_URL.

    It runs after the Origin of the request was compared with the request's own host.
    """

    def __init__(self, respond: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the page."""
        return self._respond(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Present the request as one to MUSTER_URL to pages that build absolute addresses."""
        if request.resolver_match and request.resolver_match.route.startswith(_ABSOLUTE):
            _set_public_address(request, urlsplit(settings.MUSTER_URL))


def _set_public_address(request: HttpRequest, public: SplitResult) -> None:
    request.META["HTTP_HOST"] = public.netloc
    request.META["SERVER_PORT"] = str(public.port or _PORTS[public.scheme])
    request.META["wsgi.url_scheme"] = public.scheme
    if _find_proxy_header():
        request.META[_find_proxy_header()] = public.scheme
