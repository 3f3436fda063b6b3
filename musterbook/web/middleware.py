"""What every request passes through: whose agency it is for, its session, and how long that lasts."""

from collections.abc import Callable
from datetime import UTC
from urllib.parse import unquote_to_bytes

from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import get_script_prefix, resolve, reverse, set_script_prefix, set_urlconf
from django.utils import timezone
from django.utils.http import urlencode

from musterbook.accounts import again, pending, sessions, sign_on, times
from musterbook.accounts.models import Account
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.models import Agency

Respond = Callable[[HttpRequest], HttpResponseBase]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'{providers}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def headers(respond: Respond) -> Respond:
    """Says to browsers what pages may load: nothing but our own. A page may name `providers` to send forms on to."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        providers = "".join(f" {origin}" for origin in getattr(request, "providers", ()))
        response.headers.setdefault("Content-Security-Policy", _POLICY.format(providers=providers))
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        # Nobody finds a page by the button “back” whose reader has signed out.
        response.headers.setdefault("Cache-Control", "no-store, private")
        return response

    return answer


def addresses(respond: Respond) -> Respond:
    """Has no page at an address with a NUL: none of ours has one, and PostgreSQL takes none to look for (404)."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info or b"\0" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
            raise Http404
        return respond(request)

    return answer


_HEALTH = "/health"


def agencies(respond: Respond) -> Respond:
    """Finds the agency that the address begins with, and has all addresses beneath it be those of `web.urls`, or of programs.

    The agency's name becomes what WSGI calls the script's name: so `reverse` gives addresses of this agency, the library's
    own among them, and cookies hold for this agency alone.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        slug, slash, rest = request.path_info.removeprefix("/").partition("/")
        # Whether the database can be used is for /health to find out.
        agency = Agency.objects.filter(slug=slug).first() if slug and request.path_info != _HEALTH else None
        if agency is None:
            return respond(request)
        if not slash:
            return HttpResponsePermanentRedirect(f"{request.path}/")
        return _within(agency, rest, request)

    def _within(agency: Agency, rest: str, request: HttpRequest) -> HttpResponseBase:
        before = get_script_prefix()
        prefix = f"{before}{agency.slug}/"
        request.agency = agency  # type: ignore[attr-defined]  # for `requests.agency`
        programs = settings.AGENCY_URLCONFS.get(rest.partition("/")[0])
        request.urlconf = programs or "musterbook.web.urls"
        if programs:
            # Programs have tokens. A browser's cookies let nobody in there, so no page can have one ask for it.
            request.COOKIES = {}
        request.providers = sign_on.origins(agency)  # type: ignore[attr-defined]  # for `headers`
        request.path_info = f"/{rest}"
        set_script_prefix(prefix)
        set_urlconf(request.urlconf)
        try:
            response = respond(request)
        finally:
            set_urlconf(None)
            set_script_prefix(before)
        _confine_cookies(response, prefix)
        return response

    return answer


def _confine_cookies(response: HttpResponseBase, prefix: str) -> None:
    """Has cookies hold for pages below the prefix alone."""
    for cookie in response.cookies.values():
        if not cookie["path"].startswith(prefix):
            cookie["path"] = prefix


_NOBODYS_LASTS = 30 * 60


class Sessions(SessionMiddleware):
    """Sessions whose cookie is signed, for one agency: what stands in the database does not let anybody in."""

    @staticmethod
    def _signer(request: HttpRequest) -> Signer:
        agency: Agency | None = getattr(request, "agency", None)
        return Signer(salt=f"musterbook.web.session.{agency.pk if agency else ''}")

    def process_request(self, request: HttpRequest) -> None:
        """Opens the session that the cookie names, or none."""
        signed = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        try:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = self._signer(request).unsign(signed)
        except BadSignature:
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Signs the cookie, if one is set. A session of nobody is kept for minutes."""
        if request.session.modified and SESSION_KEY not in request.session and not request.session.is_empty():
            request.session.set_expiry(_NOBODYS_LASTS)
        answered: HttpResponse = super().process_response(request, response)
        cookie = answered.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and cookie.value:
            answered.set_cookie(
                settings.SESSION_COOKIE_NAME, self._signer(request).sign(cookie.value),
                max_age=cookie["max-age"] or None, httponly=True, secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )  # fmt: skip
        return answered


