"""Single sign-on in a request: the sign-in by a provider's answer, and re-authentication at the provider."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.models import Login
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from musterbook.accounts import identities
from musterbook.accounts.allauth_internals import perform_login, record_authentication, resume_request
from musterbook.accounts.asked import Asked
from musterbook.accounts.claims import Told
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on import OTHER, Refused, account_of, check
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.http import current_session, incoming

METHOD = "socialaccount"
"""The method of a sign-in by a provider in a session's record."""


def by_provider(request: HttpRequest) -> bool:
    """Return whether the user has signed in by a provider that is trusted for the second factor as well."""
    records = incoming.records(request)
    used = {record.get("provider") for record in records if record["method"] == METHOD}
    return any(p["slug"] in used and not p["second_factor"] for p in incoming.agency(request).sign_on)


def enter(request: HttpRequest, provider: Provider, asked: Asked, told: Told) -> HttpResponseBase:
    """Sign in the user that the answer means, or re-authenticate them. Raise Refused."""
    agency, context = incoming.agency(request), incoming.audit_context(request)
    check(provider, asked, told, context)
    account = account_of(agency, provider, told, context)
    if asked.again:
        return _again(request, provider, asked, account, told)
    if request.user != account:
        current_session.leave(request)
    _record(request, account, provider, told)
    following = asked.next or None
    response: HttpResponseBase = perform_login(request, Login(user=account, redirect_url=following))
    return response


def _again(request: HttpRequest, provider: Provider, asked: Asked, account: Account, told: Told) -> HttpResponseBase:
    """Return the user to what they were doing, after a re-authentication at the provider.

    The user must be the one who is signed in. Raise Refused otherwise.
    """
    if not isinstance(request.user, Account) or request.user != account or account.pk != asked.again:
        raise Refused(OTHER, account.user)
    _record(request, account, provider, told)
    request.GET = QueryDict(urlencode({"next": asked.next}))
    response: HttpResponseBase = resume_request(request) or redirect("home")
    return response


def _record(request: HttpRequest, account: Account, provider: Provider, told: Told) -> None:
    """Record in the session the provider by which the user has signed in.

    The time is that of the sign-in at the provider, if the provider states it.
    """
    at = {} if told.at is None else {"at": min(told.at, incoming.audit_context(request).at.timestamp())}
    also: dict[str, Any] = {"provider": provider["slug"], "uid": told.subject, **at}
    record_authentication(request, account, METHOD, **also)


def again_by(request: HttpRequest) -> Provider | None:
    """Return the provider by which the user can re-authenticate, or None if another method is needed."""
    return identities.provider_of(request.user.user) if isinstance(request.user, Account) else None


def again_at(request: HttpRequest, back: str) -> str | None:
    """Return the URL of the page for re-authentication by the user's provider, or None if there is none."""
    return f"{reverse('sign_on_again')}?{urlencode({'next': back})}" if again_by(request) else None
