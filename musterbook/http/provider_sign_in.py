"""Single sign-on in a request: the sign-in by a provider's answer, and re-authentication at the provider."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.models import Login
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from musterbook.accounts import identities
from musterbook.accounts.allauth_internals import perform_login, record_authentication, resume_request
from musterbook.accounts.claims import PersonClaims
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on import OTHER, SignOnRefused, check_strength, resolve_account
from musterbook.accounts.sign_on_attempts import SignOnAttempt
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.http import current_session, request_context

METHOD = "socialaccount"
"""The method of a sign-in by a provider in a session's record."""


def is_provider_trusted(request: HttpRequest) -> bool:
    """Return whether the user has signed in by a provider that is trusted for the second factor as well."""
    records = request_context.list_records(request)
    slugs = {record.get("provider") for record in records if record["method"] == METHOD}
    return any(p["slug"] in slugs and not p["second_factor"] for p in request_context.agency(request).sign_on)


def finish_sign_in(
    request: HttpRequest, provider: Provider, attempt: SignOnAttempt, person: PersonClaims
) -> HttpResponseBase:
    """Sign in the user that the answer means, or re-authenticate them. Raise SignOnRefused."""
    agency, context = request_context.agency(request), request_context.audit_context(request)
    check_strength(provider, attempt, person, context)
    account = resolve_account(agency, provider, person, context)
    if attempt.again:
        return _reauthenticate(request, provider, attempt, account, person)
    if request.user != account:
        current_session.leave(request)
    _record_sign_in(request, account, provider, person)
    following = attempt.next or None
    response: HttpResponseBase = perform_login(request, Login(user=account, redirect_url=following))
    return response


def _reauthenticate(
    request: HttpRequest, provider: Provider, attempt: SignOnAttempt, account: Account, person: PersonClaims
) -> HttpResponseBase:
    """Return the user to what they were doing, after a re-authentication at the provider.

    The user must be the one who is signed in. Raise SignOnRefused otherwise.
    """
    if not isinstance(request.user, Account) or request.user != account or account.pk != attempt.again:
        raise SignOnRefused(OTHER, account.user)
    _record_sign_in(request, account, provider, person)
    request.GET = QueryDict(urlencode({"next": attempt.next}))
    response: HttpResponseBase = resume_request(request) or redirect("home")
    return response


def _record_sign_in(request: HttpRequest, account: Account, provider: Provider, person: PersonClaims) -> None:
    """Record in the session the provider by which the user has signed in.

    The time is that of the sign-in at the provider, if the provider states it.
    """
    at = {} if person.at is None else {"at": min(person.at, request_context.audit_context(request).at.timestamp())}
    also: dict[str, Any] = {"provider": provider["slug"], "uid": person.subject, **at}
    record_authentication(request, account, METHOD, **also)


def find_provider(request: HttpRequest) -> Provider | None:
    """Return the provider by which the user can re-authenticate, or None if another method is needed."""
    return identities.find_provider(request.user.user) if isinstance(request.user, Account) else None


def build_reauth_url(request: HttpRequest, back: str) -> str | None:
    """Return the URL of the page for re-authentication by the user's provider, or None if there is none."""
    return f"{reverse('sign_on_again')}?{urlencode({'next': back})}" if find_provider(request) else None
