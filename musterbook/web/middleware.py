"""What every request passes through: whose agency it is for, its session, and how long that lasts."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import get_script_prefix, resolve, set_script_prefix, set_urlconf

from musterbook.accounts import factors, sign_on
from musterbook.accounts.models import Account
from musterbook.directory.models import Agency

Respond = Callable[[HttpRequest], HttpResponseBase]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'{providers}; base-uri 'none'; frame-ancestors 'none'"
)


def headers(respond: Respond) -> Respond:
    """Says to browsers what pages may load: nothing but our own. A page may name `providers` to send forms on to."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        providers = "".join(f" {origin}" for origin in getattr(request, "providers", ()))
        response.headers.setdefault("Content-Security-Policy", _POLICY.format(providers=providers))
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return answer


def agencies(respond: Respond) -> Respond:
    """Finds the agency that the address begins with, and has all addresses beneath it be those of `web.urls`.

    The agency's name becomes what WSGI calls the script's name: so `reverse` gives addresses of this agency, the library's
    own among them, and cookies hold for this agency alone.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        slug, slash, rest = request.path_info.removeprefix("/").partition("/")
        agency = Agency.objects.filter(slug=slug).first() if slug else None
        if agency is None:
            return respond(request)
        if not slash:
            return HttpResponsePermanentRedirect(f"{request.path}/")
        return _within(agency, rest, request)

    def _within(agency: Agency, rest: str, request: HttpRequest) -> HttpResponseBase:
        before = get_script_prefix()
        prefix = f"{before}{agency.slug}/"
        request.agency = agency  # type: ignore[attr-defined]
        request.urlconf = "musterbook.web.urls"
        request.providers = sign_on.origins(agency)  # type: ignore[attr-defined]
        request.path_info = f"/{rest}"
        set_script_prefix(prefix)
        set_urlconf(request.urlconf)
        try:
            response = respond(request)
        finally:
            set_urlconf(None)
            set_script_prefix(before)
        if isinstance(response, HttpResponse):
            for cookie in response.cookies.values():
                cookie["path"] = prefix
        return response

    return answer


class Sessions(SessionMiddleware):
    """Sessions whose cookie is signed: what stands in the database does not let anybody in."""

    _signer = Signer(salt="musterbook.web.session")

    def process_request(self, request: HttpRequest) -> None:
        """Opens the session that the cookie names, or none."""
        signed = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        try:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = self._signer.unsign(signed)
        except BadSignature:
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Signs the cookie, if one is set."""
        answered: HttpResponse = super().process_response(request, response)
        cookie = answered.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and cookie.value:
            answered.set_cookie(
                settings.SESSION_COOKIE_NAME, self._signer.sign(cookie.value),
                max_age=cookie["max-age"] or None, httponly=True, secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )  # fmt: skip
        return answered


_BEGAN, _SEEN = "began", "seen"
_NOTE_EVERY = 60
"""Seconds between notes that a session is in use."""


def limits(respond: Respond) -> Respond:
    """Ends sessions of other agencies, those out of use for longer than the agency says, and all after twelve hours."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            _note(request)
        return respond(request)

    return answer


def _note(request: HttpRequest) -> None:
    now = time.time()
    agency: Agency | None = getattr(request, "agency", None)
    began = request.session.setdefault(_BEGAN, now)
    seen = request.session.get(_SEEN, now)
    over = agency is None or now - seen > agency.idle_minutes * 60 or now - began > settings.SESSION_COOKIE_AGE
    if over or request.user.user.agency_id != agency.pk:  # type: ignore[union-attr]
        logout(request)
    elif now - seen >= _NOTE_EVERY or _SEEN not in request.session:
        request.session[_SEEN] = now


_WITHOUT_FACTOR = ("mfa_", "account_")
"""The names of pages that a user may see who has yet to set up a second factor."""


def second_factor(respond: Respond) -> Respond:
    """Leads who must have a second factor, and has none, to where it is set up, and nowhere else; refuses programs (403)."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if isinstance(request.user, Account) and factors.lacks(request.user) and not sign_on.by_provider(request):
            name = resolve(request.path_info).url_name or ""
            if not name.startswith(_WITHOUT_FACTOR):
                return redirect("mfa_index") if request.accepts("text/html") else _set_up_first()
        return respond(request)

    return answer


def _set_up_first() -> HttpResponse:
    said = "Your role asks for a second factor. Sign in with a browser, and set one up."
    return JsonResponse({"problem": said}, status=403)
