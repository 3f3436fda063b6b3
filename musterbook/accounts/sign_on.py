"""Single sign-on: the agency's providers, and whom of its users a provider means.

The directory is asked anew each time, and nothing is linked: who a provider means follows from the external id that it tells, or
else from the e-mail address, so an import that changes either changes whom it means, and nothing else does.
"""

import logging
from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.socialaccount.providers.saml import views as saml
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from lxml.etree import LxmlError
from requests import RequestException

from musterbook import secrecy
from musterbook.accounts import kinds, registration, requests, sessions
from musterbook.accounts.models import Account
from musterbook.core import keys
from musterbook.directory import locks, sign_on_file, trail
from musterbook.directory.models import Agency, User
from musterbook.directory.trail import Act

_LOG = logging.getLogger(__name__)
_NAMES = {"oidc": "openid_connect", "saml": "saml"}
"""What the library calls the two kinds."""
METHOD = "socialaccount"
"""What the library calls a sign-in by a provider, in its record of the session."""


def origins(agency: Agency) -> tuple[str, ...]:
    """The origins to which the sign-in form leads on."""
    addresses = [provider.get("server") or provider.get("sso_url") or "" for provider in agency.sign_on]
    return tuple(filter(None, map(sign_on_file.origin, addresses)))


def by_provider(request: HttpRequest) -> bool:
    """Whether the user has signed in by a provider that answers for the second factor as well."""
    records = requests.records(request)
    used = {record.get("provider") for record in records if record["method"] == METHOD}
    return any(p["slug"] in used and not p["second_factor"] for p in requests.agency(request).sign_on)


def _app(provider: dict[str, Any]) -> SocialApp:
    """The provider as the library wants it."""
    app = SocialApp(provider=_NAMES[provider["kind"]], provider_id=provider["slug"], name=provider["name"])
    if provider["kind"] == "oidc":
        app.client_id = provider["client_id"]
        app.secret = secrecy.unseal(provider["secret"]) if provider["secret"] else ""
        app.settings = {"server_url": provider["server"], "oauth_pkce_enabled": True}
        return app
    app.client_id = provider["slug"]
    app.settings = {
        "idp": {
            "entity_id": provider["entity_id"],
            "sso_url": provider["sso_url"],
            "x509cert": provider["certificate"],
        },
        # Names of one label are common within an agency's own network.
        "advanced": {
            "want_assertion_signed": True,
            "reject_idp_initiated_sso": True,
            "allow_single_label_domains": True,
        },
    }
    return app


class Adapter(DefaultSocialAccountAdapter):
    """How the library's flows go here."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The providers of the agency whose page it is; those of others do not exist here."""
        apps = [_app(told) for told in requests.agency(request).sign_on]
        return [
            app for app in apps
            if (provider is None or provider in (app.provider, app.provider_id))
            and (client_id is None or client_id == app.client_id)
        ]  # fmt: skip

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Signs in whom the provider means, if that is an Active user of the agency. The library goes no further."""
        agency, act = requests.agency(request), requests.act(request)
        slug = sociallogin.account.provider
        provider = next(told for told in agency.sign_on if told["slug"] == slug or _NAMES[told["kind"]] == slug)
        user = _meant(agency, provider, sociallogin)
        if user is None or not user.active:
            trail.tell(
                agency, act, kinds.SIGN_IN_FAILED, user, {"factors": ("", provider["slug"])}, outcome=kinds.FAILED
            )
            raise ImmediateHttpResponse(render(request, "sign_on_unknown.html", {"provider": provider}, status=403))
        account = _account(user, act)
        if request.user != account:
            sessions.leave(request)
        record_authentication(request, account, METHOD, provider=provider["slug"], uid=sociallogin.account.uid)
        url = sociallogin.get_redirect_url(request)
        raise ImmediateHttpResponse(perform_login(request, Login(user=account, redirect_url=url)))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **_: Any) -> None:
        """Whatever went wrong at a provider: the user signs in anew, and the trail has it."""
        slug = provider.app.provider_id
        told = {"factors": ("", slug)}
        trail.tell(
            requests.agency(request), requests.act(request), kinds.SIGN_IN_FAILED, None, told, outcome=kinds.FAILED
        )
        raise ImmediateHttpResponse(redirect("sign_on_failed"))


def _patient(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The library's view, for which a provider that is away, or an answer that is none, is no failure of ours."""

    def answer(request: HttpRequest, slug: str) -> HttpResponseBase:
        try:
            return view(request, slug)
        except (RequestException, OAuth2Error, LxmlError, ValueError) as error:
            _LOG.warning("A provider could not be used: %s", slug, exc_info=error)
            told = {"factors": ("", slug)}
            agency, act = requests.agency(request), requests.act(request)
            trail.tell(agency, act, kinds.SIGN_IN_FAILED, None, told, outcome=kinds.FAILED)
            return redirect("sign_on_failed")

    return answer


begin = _patient(openid_connect.login)
"""Sends the browser to a provider by OpenID Connect."""
finish = _patient(openid_connect.callback)
"""Takes what a provider by OpenID Connect sends the browser back with."""
finish_saml = _patient(saml.finish_acs)
"""Takes what a provider by SAML sends the browser back with."""


def _meant(agency: Agency, provider: dict[str, Any], sociallogin: SocialLogin) -> User | None:
    """The user of the agency with the external id that the provider tells, or with the e-mail address that it vouches for."""
    users = User.objects.filter(agency=agency).select_related("agency", "role", "account")
    claims = _claims(sociallogin.account.extra_data)
    if provider["match"] == "external_id":
        return users.filter(external_id=_first(claims.get(provider["claim"]))).first()
    vouched = provider["kind"] == "saml" or provider["trust_email"]
    addresses = [told.email for told in sociallogin.email_addresses if told.email and (told.verified or vouched)]
    return users.filter(email_key=keys.key(addresses[0])).first() if addresses else None


def _claims(extra: dict[str, Any]) -> dict[str, Any]:
    """What the provider told of the user, the signed part of it last."""
    return {**extra, **(extra.get("userinfo") or {}), **(extra.get("id_token") or {})}


def _first(told: object) -> str:
    """A claim's value; of several, the first."""
    value = told[0] if isinstance(told, list) and told else told
    return str(value) if isinstance(value, str | int) else ""


def _account(user: User, act: Act) -> Account:
    """The user's account, made by the first sign-in, which is the registration."""
    with transaction.atomic():
        locks.row(user.agency)
        account, made = Account.objects.get_or_create(user=user)
        if made:
            account.set_unusable_password()
            account.save(update_fields=["password"])
        if not User.objects.filter(pk=user.pk, registered_at=None).update(
            registered_at=act.at, invitation_expires_at=None
        ):
            return account
        trail.tell(user.agency, registration.by(user, act), kinds.REGISTERED, user)
    return account
