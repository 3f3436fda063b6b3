"""Codes as a second factor: setup, requests for a code, and the cost of a wrong one."""

from typing import TYPE_CHECKING, Any

from allauth.core import context as allauth_context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.accounts import limits, lockout, one_time_use, registration
from musterbook.accounts.allauth_internals import totp
from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.http import browsers, request_context

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_LONGEST = 64
"""The most characters of a code. A recovery code has 39 with its hyphens, and users may type blanks as well."""


def _make_field(label: "StrOrPromise", **more: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=_LONGEST,
        widget=forms.TextInput({"autocomplete": "one-time-code", "spellcheck": "false", **more}),
    )


class SetUpForm(ActivateTOTPForm):
    """The form that shows the secret of one-time codes, and takes the first code.

    Until then the session keeps the secret, sealed.
    """

    code = _make_field(gettext_lazy("Code that the app shows now"), inputmode="numeric")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        session = allauth_context.request.session
        if sealed := session.get(totp.SECRET_SESSION_KEY):
            session[totp.SECRET_SESSION_KEY] = encryption.unseal(sealed)
        super().__init__(*args, **kwargs)
        session[totp.SECRET_SESSION_KEY] = encryption.seal(self.secret)

    def clean_code(self) -> str:
        """Return the code, if it is right.

        Attempts are limited like those of a code that is set up already.
        """
        key = f"set-up {allauth_context.request.user.pk}"
        if not limits.take("code", key, request_context.audit_context(allauth_context.request).at):
            raise ValidationError(_("Too many wrong codes. Try again in 5 minutes."), code="limited")
        code: str = super().clean_code()
        limits.give_back("code", key)
        return code


class _CountedCodeForm(forms.Form):
    """A form for codes. A wrong code counts as a failed sign-in, and a locked account accepts none."""

    user: Account
    authenticator: Authenticator

    def clean_code(self) -> str:
        """Return the code, if it is right."""
        context, key = request_context.audit_context(allauth_context.request), str(self.user.pk)
        where = browsers.find_place(allauth_context.request, self.user)
        if lockout.is_locked_at(self.user.user, where, context.at) or not limits.take("code", key, context.at):
            raise ValidationError(_("Too many wrong codes. The account is locked for now."), code="locked")
        code: str = self.cleaned_data["code"]
        self.authenticator = self._use_code(code)
        limits.give_back("code", key)
        if self.authenticator.type == Authenticator.Type.RECOVERY_CODES:
            self._record_recovery_code()
        return code

    def _use_code(self, code: str) -> Authenticator:
        """Return the authenticator of the code, which is used up. A wrong code counts."""
        authenticator = one_time_use.find_authenticator(self.user, code)
        if authenticator is None:
            lockout.count_wrong_code(self.user.user, request_context.audit_context(allauth_context.request))
            raise get_adapter().validation_error("incorrect_code")
        return authenticator

    def _record_recovery_code(self) -> None:
        user = self.user.user
        remaining = one_time_use.count_recovery_codes(self.authenticator)
        context = registration.with_actor(user, request_context.audit_context(allauth_context.request))
        trail.record_event(
            user.agency,
            context,
            EventKind.USER_RECOVERY_CODE_USED,
            user,
            {"recovery codes": (str(remaining + 1), str(remaining))},
        )


class CodeForm(_CountedCodeForm, AuthenticateForm):
    """The form for the second step of a sign-in."""

    code = _make_field(gettext_lazy("Code from your app, or a recovery code"))


class ReauthenticateCodeForm(_CountedCodeForm, ReauthenticateForm):
    """The form for re-authentication with a code."""

    code = _make_field(gettext_lazy("Code from your app, or a recovery code"))
