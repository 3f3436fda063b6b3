"""Under which address pages are answered: MUSTER_URL, by https where it says so. `/health` answers under any."""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponsePermanentRedirect
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase

from musterbook import environment

_LOG = logging.getLogger("musterbook.security")
_HEALTH = "/health"
"""Probes ask for it by number and without encryption. It says nothing about anybody."""
_NEVER = ("TRACE", "TRACK", "CONNECT")
"""Methods that no page answers: they say back what was sent, or lead on."""
_PORTS = {"http": "80", "https": "443"}
_ABSOLUTE = ("sign-in/", "my-account/second-factors/")
"""Pages whose library makes absolute addresses: of providers' answers, and of passkeys."""


def check(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuses every host but our own (400), and http where MUSTER_URL says https (403, or the same page by https)."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method in _NEVER:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if request.path_info == _HEALTH:
            return respond(request)
        public = urlsplit(settings.MUSTER_URL)
        _check_host(request, public)
        if public.scheme == "https":
            if not _is_secure(request):
                return _insecure(request)
            _present(request, public)
        return respond(request)

    return answer


def _check_host(request: HttpRequest, public: SplitResult) -> None:
    """Raises DisallowedHost for another host, or for ours with a port that is not."""
    host, port = split_domain_port(request.get_host())
    usual = _PORTS[public.scheme]
    if (
        host == environment.host(settings.MUSTER_URL)
        and host not in _LOCAL
        and (port or usual) != str(public.port or usual)
    ):
        raise DisallowedHost(f"Invalid HTTP_HOST header: the port of {host} is not the one of MUSTER_URL.")


_LOCAL = {"localhost", "127.0.0.1", "[::1]"}
"""Names of this machine, under which any port may lead here: those of a container, or of a test."""


def _is_secure(request: HttpRequest) -> bool:
    """Whether the request came by https: so says the server, or, where there is a proxy, each part of its header."""
    header = _proxy_header()
    said = request.META.get(header, "") if header else ""
    return request.is_secure() and all(part.strip() == "https" for part in said.split(",") if said)


def _proxy_header() -> str:
    """The header by which a trusted proxy says how it was asked; "" without one."""
    found: tuple[str, str] | None = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    return found[0] if found else ""


def _insecure(request: HttpRequest) -> HttpResponseBase:
    """Lead a browser to the same page by https, if a proxy that is trusted says that it came by http; refuse all else.

    A program is refused: a redirect would hide that it has sent its token without encryption, each time it asks.
    """
    header = _proxy_header()
    by_http = bool(header) and request.META.get(header) == "http"
    if by_http and request.method in ("GET", "HEAD") and not _is_for_programs(request.path_info):
        return HttpResponsePermanentRedirect(f"{settings.MUSTER_URL}{request.get_full_path()}")
    _LOG.warning("Refused a request that came without encryption: %s %s", request.method, request.path_info)
    return HttpResponse(
        f"These pages are served by https alone, at {settings.MUSTER_URL}. Nothing was changed.\n\n"
        "If that is where you are: the proxy before Musterbook must send X-Forwarded-Proto, and MUSTER_PROXIES must say"
        " how many proxies there are.\n",
        status=403,
        content_type="text/plain; charset=utf-8",
    )


def _is_for_programs(path: str) -> bool:
    """Whether the second part of the path is of addresses for programs. The agency may be one that there is not."""
    return path.removeprefix("/").partition("/")[2].partition("/")[0] in settings.AGENCY_URLCONFS


class Public:
    """Makes absolute addresses begin with MUSTER_URL, after the request's Origin was compared with its own host."""

    def __init__(self, respond: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The answer of the page."""
        return self._respond(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Presents the request to pages that make absolute addresses as one to MUSTER_URL."""
        if request.resolver_match and request.resolver_match.route.startswith(_ABSOLUTE):
            _present(request, urlsplit(settings.MUSTER_URL))


def _present(request: HttpRequest, public: SplitResult) -> None:
    request.META["HTTP_HOST"] = public.netloc
    request.META["SERVER_PORT"] = str(public.port or _PORTS[public.scheme])
    request.META["wsgi.url_scheme"] = public.scheme
    if _proxy_header():
        request.META[_proxy_header()] = public.scheme
