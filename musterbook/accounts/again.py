"""Signing in again: what is grave is done only by who has signed in within the last quarter of an hour."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import get_script_prefix, resolve, reverse
from django.utils.http import urlencode

from musterbook import secrecy
from musterbook.accounts import browsers, factors, passwords, requests, sessions, sign_on, signing_in
from musterbook.accounts.models import Account


def is_recent(request: HttpRequest) -> bool:
    """Whether the user has signed in, in any way, or signed in again, recently enough."""
    latest = max((record["at"] for record in requests.records(request)), default=0)
    return bool(time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


class StrongRequired(ReauthenticationRequired):
    """The user has to sign in again with a second factor."""


def is_strong(request: HttpRequest) -> bool:
    """Whether the user has no second factor, or has shown one recently (or a provider that answers for it has)."""
    if not isinstance(request.user, Account) or not factors.has(request.user):
        return True
    since, vouches = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT, sign_on.by_provider(request)
    strong = {"mfa", sign_on.METHOD} if vouches else {"mfa"}
    return any(record["at"] > since and record["method"] in strong for record in requests.records(request))


def ask(request: HttpRequest, back: str = "", *, strong: bool = False) -> HttpResponseBase:
    """Leads to where the user signs in again, and from there to the address `back`, or else to what was asked for.

    A form that was sent is kept meanwhile, sealed, and then taken as sent; its files are not. Who has nothing but a provider
    signs in again there. Who has no way at all is signed out, and signs in as usual.
    `strong`: a password is not enough.
    """
    here = back or request.get_full_path()
    request.session.pop(STATE_SESSION_KEY, None)
    if not isinstance(request.user, Account):
        return redirect_to_login(here)
    ways = get_adapter().get_reauthentication_methods(request.user)
    if strong:
        ways = [way for way in ways if way["id"] != "reauthenticate"]
    to = f"{ways[0]['url']}?{urlencode({'next': here})}" if ways else sign_on.again_at(request, here)
    if to is None:
        sessions.end_own(request, sessions.AGAIN)
        return redirect_to_login(here)
    if request.method == "POST" and not back:
        # Not as the library keeps it: with all that was sent it would keep the signed cookie, readable in the database.
        told = json.dumps([request.user.pk, here, request.path_info, request.GET.urlencode(), request.POST.urlencode()])
        state = {"sealed": secrecy.seal(told)}
        request.session[STATE_SESSION_KEY] = {"state": state, "callback": f"{__name__}.resume"}
    return redirect(to)


def resume(request: HttpRequest, state: dict[str, Any]) -> HttpResponseBase:
    """Takes the form that was kept as sent, if it is this user's, and what they were about to go back to."""
    to = get_next_redirect_url(request) or reverse("home")
    whose, address, path, query, sent = json.loads(secrecy.unseal(state["sealed"]))
    # What the middleware asks of each page it asks of the page that signs in again as well, but lets that one pass.
    if (whose, address) != (request.user.pk, to) or is_held_back(request):
        return redirect(to)
    # Coming back from a provider is a GET. What is kept was a POST of this session, whose token was checked then.
    request.method, request.GET, request.POST = "POST", QueryDict(query), QueryDict(sent)
    request.path_info, request.path = path, f"{get_script_prefix()}{path.removeprefix('/')}"
    found = request.resolver_match = resolve(path)
    response: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
    return response


def is_held_back(request: HttpRequest) -> bool:
    """Whether the user has to set up a second factor, or choose a new password, before anything else."""
    return lacks_factor(request) or has_old_password(request)


def lacks_factor(request: HttpRequest) -> bool:
    """Whether the user must have a second factor, has none, and was signed in by no provider that answers for it."""
    user = request.user
    return isinstance(user, Account) and factors.lacks(user) and not sign_on.by_provider(request)


def has_old_password(request: HttpRequest) -> bool:
    """Whether the user has signed in with a password that is older than the agency allows."""
    user, now = request.user, datetime.now(UTC)
    return (
        isinstance(user, Account) and passwords.is_old(user, now) and "password" in requests.factors(request).split("+")
    )


def ask_for(request: HttpRequest, back: str, form: QueryDict) -> HttpResponseBase:
    """Does what `ask` does, for a form that is then taken as if it had been sent to the address `back`."""
    request.POST, request.GET = form, QueryDict()  # type: ignore[assignment]  # in place of what was sent
    request.path_info, request.path = f"/{back.removeprefix(get_script_prefix())}", back
    return ask(request)


def signed_in(*, request: HttpRequest, user: Account, **_: Any) -> None:
    """Hears of each step by which somebody signs in; tells of those by which they do so again."""
    if request.user == user:
        sessions.renew(request)
        factor, where = requests.factor(requests.records(request)[-1]), browsers.place(request, user)
        signing_in.signed_in_again(user, requests.act(request), factor, where)
