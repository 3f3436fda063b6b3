"""The pages between the sign-in page and an identity provider, and back.

Single sign-on has no other addresses. All other addresses below these, and these without a provider, are not found
(404).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from allauth.account.utils import get_next_redirect_url
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from musterbook.accounts import claims, openid, saml, sign_on, sign_on_attempts, unauthenticated_events
from musterbook.accounts.claims import Address, PersonClaims, Untrusted
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on import SignOnRefused
from musterbook.accounts.sign_on_attempts import SignOnAttempt
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.audit.event_kinds import FAILED, EventKind
from musterbook.directory.models import User
from musterbook.http import provider_sign_in, rate_limits, request_context, sign_on_cookies
from musterbook.web import parsers as queries

_LOG = logging.getLogger(__name__)
_LARGEST_FORM = 3 * saml.LARGEST // 2 + 4_096
"""The most bytes of a form with a response.

A response is up to a third longer if each plus and slash is written as three characters.
"""
View = Callable[[HttpRequest, Provider], HttpResponseBase]
Page = Callable[..., HttpResponseBase]


def _with_provider(kind: str) -> Callable[[View], Page]:
    """Decorate the page of one identity provider. It is not found (404) unless the agency has the provider.

    An unreachable or untrustworthy provider is not an internal error.
    """

    def decorate(view: View) -> Page:
        def page(request: HttpRequest, slug: str) -> HttpResponseBase:
            provider = sign_on.find_provider(request_context.agency(request), kind, slug)
            if provider is None:
                raise Http404
            try:
                return view(request, provider)
            except Untrusted as error:
                _LOG.warning(
                    "A response of the provider %s was rejected: %s", provider["slug"], ascii(str(error)[:500])
                )
                _record_failure(request, provider, error.reason, None)
                return redirect("sign_on_failed")
            except SignOnRefused as refused:
                _record_failure(request, provider, refused.reason, refused.user)
                return _render_refusal(request, provider, refused.reason)

        page.__name__, page.__doc__ = view.__name__, view.__doc__
        return page

    return decorate


def _record_failure(request: HttpRequest, provider: Provider, reason: str, user: User | None) -> None:
    changes = {"factors": ("", provider["slug"]), "why": ("", reason)}
    agency, context = request_context.agency(request), request_context.audit_context(request)
    unauthenticated_events.record_event(agency, context, EventKind.USER_SIGN_IN_FAILED, user, changes, outcome=FAILED)


_PAGES = {sign_on.BOUND: "sign_on_bound.html", sign_on.UNKNOWN: "sign_on_unknown.html"}


def _render_refusal(request: HttpRequest, provider: Provider, reason: str) -> HttpResponse:
    context = {"provider": provider, "reason": reason, "old": reason == sign_on.OLD, "other": reason == sign_on.OTHER}
    return render(request, _PAGES.get(reason, "sign_on_weak.html"), context, status=HTTPStatus.FORBIDDEN)


def _limit_failures(view: View) -> View:
    """Limit the failures of the page by address."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if not rate_limits.take(request, "failed sign-on"):
            return rate_limits.render_refusal(request, "failed sign-on")
        response = view(request, provider)
        rate_limits.give_back(request, "failed sign-on")
        return response

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@require_GET
def again(request: HttpRequest) -> HttpResponseBase:
    """Show the re-authentication page of a user who has only an identity provider."""
    provider = provider_sign_in.find_provider(request)
    if provider is None:
        return redirect("account_login")
    following = get_next_redirect_url(request) or ""
    return render(request, "sign_on_again.html", {"provider": provider, "next": following})


def _start_attempt(request: HttpRequest, provider: Provider) -> SignOnAttempt:
    """Return a new sign-in, or a new re-authentication of the signed-in user."""
    user, following = request.user, get_next_redirect_url(request) or ""
    again = user.pk if isinstance(user, Account) and request.POST.get("again") else 0
    return sign_on_attempts.start_sign_on(provider["slug"], request_context.audit_context(request).at, following, again)


def _send_to_provider(request: HttpRequest, address: str, attempt: SignOnAttempt) -> HttpResponseBase:
    response = HttpResponse(status=HTTPStatus.FOUND, headers={"Location": address})
    sign_on_cookies.store_attempt(request, response, attempt)
    return response


def _require_form(view: View) -> View:
    """Begin the page only from a form of ours. A user who opens its address gets the form."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, provider)
        return render(request, "sign_on_begin.html", {"provider": provider})

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@_with_provider("oidc")
@rate_limits.limit_by_address("sign-on", "POST")
@_require_form
def begin(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Redirect the browser to an OpenID Connect provider."""
    attempt = _start_attempt(request, provider)
    return _send_to_provider(request, openid.begin(provider, attempt, _build_callback(request, provider)), attempt)


