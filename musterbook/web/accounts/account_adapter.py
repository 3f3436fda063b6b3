"""The adapter of the account library (django-allauth): sign-in, re-authentication, messages and notifications."""

import re
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.contrib import messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.accounts import one_time_use, recovery, registration, sessions, signing_in, unauthenticated_events
from musterbook.accounts.allauth_internals import clear_login, get_reauthentication_flows
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.http import (
    browsers,
    current_session,
    pending_sign_ins,
    rate_limits,
    reauthentication,
    refusals,
    request_context,
)
from musterbook.web import readers, times

_SIGN_IN_FAILED = gettext_lazy(
    "Wrong username or password, or the account cannot sign in now. After several wrong attempts, the account is locked. To"
    " unlock it, use “Forgot your password?” or ask your agency's administrator."
)
"""The same message for every reason."""


_OLD_CODES = gettext_lazy(
    "Your recovery codes are of an older kind. They still work. Create new ones in My account, under Second factors."
)


class Adapter(DefaultAccountAdapter):
    """The adapter of the library's flows."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _SIGN_IN_FAILED,
        "email_password_mismatch": _SIGN_IN_FAILED,
        "too_many_login_attempts": gettext_lazy("Too many failed sign-ins from your network. Try again in 5 minutes."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  (the library's signature)
        """Return False, because users are imported, and register by invitation."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the request came from, without its zone, such as `%eth0`.

        A proxy may send one. It may be of any length, and PostgreSQL takes none.
        """
        return str(super().get_client_ip(request)).partition("%")[0]

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Account | None:
        """Return the account with that name and password, of the agency whose page this is.

        Failures are limited by address.
        """
        agency, context = request_context.agency(request), request_context.audit_context(request)
        name, password = credentials.get("username", ""), credentials["password"]
        try:
            return signing_in.authenticate(agency, name, password, context, partial(browsers.find_place, request))
        except signing_in.TooManyFailures:
            refusals.record_refusal(request, rate_limits.WHY)
            raise self.validation_error("too_many_login_attempts") from None

    def reauthenticate(self, user: Account, password: str) -> bool:
        """Return whether the password is the account's own. A wrong one counts as a failed sign-in."""
        request: HttpRequest = self.request
        return self.authenticate(request, username=user.user.username, password=password) == user

    def is_reauthentication_required(self, *, app: str = "") -> bool:
        """Return whether the user must re-authenticate.

        The library itself would let a user pass who can sign in only by a provider. A user who has a second factor must
        show it before factors are added or removed: a password alone must not lead to another factor.
        """
        if app == "allauth.mfa" and not reauthentication.is_strong(self.request):
            # Raised here, because the library accepts a re-authentication by any method.
            raise reauthentication.StrongRequired
        if reauthentication.is_recent(self.request):
            return False
        if not get_reauthentication_flows(self.request.user):
            raise ReauthenticationRequired
        return True

    def set_password(self, user: Account, password: str) -> None:
        """Set a new password for the account."""
        registration.change_password(user, password, request_context.audit_context(self.request))

    def pre_login(self, request: HttpRequest, user: Account, **about: Any) -> Any:
        """Let only users of the agency whose page this is continue.

        A passkey or a provider may name a user of another agency.
        """
        if user.user.agency_id != request_context.agency(request).pk or not user.is_active:
            clear_login(request)
            context = request_context.audit_context(request)
            unauthenticated_events.record_event(request_context.agency(request), context, EventKind.USER_SIGN_IN_FAILED)
            return self.respond_user_inactive(request, user)
        pending_sign_ins.begin(request, user)
        return super().pre_login(request, user, **about)

    def login(self, request: HttpRequest, user: Account) -> None:
        """Sign the user in, if nothing has changed since the sign-in began.

        Every sign-in method calls this.
        """
        now = pending_sign_ins.confirm_account(request, user)
        if now is None:
            messages.info(request, pending_sign_ins.ENDED)
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, now)

    def post_login(self, request: HttpRequest, user: Account, **about: Any) -> Any:
        """Record the sign-in, with the factors that it took."""
        current_session.begin(request)
        sessions.end_excess(user, request.session.session_key or "", request_context.audit_context(request))
        before = user.user.last_sign_in_at
        where = browsers.find_place(request, user)
        signing_in.record_sign_in(
            user, request_context.audit_context(request), request_context.describe_factors(request), where
        )
        with readers.read_as(request, user):
            if recovery.has_old_codes(user):
                messages.info(request, _OLD_CODES)
            if before:
                time = times.render_time(before, timezone.get_current_timezone())
                messages.info(request, format_html(_("You last signed in on {time}."), time=time))
        response = super().post_login(request, user, **about)
        browsers.remember(request, response, user)
        return response

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **more: Any
    ) -> None:
        """Show the user a message on the next page.

        For the first recovery codes, this message is the library's only notice. A client that is not signed in and has
        no session gets no session for a message.
        """
        if not request.user.is_authenticated and not request.session.session_key:
            return
        if message_template == "mfa/messages/recovery_codes_generated.txt":
            context, user = request_context.audit_context(request), request.user.user  # type: ignore[union-attr]  # only signed-in users get here
            trail.record_event(
                user.agency, context, EventKind.USER_RECOVERY_CODES_MADE, user, {"factor": ("", "recovery codes")}
            )
        super().add_message(request, level, message_template, *args, **more)

    def logout(self, request: HttpRequest) -> None:
        """Sign out the current user, and record the event."""
        user, context = request.user.user, request_context.audit_context(request)  # type: ignore[union-attr]  # only signed-in users sign out
        trail.record_event(user.agency, context, EventKind.USER_SIGNED_OUT, user)
        super().logout(request)

    def is_safe_url(self, url: str) -> bool:
        """Return whether a page may lead to that URL.

        Only pages of the same agency are allowed, named by their path.
        """
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None) and _is_below(get_script_prefix(), url)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002  (the library's signature)
        """Return the page that follows a new password."""
        return reverse("my_account")

    def send_notification_mail(self, template_prefix: str, user: Account, *_: Any, **__: Any) -> None:
        """Notify the user of a change of their sign-in methods, and record the change in the audit trail."""
        notice, context = template_prefix.removeprefix("mfa/email/"), request_context.audit_context(self.request)
        if notice == "totp_activated":
            one_time_use.use_current_codes(user)
        if notice in _CHANGES:
            kind, before, after = _CHANGES[notice]
            trail.record_event(
                user.user.agency,
                registration.with_actor(user.user, context),
                kind,
                user.user,
                {"factor": (before, after)},
            )
        if notice in _CHANGES or notice == "recovery_codes_generated":
            registration.queue_mail(user.user, "second-factor", context.at)


def _is_below(prefix: str, url: str) -> bool:
    """Return whether a browser that opens the URL stays below the prefix.

    The browser drops control characters and resolves “..” itself.
    """
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    path = urlsplit(url).path
    for _round in range(_DECODED):
        path, before = unquote(path), path
        if path == before:
            return path.startswith(prefix) and not _DOTS.search(path)
    return False


_DECODED = 5
"""The most encodings of a path, one within the other."""
_DOTS = re.compile(r"\\|(^|/)\.{1,2}(/|;|$)|[\x00-\x1f\x7f]")
_CHANGES = {
    "totp_activated": (EventKind.USER_SECOND_FACTOR_ADDED, "", "one-time codes"),
    "totp_deactivated": (EventKind.USER_SECOND_FACTOR_REMOVED, "one-time codes", ""),
    "webauthn_added": (EventKind.USER_SECOND_FACTOR_ADDED, "", "passkey"),
    "webauthn_removed": (EventKind.USER_SECOND_FACTOR_REMOVED, "passkey", ""),
}
"""The library's notices of a change: the event kind in the audit trail, and the factor before and after."""
