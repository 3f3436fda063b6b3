"""Re-authentication: sensitive actions require a sign-in within the last 15 minutes."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import get_script_prefix, resolve, reverse
from django.utils.http import urlencode

from musterbook.accounts import factors, passwords, signing_in
from musterbook.accounts.allauth_internals import STATE_SESSION_KEY
from musterbook.accounts.models import Account
from musterbook.accounts.sessions import AGAIN
from musterbook.config import encryption
from musterbook.http import browsers, current_session, provider_sign_in, request_context

_RESUME = "musterbook.http.reauthentication.resume"
"""The function that processes a stored form. Sessions store this name, so neither the function nor the module is renamed."""


def is_recent(request: HttpRequest) -> bool:
    """Return whether the user has signed in or re-authenticated recently enough, by any method."""
    return any(map(_is_recent_record, request_context.list_records(request)))


def _is_recent_record(record: Mapping[str, Any]) -> bool:
    """Return whether the record is recent. A time in the future is one of a clock that was set back."""
    return bool(abs(time.time() - record["at"]) < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


class StrongRequired(ReauthenticationRequired):
    """The error for a user who must re-authenticate with a second factor."""


def is_strong(request: HttpRequest) -> bool:
    """Return whether the user has no second factor, or has shown one recently.

    A recent sign-in by a provider that is trusted for the second factor counts too.
    """
    if not isinstance(request.user, Account) or not factors.has_factor(request.user):
        return True
    strong = {"mfa", provider_sign_in.METHOD} if provider_sign_in.is_provider_trusted(request) else {"mfa"}
    records = request_context.list_records(request)
    return any(record["method"] in strong and _is_recent_record(record) for record in records)


def redirect_to_reauth(request: HttpRequest, back: str = "", *, strong: bool = False) -> HttpResponseBase:
    """Redirect to the page where the user re-authenticates, and from there to `back`.

    Without `back`, the user returns to the requested page. A submitted form is sealed and stored meanwhile, and then
    processed as sent; its files are not stored. A user who has only a provider re-authenticates there. A user who has
    no method at all is signed out, and signs in as usual. `strong`: a password is not enough.
    """
    target = back or request.get_full_path()
    request.session.pop(STATE_SESSION_KEY, None)
    if not isinstance(request.user, Account):
        return redirect_to_login(target)
    methods = get_adapter().get_reauthentication_methods(request.user)
    if strong:
        methods = [method for method in methods if method["id"] != "reauthenticate"]
    to = (
        f"{methods[0]['url']}?{urlencode({'next': target})}"
        if methods
        else provider_sign_in.build_reauth_url(request, target)
    )
    if to is None:
        current_session.end_own(request, AGAIN)
        return redirect_to_login(target)
    if request.method == "POST" and not back:
        # Not in the library's format: with everything that was sent, it would store the signed cookie, readable in the
        # database.
        form_state = json.dumps(
            [request.user.pk, target, request.path_info, request.GET.urlencode(), request.POST.urlencode()]
        )
        state = {"sealed": encryption.seal(form_state)}
        request.session[STATE_SESSION_KEY] = {"state": state, "callback": _RESUME}
    return redirect(to)


def resume(request: HttpRequest, state: dict[str, Any]) -> HttpResponseBase:
    """Process the stored form as sent.

    The form must belong to this user, and to the page that the user is about to return to.
    """
    to = get_next_redirect_url(request) or reverse("home")
    owner, address, path, query, body = json.loads(encryption.unseal(state["sealed"]))
    # The middleware checks each page for this, but lets the re-authentication page pass. So it is checked here.
    if (owner, address) != (request.user.pk, to) or is_held_back(request):
        return redirect(to)
    # The return from a provider is a GET. The stored form was a POST of this session, and its token was checked then.
    request.method, request.GET, request.POST = "POST", QueryDict(query), QueryDict(body)
    request.path_info, request.path = path, f"{get_script_prefix()}{path.removeprefix('/')}"
    match = request.resolver_match = resolve(path)
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return response


def is_held_back(request: HttpRequest) -> bool:
    """Return whether the user must set up a second factor or choose a new password first."""
    return lacks_factor(request) or has_old_password(request)


def lacks_factor(request: HttpRequest) -> bool:
    """Return whether the user must have a second factor but has none.

    Return False if the user signed in by a provider that is trusted for the second factor.
    """
    user = request.user
    return (
        isinstance(user, Account) and factors.lacks_factor(user) and not provider_sign_in.is_provider_trusted(request)
    )


def has_old_password(request: HttpRequest) -> bool:
    """Return whether the user signed in with a password that is older than the agency allows."""
    user, now = request.user, datetime.now(UTC)
    return (
        isinstance(user, Account)
        and passwords.is_old(user, now)
        and "password" in request_context.describe_factors(request).split("+")
    )


def redirect_with_form(request: HttpRequest, back: str, form: QueryDict) -> HttpResponseBase:
    """Do what `redirect_to_reauth` does, for a form that is then processed as if it had been sent to `back`."""
    request.POST, request.GET = form, QueryDict()  # type: ignore[assignment]  # in place of what was sent
    request.path_info, request.path = f"/{back.removeprefix(get_script_prefix())}", back
    return redirect_to_reauth(request)


def handle_sign_in_step(*, request: HttpRequest, user: Account, **_: Any) -> None:
    """Handle the library's signal for each sign-in step, and record re-authentications."""
    if request.user == user:
        current_session.renew(request)
        factor, where = (
            request_context.read_factor(request_context.list_records(request)[-1]),
            browsers.find_place(request, user),
        )
        signing_in.record_reauth(user, request_context.audit_context(request), factor, where)