def _build_callback(request: HttpRequest, provider: Provider) -> str:
    return f"{sign_on.build_base_url(request_context.agency(request), provider)}/login/callback/"


@never_cache
@_with_provider("oidc")
@require_GET
@rate_limits.limit_by_address("sign-on")
@_limit_failures
def finish(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Process the response with which an OpenID Connect provider redirects the browser back."""
    states = request.GET.getlist("state")
    attempt = _take_attempt(request, provider, states[0] if len(states) == 1 else "")
    person = openid.finish(provider, attempt, dict(request.GET.lists()), _build_callback(request, provider))
    return _sign_in(request, provider, attempt, person)


def _take_attempt(request: HttpRequest, provider: Provider, state: str) -> SignOnAttempt:
    """Return the sign-in that this browser has begun, and mark it as used.

    Raise Untrusted if there is none, or if it was used before.
    """
    attempt = sign_on_cookies.find_attempt(request, provider["slug"], state)
    if attempt is None or not sign_on_attempts.spend(attempt, request_context.audit_context(request).at):
        raise Untrusted(claims.NOT_ASKED)
    return attempt


def _sign_in(
    request: HttpRequest, provider: Provider, attempt: SignOnAttempt, person: PersonClaims
) -> HttpResponseBase:
    response = provider_sign_in.finish_sign_in(request, provider, attempt, person)
    sign_on_cookies.drop_attempt(request, response, attempt.state)
    return response


@never_cache
@_with_provider("saml")
@rate_limits.limit_by_address("sign-on", "POST")
@_require_form
def begin_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Redirect the browser to a SAML provider."""
    attempt = _start_attempt(request, provider)
    start = sign_on.build_base_url(request_context.agency(request), provider)
    address, number = saml.begin(provider, start, again=bool(attempt.again))
    saml_attempt = sign_on_attempts.start_sign_on(
        attempt.slug, request_context.audit_context(request).at, attempt.next, attempt.again, number
    )
    return _send_to_provider(request, address, saml_attempt)


@csrf_exempt
@never_cache
@_with_provider("saml")
@require_POST
@rate_limits.limit_by_address("sign-on")
@_limit_failures
def acs(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Check the SAML response that the browser posts, and redirect to the page that finishes the sign-in.

    The provider's page makes the browser post it. That page is on another site, so this request has no cookies of the
    browser. The next request has them. Nothing is stored on the server.
    """
    length = queries.parse_number(request.META.get("CONTENT_LENGTH") or "0")
    if length is None or length > _LARGEST_FORM:
        raise Untrusted(claims.RESPONSE, "it is too large")
    encoded = request.POST.get("SAMLResponse", "")
    if not encoded or len(encoded) > saml.LARGEST:
        raise Untrusted(claims.RESPONSE, "there is none, or it is too large")
    number, person = saml.finish(provider, encoded, sign_on.build_base_url(request_context.agency(request), provider))
    response = redirect("saml_finish_acs", provider["slug"])
    sign_on_cookies.store_answer(request, response, provider["slug"], [number, asdict(person)])
    return response


@never_cache
@_with_provider("saml")
@require_GET
@rate_limits.limit_by_address("sign-on")
@_limit_failures
def finish_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Sign in the user that a checked response identifies, in the browser that began the sign-in."""
    answer = sign_on_cookies.read_answer(request, provider["slug"])
    if answer is None:
        raise Untrusted(claims.NOT_ASKED)
    number, stored = answer
    attempt = _take_attempt(request, provider, number)
    response = _sign_in(request, provider, attempt, _read_claims(stored))
    sign_on_cookies.drop_answer(response)
    return response


def _read_claims(stored: Mapping[str, Any]) -> PersonClaims:
    """Return the provider's statement about the person, from the sealed cookie."""
    addresses = tuple(Address(**entry) for entry in stored["addresses"])
    return PersonClaims(**{**stored, "addresses": addresses, "contexts": tuple(stored["contexts"]), "methods": ()})


@_with_provider("saml")
@require_GET
@rate_limits.limit_by_address("sign-on")
def metadata(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Return the metadata that a SAML provider must know of us."""
    xml = saml.build_metadata(provider, sign_on.build_base_url(request_context.agency(request), provider))
    return HttpResponse(xml, content_type="text/xml; charset=utf-8")
