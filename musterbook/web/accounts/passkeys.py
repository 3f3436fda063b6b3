"""Passkeys: how users add them, and sign in with them, in addition to a password or alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from allauth.core import context as allauth_context
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils.translation import gettext_lazy
from fido2.utils import websafe_encode
from fido2.webauthn import CollectedClientData

from musterbook.accounts import passkeys, unauthenticated_events
from musterbook.accounts.allauth_internals import webauthn
from musterbook.accounts.models import Account
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.models import User
from musterbook.http import request_context

_NOT_ACCEPTED = gettext_lazy("This passkey was not accepted. Try again, or sign in another way.")
_NOT_ALONE = gettext_lazy(
    "This passkey did not check who you are (with a PIN, fingerprint or face), so it cannot replace your password."
    " Sign in with your password and the passkey."
)
_LONGEST = 100
_LONGEST_CREDENTIAL = 1 << 16
"""Characters. Those of real devices have a few thousand."""


def make_error() -> ValidationError:
    """Return the error for a passkey that is not accepted, which does not say why."""
    return ValidationError(_NOT_ACCEPTED, code="passkey")


@contextmanager
def _reject_bad_input() -> Iterator[None]:
    """Raise one error message for anything wrong with what a browser sent."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise make_error() from error
    except ValidationError as error:
        raise make_error() if getattr(error, "code", "") == "incorrect_code" else error from None


@contextmanager
def _record_failure(user: User | None) -> Iterator[None]:
    """Raise the same error, and record the failed sign-in.

    A passkey cannot be guessed, so failures do not count toward a lock.
    """
    try:
        with _reject_bad_input():
            yield
    except ValidationError:
        agency, context = (
            request_context.agency(allauth_context.request),
            request_context.audit_context(allauth_context.request),
        )
        unauthenticated_events.record_event(
            agency, context, EventKind.USER_SIGN_IN_FAILED, user, {"factor": ("", "passkey")}
        )
        raise


def _check_origin(client: CollectedClientData) -> None:
    """Accept a passkey only from the public address.

    The library accepts any origin over http, and any subdomain over https.
    """
    origin, public = urlsplit(client.origin), urlsplit(settings.MUSTER_URL)
    is_https = public.scheme == "https"
    # Over http (a trial on this machine) ports differ.
    if (origin.hostname, is_https and (origin.scheme, origin.port)) != (
        public.hostname,
        is_https and (public.scheme, public.port),
    ):
        raise make_error()
    if client.cross_origin:
        raise make_error()


def _complete(credential: Any, complete: Callable[[], Authenticator]) -> Authenticator:
    """Return the passkey that was shown, if it, its origin and its counter are right.

    The challenge is used up.
    """
    response = webauthn.parse_authentication_response(credential).response
    _check_origin(response.client_data)
    try:
        passkey = complete()
    finally:
        webauthn.clear_state()  # one challenge is for one answer, right or wrong
    if not passkeys.store_counter(passkey, response.authenticator_data.counter):
        raise make_error()
    return passkey


def _check_new(credential: Any) -> None:
    """Accept a new passkey only if its id is true. Whether an account has it already shows when it is stored."""
    response = webauthn.parse_registration_response(credential).response
    _check_origin(response.client_data)
    data = response.attestation_object.auth_data.credential_data
    name = websafe_encode(data.credential_id) if data else ""
    if not name or name != credential.get("id"):
        raise make_error()


class CredentialField(forms.Field):
    """A browser's data about a passkey, in JSON. It is bounded before it is read, and never put back into a page."""

    def __init__(self) -> None:
        super().__init__(widget=forms.HiddenInput)

    def to_python(self, value: Any) -> Any:
        """Return the parsed JSON. Raise the same ValidationError for anything that is wrong with it."""
        text = str(value or "null")
        with _reject_bad_input():
            if len(text) > _LONGEST_CREDENTIAL:
                raise make_error()
            parsed = json.loads(text)
            json.dumps([text, parsed], ensure_ascii=False).encode("utf-8")  # lone surrogates raise a ValueError
            return parsed

    def prepare_value(self, value: Any) -> str:  # noqa: ARG002  (Django's signature)
        """Return the value for the page, which is empty."""
        return ""


class AddPasskeyForm(AddWebAuthnForm):
    """The form that adds a passkey."""

    credential = CredentialField()
    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=_LONGEST,
        help_text=gettext_lazy("A name that helps you to recognize it, such as “Work phone” or “Key on my key ring”."),
    )
    passwordless = forms.BooleanField(
        label=gettext_lazy("Sign in with this passkey alone"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "You need no password: the device asks for a PIN, fingerprint or face. Old security keys cannot do this."
        ),
    )

    def clean(self) -> dict[str, Any]:
        """Return the typed data, if the passkey is valid."""
        with _reject_bad_input():
            if self.cleaned_data.get("credential"):
                _check_new(self.cleaned_data["credential"])
            return dict(super().clean())


class RenamePasskeyForm(EditWebAuthnForm):
    """The form that renames a passkey."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=_LONGEST)

    def save(self) -> Authenticator:
        """Rename the passkey. Raise Http404 if it was removed meanwhile: the library would add it again."""
        if not passkeys.rename_passkey(self.instance, self.cleaned_data["name"]):
            raise Http404
        return self.instance


class SecondFactorForm(AuthenticateWebAuthnForm):
    """The form for the second step of a sign-in, with a passkey."""

    credential = CredentialField()

    def clean_credential(self) -> Authenticator:
        """Return the passkey, if it is one of the user's."""
        with _record_failure(self.user.user):
            return _complete(self.cleaned_data["credential"], super().clean_credential)


class ReauthenticateForm(ReauthenticateWebAuthnForm):
    """The form for re-authentication with a passkey."""

    credential = CredentialField()

    def clean_credential(self) -> Authenticator:
        """Return the passkey, if it is one of the user's."""
        with _record_failure(self.user.user):
            return _complete(self.cleaned_data["credential"], super().clean_credential)


class PasswordlessForm(LoginWebAuthnForm):
    """The form for a sign-in with a passkey and nothing else."""

    credential = CredentialField()

    def clean_credential(self) -> Authenticator:
        """Return the passkey, if it belongs to a user of this agency, and has verified its holder."""
        with _record_failure(None):
            credential = self.cleaned_data["credential"]
            response = webauthn.parse_authentication_response(credential).response
            account = _find_account(response.user_handle)
            passkey = _complete(credential, lambda: webauthn.complete_authentication(account, credential))
            # The library does not check this. The browser's challenge may have been for a second step, where the holder
            # of a key need not prove who they are.
            if not response.authenticator_data.is_user_verified():
                raise ValidationError(_NOT_ALONE, code="passkey")
            return passkey


def _find_account(handle: bytes | None) -> Account:
    account = passkeys.find_account(request_context.agency(allauth_context.request), handle)
    if account is None:
        raise make_error()
    return account
