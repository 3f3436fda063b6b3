"""The middleware of every request: response headers, agency, session, and session limits.

It also enforces re-authentication, the age of passwords, and second factors.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote_to_bytes

from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect
from django.urls import get_resolver, get_script_prefix, resolve, reverse, set_script_prefix, set_urlconf
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.accounts import sessions, sign_on
from musterbook.accounts.models import Account
from musterbook.directory.agency.agencies import UnknownAgency, find_agency
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.models import Agency
from musterbook.directory.storage import isolation
from musterbook.http import current_session, pending_sign_ins, reauthentication
from musterbook.web import hosts

Respond = Callable[[HttpRequest], HttpResponseBase]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'{providers}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def headers(respond: Respond) -> Respond:
    """Set the security headers of responses: pages load only our own resources.

    A page may set `providers` to origins to which its forms may redirect.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        providers = "".join(f" {origin}" for origin in getattr(request, "providers", ()))
        response.headers.setdefault("Content-Security-Policy", _POLICY.format(providers=providers))
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        # After a sign-out, the Back button must not show the page again.
        response.headers.setdefault("Cache-Control", "no-store, private")
        return response

    return answer


class Compression(GZipMiddleware):
    """Compress pages. Django adds random bytes, so that their length reveals no secret in them.

    Downloads are sent while they are made, and stay as they are.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response, compressed if it is a page and the browser accepts it."""
        page: HttpResponseBase = response if response.streaming else super().process_response(request, response)
        return page


def addresses(respond: Respond) -> Respond:
    """Answer 404 for an address with a NUL character.

    No page has such an address, and PostgreSQL cannot search for one.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info or b"\0" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
            return _answer_nowhere(request)
        return respond(request)

    return answer


def _answer_nowhere(request: HttpRequest) -> HttpResponseBase:
    """Return the response to an address that leads nowhere, in the form that programs read if it is one of theirs."""
    _, _, rest = request.path_info.removeprefix("/").partition("/")
    programs = settings.AGENCY_URLCONFS.get(rest.partition("/")[0])
    if programs is None:
        raise Http404
    found: HttpResponseBase = get_resolver(programs).resolve_error_handler(404)(request)
    return found


def agencies(respond: Respond) -> Respond:
    """Find the agency in the first part of the path, and route the rest of the path.

    Until its response has been sent, the request reaches no other agency in the database (`storage.isolation`).

    The rest is routed with `web.urls`, or with the URLs of the API. The agency's slug becomes the WSGI script name. So
    `reverse` returns addresses of this agency, including those of the library, and cookies are limited to this agency.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        slug, slash, rest = request.path_info.removeprefix("/").partition("/")
        # Probes check the database themselves.
        agency = _get_agency(slug) if slug and request.path_info not in hosts.PROBES else None
        if agency is None:
            with isolation.close_all():
                return respond(request)
        if not slash:
            return HttpResponsePermanentRedirect(f"{request.path}/")
        with isolation.limit_to(agency.pk):
            response = _within(agency, rest, request)
        _limit_streamed(response, agency)
        return response

    def _within(agency: Agency, rest: str, request: HttpRequest) -> HttpResponseBase:
        before = get_script_prefix()
        prefix = f"{before}{agency.slug}/"
        request.agency = agency  # type: ignore[attr-defined]  # for `requests.agency`
        programs = settings.AGENCY_URLCONFS.get(rest.partition("/")[0])
        request.urlconf = programs or "musterbook.web.urls"
        if programs:
            # API clients use tokens. Cookies give no access there, so no page can make a browser call the API.
            request.COOKIES = {}
        request.providers = sign_on.list_origins(agency)  # type: ignore[attr-defined]  # for `headers`
        request.path_info = f"/{rest}"
        set_script_prefix(prefix)
        set_urlconf(request.urlconf)
        try:
            response = _answer_paused(request) if agency.paused_at else respond(request)
        finally:
            set_urlconf(None)
            set_script_prefix(before)
        _confine_cookies(response, prefix)
        return response

    return answer


def _answer_paused(request: HttpRequest) -> HttpResponseBase:
    """Return the response for a paused agency, in the form that programs read if the address is one of theirs."""
    resolver = get_resolver(request.urlconf)
    found: HttpResponseBase = resolver.resolve_error_handler(HTTPStatus.SERVICE_UNAVAILABLE.value)(request)
    return found


def _limit_streamed(response: HttpResponseBase, agency: Agency) -> None:
    """Limit a response that is made while it is sent, after the middleware, to the agency."""
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        parts = cast("Iterator[bytes]", response.streaming_content)  # no page of ours is asynchronous
        response.streaming_content = isolation.limit_iteration(agency.pk, parts)


def _get_agency(slug: str) -> Agency | None:
    try:
        with isolation.open_to_all():
            return find_agency(slug)
    except UnknownAgency:
        return None


# It signs the cookie that leads a signed-in user from the first page to their agency. The cookie has only the agency's
# slug, and nobody can use it to find out which agencies exist.
_AGENCY_SIGNER = Signer(salt="musterbook.web.agency")


def read_agency_cookie(request: HttpRequest) -> str:
    """Return the slug of the agency that the browser is signed in to, or "" for none."""
    try:
        return _AGENCY_SIGNER.unsign(request.COOKIES.get(settings.AGENCY_COOKIE_NAME, ""))
    except BadSignature:
        return ""


def _confine_cookies(response: HttpResponseBase, prefix: str) -> None:
    """Limit cookies to pages below the prefix, except the one that the first page reads."""
    for cookie in response.cookies.values():
        if cookie.key != settings.AGENCY_COOKIE_NAME and not cookie["path"].startswith(prefix):
            cookie["path"] = prefix


