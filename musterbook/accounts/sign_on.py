"""Single sign-on: which of the agency's users a person of a provider is, and whether they may sign in.

The first sign-in finds the user by the external id that the provider tells, or by the e-mail address that it vouches for, and
binds the user to this person of the provider. From then on the person decides (`identities`).
"""

from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.internal.flows.reauthentication import resume_request
from allauth.account.models import Login
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from musterbook import outside
from musterbook.accounts import identities, kinds, registration, requests, sessions
from musterbook.accounts.asked import Asked
from musterbook.accounts.claims import Told
from musterbook.accounts.models import Account
from musterbook.core.values import emails, keys
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import locks

METHOD = "socialaccount"
"""What a session's record calls a sign-in by a provider."""
LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""

UNKNOWN = "nobody with an Active account is meant"
BOUND = "the user is linked to another person of a provider"
WEAK = "the provider did not sign the user in as strongly as is asked for"
OLD = "the provider does not say that the user has signed in recently enough"
OTHER = "somebody else signed in than the user who was asked to sign in again"


class Refused(Exception):
    """A genuine answer of a provider lets nobody in. `reason` is one of the sentences above."""

    def __init__(self, reason: str, user: User | None = None) -> None:
        super().__init__(reason)
        self.reason, self.user = reason, user


def provider(agency: Agency, kind: str, slug: str) -> Provider | None:
    """The agency's provider of that kind and short name; those of other agencies do not exist here."""
    return next((one for one in agency.sign_on if one["kind"] == kind and one["slug"] == slug), None)


def address(agency: Agency, provider: Provider) -> str:
    """What our addresses for the provider begin with: our public one, whatever a request says of its host."""
    return f"{settings.MUSTER_URL}/{agency.slug}/sign-in/with/{provider['kind']}/{provider['slug']}"


def origins(agency: Agency) -> tuple[str, ...]:
    """The origins to which the sign-in form leads on. They go into a header, so only what is plainly an address counts."""
    addresses = [provider.get("server") or provider.get("sso_url") or "" for provider in agency.sign_on]
    addresses += [f"https://{host}" for one in agency.sign_on for host in one.get("hosts", "").split()]
    return tuple(place.origin for place in map(outside.place, addresses) if place)


def by_provider(request: HttpRequest) -> bool:
    """Whether the user has signed in by a provider that answers for the second factor as well."""
    records = requests.records(request)
    used = {record.get("provider") for record in records if record["method"] == METHOD}
    return any(p["slug"] in used and not p["second_factor"] for p in requests.agency(request).sign_on)


def enter(request: HttpRequest, provider: Provider, asked: Asked, told: Told) -> HttpResponseBase:
    """Signs in the user who is meant, or signs them in again. Raises Refused."""
    agency, act = requests.agency(request), requests.act(request)
    check(provider, asked, told, act)
    account = _account(agency, provider, told, act)
    if asked.again:
        return _again(request, provider, asked, account, told)
    if request.user != account:
        sessions.leave(request)
    _record(request, account, provider, told)
    following = asked.next or None
    response: HttpResponseBase = perform_login(request, Login(user=account, redirect_url=following))
    return response


def check(provider: Provider, asked: Asked, told: Told, act: Act) -> None:
    """Checks that the user has signed in at the provider as strongly and as recently as is asked for. Raises Refused."""
    contexts, methods = provider.get("acr", "").split(), provider.get("amr", "").split()
    if (contexts and not set(contexts) & set(told.contexts)) or not set(methods) <= set(told.methods):
        raise Refused(WEAK)
    minutes = provider.get("max_age_minutes")
    oldest = asked.at if asked.again else act.at.timestamp() - minutes * 60 if minutes else None
    if oldest is not None and (told.at is None or told.at < oldest - LEEWAY):
        raise Refused(OLD)


def _again(request: HttpRequest, provider: Provider, asked: Asked, account: Account, told: Told) -> HttpResponseBase:
    """Takes the user who is signed in, and has signed in at the provider just now, back to what they were doing."""
    if not isinstance(request.user, Account) or request.user != account or account.pk != asked.again:
        raise Refused(OTHER, account.user)
    _record(request, account, provider, told)
    request.GET = QueryDict(urlencode({"next": asked.next}))
    response: HttpResponseBase = resume_request(request) or redirect("home")
    return response


def _record(request: HttpRequest, account: Account, provider: Provider, told: Told) -> None:
    """Notes in the session by which provider the user has signed in: at the time at which they did so there, if it says when."""
    at = {} if told.at is None else {"at": min(told.at, requests.act(request).at.timestamp())}
    also: dict[str, Any] = {"provider": provider["slug"], "uid": told.subject, **at}
    record_authentication(request, account, METHOD, **also)


def again_by(request: HttpRequest) -> Provider | None:
    """The provider by which the user can sign in again; None if it has to be in another way."""
    return identities.provider_of(request.user.user) if isinstance(request.user, Account) else None


def again_at(request: HttpRequest, back: str) -> str | None:
    """The address of the page at which the user signs in again by their provider; None if they have none."""
    return f"{reverse('sign_on_again')}?{urlencode({'next': back})}" if again_by(request) else None


def _account(agency: Agency, provider: Provider, told: Told, act: Act) -> Account:
    """The account of the user who is meant, made by the first sign-in, which is the registration. Raises Refused."""
    with transaction.atomic():
        locks.row(agency)
        user, subject = _meant(agency, provider, told)
        if not user.active:
            raise Refused(UNKNOWN, user)
        account = _registered(user, act)
        try:
            identities.bind(user, provider, subject, registration.by(user, act))
        except identities.BoundToAnother:
            raise Refused(BOUND, user) from None
        return account


def _meant(agency: Agency, provider: Provider, told: Told) -> tuple[User, str]:
    """The user who is bound to the person, or else the one that the provider's words fit; and what the person is called there."""
    fits = _fitting(agency, provider, told)
    subject = told.subject or (f"{provider['match']} {_said(provider, fits)}" if fits else "")
    bound = identities.user_of(agency, provider, subject) if subject else None
    if bound is not None and fits is not None and bound != fits:
        raise Refused(BOUND, fits)
    user = bound or fits
    if user is None:
        raise Refused(UNKNOWN)
    return user, subject


def _said(provider: Provider, user: User) -> str:
    """By what a provider knows the user that calls people by no name of its own."""
    return user.external_id if provider["match"] == "external_id" else user.email_key


def _fitting(agency: Agency, provider: Provider, told: Told) -> User | None:
    """The user of the agency with the external id that the provider tells, or with the address that it vouches for."""
    users = User.objects.filter(agency=agency).select_related("agency", "role", "account")
    if provider["match"] == "external_id":
        return users.filter(external_id=told.external_id).first() if told.external_id else None
    vouched = provider["kind"] == "saml" or provider["trust_email"]
    addresses = [address.email for address in told.addresses if address.verified or vouched]
    found = users.filter(email_key=keys.key(addresses[0])).first() if addresses else None
    # Addresses with one key may be two mailboxes, and another person's at the provider.
    return found if found and emails.mailbox(addresses[0]) == emails.mailbox(found.email) else None


def _registered(user: User, act: Act) -> Account:
    account, made = Account.objects.get_or_create(user=user)
    if made:
        account.set_unusable_password()
        account.save(update_fields=["password"])
    new = User.objects.filter(pk=user.pk, registered_at=None)
    if new.update(registered_at=act.at, invitation_expires_at=None):
        trail.tell(user.agency, registration.by(user, act), kinds.REGISTERED, user)
    return account
