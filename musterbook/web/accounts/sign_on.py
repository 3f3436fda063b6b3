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

from musterbook.accounts import asked, claims, openid, saml, sign_on, strangers
from musterbook.accounts.asked import Asked
from musterbook.accounts.claims import Address, Told, Untrusted
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on import Refused
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.audit.event_kinds import FAILED, EventKind
from musterbook.directory.models import User
from musterbook.http import incoming, provider_sign_in, rate_limits, sign_on_cookies
from musterbook.web import asked as queries

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
            provider = sign_on.provider(incoming.agency(request), kind, slug)
            if provider is None:
                raise Http404
            try:
                return view(request, provider)
            except Untrusted as error:
                _LOG.warning(
                    "A response of the provider %s was rejected: %s", provider["slug"], ascii(str(error)[:500])
                )
                _tell(request, provider, error.reason, None)
                return redirect("sign_on_failed")
            except Refused as refused:
                _tell(request, provider, refused.reason, refused.user)
                return _refused(request, provider, refused.reason)

        page.__name__, page.__doc__ = view.__name__, view.__doc__
        return page

    return decorate


def _tell(request: HttpRequest, provider: Provider, reason: str, user: User | None) -> None:
    told = {"factors": ("", provider["slug"]), "why": ("", reason)}
    agency, context = incoming.agency(request), incoming.audit_context(request)
    strangers.record_event(agency, context, EventKind.USER_SIGN_IN_FAILED, user, told, outcome=FAILED)


_PAGES = {sign_on.BOUND: "sign_on_bound.html", sign_on.UNKNOWN: "sign_on_unknown.html"}


def _refused(request: HttpRequest, provider: Provider, reason: str) -> HttpResponse:
    told = {"provider": provider, "reason": reason, "old": reason == sign_on.OLD, "other": reason == sign_on.OTHER}
    return render(request, _PAGES.get(reason, "sign_on_weak.html"), told, status=HTTPStatus.FORBIDDEN)


def _counted(view: View) -> View:
    """Limit the failures of the page by address."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if not rate_limits.take(request, "failed sign-on"):
            return rate_limits.refused(request, "failed sign-on")
        response = view(request, provider)
        rate_limits.give_back(request, "failed sign-on")
        return response

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@require_GET
def again(request: HttpRequest) -> HttpResponseBase:
    """Show the re-authentication page of a user who has only an identity provider."""
    provider = provider_sign_in.again_by(request)
    if provider is None:
        return redirect("account_login")
    following = get_next_redirect_url(request) or ""
    return render(request, "sign_on_again.html", {"provider": provider, "next": following})


def _begun(request: HttpRequest, provider: Provider) -> Asked:
    """Return a new sign-in, or a new re-authentication of the signed-in user."""
    user, following = request.user, get_next_redirect_url(request) or ""
    again = user.pk if isinstance(user, Account) and request.POST.get("again") else 0
    return asked.new(provider["slug"], incoming.audit_context(request).at, following, again)


def _begin(request: HttpRequest, address: str, begun: Asked) -> HttpResponseBase:
    response = HttpResponse(status=HTTPStatus.FOUND, headers={"Location": address})
    sign_on_cookies.keep(request, response, begun)
    return response


def _by_form(view: View) -> View:
    """Begin the page only from a form of ours. A user who opens its address gets the form."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, provider)
        return render(request, "sign_on_begin.html", {"provider": provider})

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@_with_provider("oidc")
@rate_limits.by_address("sign-on", "POST")
@_by_form
def begin(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Redirect the browser to an OpenID Connect provider."""
    begun = _begun(request, provider)
    return _begin(request, openid.begin(provider, begun, _back(request, provider)), begun)


def _back(request: HttpRequest, provider: Provider) -> str:
    return f"{sign_on.address(incoming.agency(request), provider)}/login/callback/"


@never_cache
@_with_provider("oidc")
@require_GET
@rate_limits.by_address("sign-on")
@_counted
def finish(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Process the response with which an OpenID Connect provider redirects the browser back."""
    states = request.GET.getlist("state")
    begun = _spent(request, provider, states[0] if len(states) == 1 else "")
    told = openid.finish(provider, begun, dict(request.GET.lists()), _back(request, provider))
    return _entered(request, provider, begun, told)


def _spent(request: HttpRequest, provider: Provider, state: str) -> Asked:
    """Return the sign-in that this browser has begun, and mark it as used.

    Raise Untrusted if there is none, or if it was used before.
    """
    begun = sign_on_cookies.find(request, provider["slug"], state)
    if begun is None or not asked.spend(begun, incoming.audit_context(request).at):
        raise Untrusted(claims.NOT_ASKED)
    return begun


def _entered(request: HttpRequest, provider: Provider, begun: Asked, told: Told) -> HttpResponseBase:
    response = provider_sign_in.enter(request, provider, begun, told)
    sign_on_cookies.drop(request, response, begun.state)
    return response


@never_cache
@_with_provider("saml")
@rate_limits.by_address("sign-on", "POST")
@_by_form
def begin_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Redirect the browser to a SAML provider."""
    begun = _begun(request, provider)
    start = sign_on.address(incoming.agency(request), provider)
    address, number = saml.begin(provider, start, again=bool(begun.again))
    named = asked.new(begun.slug, incoming.audit_context(request).at, begun.next, begun.again, number)
    return _begin(request, address, named)


@csrf_exempt
@never_cache
@_with_provider("saml")
@require_POST
@rate_limits.by_address("sign-on")
@_counted
def acs(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Check the SAML response that the browser posts, and redirect to the page that finishes the sign-in.

    The provider's page makes the browser post it. That page is on another site, so this request has no cookies of the
    browser. The next request has them. Nothing is stored on the server.
    """
    length = queries.number(request.META.get("CONTENT_LENGTH") or "0")
    if length is None or length > _LARGEST_FORM:
        raise Untrusted(claims.RESPONSE, "it is too large")
    sent = request.POST.get("SAMLResponse", "")
    if not sent or len(sent) > saml.LARGEST:
        raise Untrusted(claims.RESPONSE, "there is none, or it is too large")
    number, told = saml.finish(provider, sent, sign_on.address(incoming.agency(request), provider))
    response = redirect("saml_finish_acs", provider["slug"])
    sign_on_cookies.keep_answer(request, response, provider["slug"], [number, asdict(told)])
    return response


@never_cache
@_with_provider("saml")
@require_GET
@rate_limits.by_address("sign-on")
@_counted
def finish_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Sign in the user that a checked response identifies, in the browser that began the sign-in."""
    answer = sign_on_cookies.answer(request, provider["slug"])
    if answer is None:
        raise Untrusted(claims.NOT_ASKED)
    number, told = answer
    begun = _spent(request, provider, number)
    response = _entered(request, provider, begun, _told(told))
    sign_on_cookies.drop_answer(response)
    return response


def _told(kept: Mapping[str, Any]) -> Told:
    """Return the provider's statement about the person, from the sealed cookie."""
    addresses = tuple(Address(**one) for one in kept["addresses"])
    return Told(**{**kept, "addresses": addresses, "contexts": tuple(kept["contexts"]), "methods": ()})


@_with_provider("saml")
@require_GET
@rate_limits.by_address("sign-on")
def metadata(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Return the metadata that a SAML provider must know of us."""
    told = saml.metadata(provider, sign_on.address(incoming.agency(request), provider))
    return HttpResponse(told, content_type="text/xml; charset=utf-8")
