"""The pages between the sign-in page and a provider of single sign-on, and back.

These are all addresses that single sign-on has. Anything else below them, and any of them without a provider, is not found (404).
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

from musterbook.accounts import asked, claims, kinds, limited, openid, requests, saml, sign_on, strangers
from musterbook.accounts.asked import Asked
from musterbook.accounts.claims import Address, Told, Untrusted
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on import Refused
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.models import User
from musterbook.web import asked as queries

_LOG = logging.getLogger(__name__)
_LARGEST_FORM = 3 * saml.LARGEST // 2 + 4_096
"""The most bytes of a form with a response: a third more where each plus and slash is written as three characters."""
View = Callable[[HttpRequest, Provider], HttpResponseBase]
Page = Callable[..., HttpResponseBase]


def _with_provider(kind: str) -> Callable[[View], Page]:
    """The page of one provider: not found unless the agency has it. A provider that is away, or lies, is no failure of ours."""

    def decorate(view: View) -> Page:
        def page(request: HttpRequest, slug: str) -> HttpResponseBase:
            provider = sign_on.provider(requests.agency(request), kind, slug)
            if provider is None:
                raise Http404
            try:
                return view(request, provider)
            except Untrusted as error:
                _LOG.warning("An answer of the provider %s was not used: %s", provider["slug"], ascii(str(error)[:500]))
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
    agency, act = requests.agency(request), requests.act(request)
    strangers.tell(agency, act, kinds.SIGN_IN_FAILED, user, told, outcome=kinds.FAILED)


_PAGES = {sign_on.BOUND: "sign_on_bound.html", sign_on.UNKNOWN: "sign_on_unknown.html"}


def _refused(request: HttpRequest, provider: Provider, reason: str) -> HttpResponse:
    told = {"provider": provider, "reason": reason, "old": reason == sign_on.OLD, "other": reason == sign_on.OTHER}
    return render(request, _PAGES.get(reason, "sign_on_weak.html"), told, status=HTTPStatus.FORBIDDEN)


def _counted(view: View) -> View:
    """The page, whose failures are limited by address."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if not limited.take(request, "failed sign-on"):
            return limited.refused(request, "failed sign-on")
        response = view(request, provider)
        limited.give_back(request, "failed sign-on")
        return response

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@require_GET
def again(request: HttpRequest) -> HttpResponseBase:
    """Where a user who has nothing but a provider signs in again."""
    provider = sign_on.again_by(request)
    if provider is None:
        return redirect("account_login")
    following = get_next_redirect_url(request) or ""
    return render(request, "sign_on_again.html", {"provider": provider, "next": following})


def _begun(request: HttpRequest, provider: Provider) -> Asked:
    """The sign-in that begins, or the one again of the user who is signed in."""
    user, following = request.user, get_next_redirect_url(request) or ""
    again = user.pk if isinstance(user, Account) and request.POST.get("again") else 0
    return asked.new(provider["slug"], requests.act(request).at, following, again)


def _begin(request: HttpRequest, address: str, begun: Asked) -> HttpResponseBase:
    response = HttpResponse(status=HTTPStatus.FOUND, headers={"Location": address})
    asked.keep(request, response, begun)
    return response


def _by_form(view: View) -> View:
    """The page, which only a form of ours begins; who opens its address finds the form."""

    def page(request: HttpRequest, provider: Provider) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, provider)
        return render(request, "sign_on_begin.html", {"provider": provider})

    page.__name__, page.__doc__ = view.__name__, view.__doc__
    return page


@never_cache
@_with_provider("oidc")
@limited.by_address("sign-on", "POST")
@_by_form
def begin(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Sends the browser to a provider by OpenID Connect."""
    begun = _begun(request, provider)
    return _begin(request, openid.begin(provider, begun, _back(request, provider)), begun)


def _back(request: HttpRequest, provider: Provider) -> str:
    return f"{sign_on.address(requests.agency(request), provider)}/login/callback/"


@never_cache
@_with_provider("oidc")
@require_GET
@limited.by_address("sign-on")
@_counted
def finish(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Takes what a provider by OpenID Connect sends the browser back with."""
    states = request.GET.getlist("state")
    begun = _spent(request, provider, states[0] if len(states) == 1 else "")
    told = openid.finish(provider, begun, request.GET, _back(request, provider))
    return _entered(request, provider, begun, told)


def _spent(request: HttpRequest, provider: Provider, state: str) -> Asked:
    """The sign-in that this browser has begun, from now on used. Raises Untrusted if there is none, or it was used before."""
    begun = asked.find(request, provider["slug"], state)
    if begun is None or not asked.spend(begun, requests.act(request).at):
        raise Untrusted(claims.NOT_ASKED)
    return begun


def _entered(request: HttpRequest, provider: Provider, begun: Asked, told: Told) -> HttpResponseBase:
    response = sign_on.enter(request, provider, begun, told)
    asked.drop(request, response, begun.state)
    return response


@never_cache
@_with_provider("saml")
@limited.by_address("sign-on", "POST")
@_by_form
def begin_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Sends the browser to a provider by SAML."""
    begun = _begun(request, provider)
    start = sign_on.address(requests.agency(request), provider)
    address, number = saml.begin(provider, start, again=bool(begun.again))
    named = asked.new(begun.slug, requests.act(request).at, begun.next, begun.again, number)
    return _begin(request, address, named)


@csrf_exempt
@never_cache
@_with_provider("saml")
@require_POST
@limited.by_address("sign-on")
@_counted
def acs(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Takes what a provider's own page has the browser send, checks it, and has the browser bring it on as a page of ours.

    The provider's page is another site, so the browser's cookies do not come along; the next request has them. Nothing is stored.
    """
    length = queries.number(request.META.get("CONTENT_LENGTH") or "0")
    if length is None or length > _LARGEST_FORM:
        raise Untrusted(claims.RESPONSE, "it is too large")
    sent = request.POST.get("SAMLResponse", "")
    if not sent or len(sent) > saml.LARGEST:
        raise Untrusted(claims.RESPONSE, "there is none, or it is too large")
    number, told = saml.finish(provider, sent, sign_on.address(requests.agency(request), provider))
    response = redirect("saml_finish_acs", provider["slug"])
    asked.keep_answer(request, response, provider["slug"], [number, asdict(told)])
    return response


@never_cache
@_with_provider("saml")
@require_GET
@limited.by_address("sign-on")
@_counted
def finish_saml(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """Signs in the user whom a checked response means, in the browser that asked for it."""
    answer = asked.answer(request, provider["slug"])
    if answer is None:
        raise Untrusted(claims.NOT_ASKED)
    number, told = answer
    begun = _spent(request, provider, number)
    response = _entered(request, provider, begun, _told(told))
    asked.drop_answer(response)
    return response


def _told(kept: Mapping[str, Any]) -> Told:
    """What the provider says of the person, as the browser brings it on, sealed."""
    addresses = tuple(Address(**one) for one in kept["addresses"])
    return Told(**{**kept, "addresses": addresses, "contexts": tuple(kept["contexts"]), "methods": ()})


@_with_provider("saml")
@require_GET
@limited.by_address("sign-on")
def metadata(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    """What a provider by SAML must know of us."""
    told = saml.metadata(provider, sign_on.address(requests.agency(request), provider))
    return HttpResponse(told, content_type="text/xml; charset=utf-8")