_ENDED = {
    sessions.IDLE: "You were signed out because nothing was done here for {idle} minutes.",
    sessions.TOO_OLD: "You were signed out because it is more than {hours} hours since you signed in.",
    "": "You were signed out because your password or your access has changed, or you ended this session elsewhere.",
}
"""What to say to whom it happens."""


def limits(respond: Respond) -> Respond:
    """Ends sessions that lost their user, those out of use for longer than the agency says, and all after twelve hours.

    Also ends a sign-in that waits for another step, if what it depends on has changed.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        agency: Agency | None = getattr(request, "agency", None)
        ended = False
        if agency is not None and SESSION_KEY in request.session:
            ended = _ended(request, agency)
        elif agency is not None and pending.end_changed(request):
            messages.info(request, pending.ENDED)
        response = respond(request)
        if ended:
            response.headers["Clear-Site-Data"] = sessions.FORGET
        return response

    return answer


def _ended(request: HttpRequest, agency: Agency) -> bool:
    """End the session if it may not go on; tell whether it was ended."""
    if not isinstance(request.user, Account) or request.user.user.agency_id != agency.pk:
        # Whoever gets their access back signs in anew.
        logout(request)
        why = ""
    else:
        why = sessions.use(request)
        if not why:
            return False
        sessions.end_by_time(request, why)
    hours = settings.SESSION_COOKIE_AGE // 3600
    told = _ENDED[why].format(idle=agency.idle_minutes, hours=hours)
    messages.info(request, f"{told} Sign in to go on where you were.")
    return True


def time_zone(respond: Respond) -> Respond:
    """Has times be those of the reader's zone."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        reader = getattr(request, "user", None)
        with timezone.override(times.zone(reader) if isinstance(reader, Account) else UTC):
            return respond(request)

    return answer


class SignInAgain:
    """Leads who has to sign in again to where they do, and back to what they were doing."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The answer of the page."""
        return self._respond(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """The way there, if that is what the page asks for, or if its user lost access a moment ago."""
        if isinstance(error, snapshot_queries.UnknownOperator):
            logout(request)
            return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("home"))
        if not isinstance(error, ReauthenticationRequired):
            return None
        return again.ask(request, strong=isinstance(error, again.StrongRequired))


_WITH_OLD_PASSWORD = (
    "account_change_password", "account_logout", "account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn",
)  # fmt: skip
"""The names of pages that a user may see whose password is too old."""


def password_age(respond: Respond) -> Respond:
    """Leads who has signed in with a password that is too old to where they choose a new one, and nowhere else."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if again.has_old_password(request):
            name = resolve(request.path_info).url_name
            if name not in _WITH_OLD_PASSWORD:
                messages.info(request, "Your password is too old. Choose a new one to go on.")
                back = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
                return redirect(f"{reverse('account_change_password')}?{back}")
        return respond(request)

    return answer


_WITHOUT_FACTOR = ("mfa_", "account_", "sign_on_", "oidc_", "saml_")
"""The names of pages that a user may see who has yet to set up a second factor."""


def second_factor(respond: Respond) -> Respond:
    """Leads who must have a second factor, and has none, to where it is set up, and nowhere else; refuses programs (403)."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if again.lacks_factor(request):
            name = resolve(request.path_info).url_name or ""
            if not name.startswith(_WITHOUT_FACTOR):
                return redirect("mfa_index") if request.accepts("text/html") else _set_up_first()
        return respond(request)

    return answer


def _set_up_first() -> HttpResponse:
    said = "Your role asks for a second factor. Sign in with a browser, and set one up."
    return JsonResponse({"problem": said}, status=403)
