"""What the library of accounts (django-allauth) asks the directory: who is meant, who may, and what to tell whom."""

import re
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.account.internal.stagekit import clear_login
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import get_script_prefix, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme

from musterbook.accounts import (
    again,
    browsers,
    kinds,
    limited,
    once,
    pending,
    recovery,
    registration,
    requests,
    sessions,
    signing_in,
    strangers,
    times,
)
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail


class Backend(BaseBackend):
    """Finds the account of a session, as long as its user may come in. Passwords are checked by `signing_in`."""

    def get_user(self, user_id: int) -> Account | None:
        """The account, unless its user is Inactive."""
        accounts = Account.objects.select_related("user__agency", "user__role")
        return accounts.filter(pk=user_id, user__active=True).first()


_NO = (
    "The name or the password is wrong, or this account cannot sign in now. Several wrong passwords lock an account:"
    " then choose a new one by “Forgotten your password?”, or ask your administrator."
)
"""Whatever the reason."""


_OLD_CODES = (
    "Your recovery codes are of an older kind. They still work; make new ones on My account, under Second factors."
)


class Adapter(DefaultAccountAdapter):
    """How the library's flows go here."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _NO,
        "email_password_mismatch": _NO,
        "too_many_login_attempts": "There were too many failed sign-ins from where you are. Try again in five minutes.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  (the library's signature)
        """Never: users come by import, and register by invitation."""
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Account | None:
        """The account with that name and password, of the agency whose page this is; failures are limited by address."""
        agency, act = requests.agency(request), requests.act(request)
        name, password = credentials.get("username", ""), credentials["password"]
        try:
            return signing_in.account_of(agency, name, password, act, partial(browsers.place, request))
        except signing_in.TooMany:
            strangers.refuse(request, limited.WHY)
            raise self.validation_error("too_many_login_attempts") from None

    def reauthenticate(self, user: Account, password: str) -> bool:
        """Whether the password is the account's own; a wrong one counts as a failed sign-in."""
        request: HttpRequest = self.request
        return self.authenticate(request, username=user.user.username, password=password) == user

    def is_reauthentication_required(self, *, app: str = "") -> bool:
        """Whether to ask to sign in again. The library itself would let pass who has nothing but a provider to sign in by.

        Who has a second factor shows it before factors are added or removed: a password alone must not lead to another factor.
        """
        if app == "allauth.mfa" and not again.is_strong(self.request):
            # Raised here: the library takes a sign-in again by any way as enough.
            raise again.StrongRequired
        if again.is_recent(self.request):
            return False
        if not get_reauthentication_flows(self.request.user):
            raise ReauthenticationRequired
        return True

    def set_password(self, user: Account, password: str) -> None:
        """Gives the account a new password."""
        registration.change(user, password, requests.act(self.request))

    def pre_login(self, request: HttpRequest, user: Account, **about: Any) -> Any:
        """Lets only users of the agency whose page it is go on: a passkey or a provider may name another's."""
        if user.user.agency_id != requests.agency(request).pk or not user.is_active:
            clear_login(request)
            act = requests.act(request)
            strangers.tell(requests.agency(request), act, kinds.SIGN_IN_FAILED)
            return self.respond_user_inactive(request, user)
        pending.begin(request, user)
        return super().pre_login(request, user, **about)

    def login(self, request: HttpRequest, user: Account) -> None:
        """Signs the user in, if all is still as it was when the sign-in began. Each way in comes through here."""
        now = pending.granted(request, user)
        if now is None:
            messages.info(request, pending.ENDED)
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, now)

    def post_login(self, request: HttpRequest, user: Account, **about: Any) -> Any:
        """Records the sign-in, with the factors that it took."""
        sessions.begin(request)
        sessions.end_most(user, request.session.session_key or "", requests.act(request))
        if recovery.are_old(user):
            messages.info(request, _OLD_CODES)
        before = user.user.last_sign_in_at
        where = browsers.place(request, user)
        signing_in.signed_in(user, requests.act(request), requests.factors(request), where)
        if before:
            messages.info(request, format_html("You last signed in on {}.", times.element(before, times.zone(user))))
        response = super().post_login(request, user, **about)
        browsers.remember(request, response, user)
        return response

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **more: Any
    ) -> None:
        """Shows the user a sentence on the next page. For the first recovery codes it is all that the library says.

        A client that is not signed in and has no session gets none for a sentence.
        """
        if not request.user.is_authenticated and not request.session.session_key:
            return
        if message_template == "mfa/messages/recovery_codes_generated.txt":
            act, user = requests.act(request), request.user.user  # type: ignore[union-attr]  # nobody else gets here
            trail.tell(user.agency, act, kinds.RECOVERY_CODES_MADE, user, {"factor": ("", "recovery codes")})
        super().add_message(request, level, message_template, *args, **more)

    def logout(self, request: HttpRequest) -> None:
        """Signs out whoever is signed in, and tells of it."""
        user, act = request.user.user, requests.act(request)  # type: ignore[union-attr]  # nobody else signs out
        trail.tell(user.agency, act, kinds.SIGNED_OUT, user)
        super().logout(request)

    def is_safe_url(self, url: str) -> bool:
        """Whether a page may lead on to there: to pages of the same agency alone, named by their path."""
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None) and _is_below(get_script_prefix(), url)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002  (the library's signature)
        """Where a new password leads."""
        return reverse("my_account")

    def send_notification_mail(self, template_prefix: str, user: Account, *_: Any, **__: Any) -> None:
        """Tells the user of a change of how they sign in, and the trail of what changed."""
        notice, act = template_prefix.removeprefix("mfa/email/"), requests.act(self.request)
        if notice == "totp_activated":
            once.use_up(Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP))
        if notice in _CHANGES:
            kind, before, after = _CHANGES[notice]
            trail.tell(user.user.agency, registration.by(user.user, act), kind, user.user, {"factor": (before, after)})
        if notice in _CHANGES or notice == "recovery_codes_generated":
            registration.post(user.user, "second-factor", act.at)


def _is_below(prefix: str, url: str) -> bool:
    """Whether a browser that opens the URL stays below the prefix: it drops control characters and resolves “..” itself."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    path = urlsplit(url).path
    for _ in range(_DECODED):
        path, before = unquote(path), path
        if path == before:
            return path.startswith(prefix) and not _DOTS.search(path)
    return False


_DECODED = 5
"""A path may be encoded so often, one within the other."""
_DOTS = re.compile(r"\\|(^|/)\.{1,2}(/|;|$)|[\x00-\x1f\x7f]")
_CHANGES = {
    "totp_activated": (kinds.SECOND_FACTOR_ADDED, "", "one-time codes"),
    "totp_deactivated": (kinds.SECOND_FACTOR_REMOVED, "one-time codes", ""),
    "webauthn_added": (kinds.SECOND_FACTOR_ADDED, "", "passkey"),
    "webauthn_removed": (kinds.SECOND_FACTOR_REMOVED, "passkey", ""),
}
"""The library's notices of a change, what the trail calls it, and the factor before and after."""