_ANONYMOUS_LIFETIME = 30 * 60


class Sessions(SessionMiddleware):
    """Sessions whose cookie is signed for one agency. The contents of the database alone give no access."""

    @staticmethod
    def _signer(request: HttpRequest) -> Signer:
        agency: Agency | None = getattr(request, "agency", None)
        return Signer(salt=f"musterbook.web.session.{agency.pk if agency else ''}")

    def process_request(self, request: HttpRequest) -> None:
        """Open the session that the cookie names, or none."""
        signed = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        try:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = self._signer(request).unsign(signed)
        except BadSignature:
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Sign the cookie, if one is set. A session without a user is kept for minutes."""
        if request.session.modified and SESSION_KEY not in request.session and not request.session.is_empty():
            request.session.set_expiry(_ANONYMOUS_LIFETIME)
        result: HttpResponse = super().process_response(request, response)
        self._lead_to_agency(request, result)
        cookie = result.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and cookie.value:
            result.set_cookie(
                settings.SESSION_COOKIE_NAME, self._signer(request).sign(cookie.value),
                max_age=cookie["max-age"] or None, httponly=True, secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )  # fmt: skip
        return result

    @staticmethod
    def _lead_to_agency(request: HttpRequest, response: HttpResponse) -> None:
        """Set the cookie that leads to the agency while the user is signed in, and delete it when they are not."""
        agency: Agency | None = getattr(request, "agency", None)
        if agency is None:
            return
        current = read_agency_cookie(request)
        if SESSION_KEY not in request.session:
            if current == agency.slug:
                response.delete_cookie(settings.AGENCY_COOKIE_NAME, samesite="Lax")
        elif current != agency.slug:
            response.set_cookie(
                settings.AGENCY_COOKIE_NAME, _AGENCY_SIGNER.sign(agency.slug),
                httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax",
            )  # fmt: skip


_END_MESSAGES = {
    sessions.IDLE: gettext_lazy("You were signed out after %(idle)d minutes without activity. Sign in to continue."),
    sessions.TOO_OLD: gettext_lazy(
        "You were signed out because you signed in over %(hours)d hours ago. Sign in to continue."
    ),
    "": gettext_lazy(
        "You were signed out because your password or access has changed, or you ended this session elsewhere. Sign in to"
        " continue."
    ),
}
"""The messages to the user, by the reason for which the session ended."""


def limits(respond: Respond) -> Respond:
    """End sessions that have lost their user, are idle for too long, or are 12 hours old.

    The agency sets how long a session may be idle. Also end a pending sign-in that waits for another step if what it
    depends on has changed.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        agency: Agency | None = getattr(request, "agency", None)
        ended = False
        if agency is not None and SESSION_KEY in request.session:
            ended = _end_if_invalid(request, agency)
        elif agency is not None and pending_sign_ins.end_changed(request):
            messages.info(request, pending_sign_ins.ENDED)
        response = respond(request)
        if ended:
            response.headers["Clear-Site-Data"] = current_session.FORGET
        return response

    return answer


def _end_if_invalid(request: HttpRequest, agency: Agency) -> bool:
    """End the session if it is no longer valid. Return whether it was ended."""
    if not isinstance(request.user, Account) or request.user.user.agency_id != agency.pk:
        # A user who gets their access back signs in again.
        logout(request)
        why = ""
    else:
        why = current_session.use(request)
        if not why:
            return False
        current_session.end_by_time(request, why)
    hours = settings.SESSION_COOKIE_AGE // 3600
    messages.info(request, _END_MESSAGES[why] % {"idle": agency.idle_minutes, "hours": hours})
    return True


class SignInAgain:
    """The middleware that redirects users to re-authentication, and back to what they were doing."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the page."""
        return self._respond(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Return the redirect if the page requires re-authentication, or if its user has just lost access."""
        if isinstance(error, snapshot_queries.UnknownOperator):
            logout(request)
            return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("home"))
        if not isinstance(error, ReauthenticationRequired):
            return None
        return reauthentication.redirect_to_reauth(request, strong=isinstance(error, reauthentication.StrongRequired))


_WITH_OLD_PASSWORD = (
    "account_change_password", "account_logout", "account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn",
)  # fmt: skip
"""The names of the pages that a user with an expired password may open."""


def password_age(respond: Respond) -> Respond:
    """Redirect users who signed in with an expired password to the page on which they choose a new one.

    They can open no other page.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if reauthentication.has_old_password(request):
            name = resolve(request.path_info).url_name
            if name not in _WITH_OLD_PASSWORD:
                messages.info(request, _("Your password has expired. Choose a new one to continue."))
                back = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
                return redirect(f"{reverse('account_change_password')}?{back}")
        return respond(request)

    return answer


_WITHOUT_FACTOR = ("mfa_", "account_", "sign_on_", "oidc_", "saml_")
"""The prefixes of the names of the pages that remain open.

A user who has yet to set up a required second factor may open them.
"""


def second_factor(respond: Respond) -> Respond:
    """Redirect users who lack a required second factor to the page on which they set it up.

    They can open no other page. API requests are refused with 403.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if reauthentication.lacks_factor(request):
            name = resolve(request.path_info).url_name or ""
            if not name.startswith(_WITHOUT_FACTOR):
                return redirect("mfa_index") if request.accepts("text/html") else _respond_forbidden()
        return respond(request)

    return answer


def _respond_forbidden() -> HttpResponse:
    message = "Your role requires a second factor. Sign in with a browser and set one up."
    return JsonResponse({"problem": message}, status=403)
