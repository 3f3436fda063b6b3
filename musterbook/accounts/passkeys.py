"""Passkeys: how they are added, and how they let users in, beside a password or alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from allauth.mfa.webauthn.internal import auth
from django import forms
from django.core.exceptions import ValidationError

from musterbook.accounts import kinds, requests
from musterbook.accounts.models import Account
from musterbook.directory import trail
from musterbook.directory.models import User

_NOT_ACCEPTED = "This passkey was not accepted. Try once more, or use another way."
_NOT_ALONE = (
    "This passkey did not ask who you are (by a PIN, a finger or a face), so it cannot replace a password."
    " Sign in with your password and the passkey."
)
_LONGEST = 100


def _not_accepted() -> ValidationError:
    return ValidationError(_NOT_ACCEPTED, code="passkey")


@contextmanager
def _checked() -> Iterator[None]:
    """Says one sentence of whatever is wrong with what a browser sent."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _not_accepted() from error
    except ValidationError as error:
        raise _not_accepted() if getattr(error, "code", "") == "incorrect_code" else error from None


@contextmanager
def _told(user: User | None) -> Iterator[None]:
    """Says likewise, and tells the trail. Nobody guesses a passkey, so none is counted towards a lock."""
    try:
        with _checked():
            yield
    except ValidationError:
        agency, act = requests.agency(context.request), requests.act(context.request)
        trail.tell(agency, act, kinds.SIGN_IN_FAILED, user, {"factor": ("", "passkey")}, outcome=kinds.FAILED)
        raise


class New(AddWebAuthnForm):
    """Adds a passkey."""

    name = forms.CharField(
        label="Name",
        required=False,
        max_length=_LONGEST,
        help_text="So that you can tell your passkeys apart: “Work phone”, “Key on my key ring”.",
    )
    passwordless = forms.BooleanField(
        label="Sign in with this passkey alone",
        required=False,
        initial=True,
        help_text="Without a password: the device asks for a PIN, a finger or a face. Old security keys cannot do this.",
    )

    def clean(self) -> dict[str, Any]:
        """What was typed, if the passkey is one."""
        with _checked():
            return dict(super().clean())


class Renamed(EditWebAuthnForm):
    """Gives a passkey another name."""

    name = forms.CharField(label="Name", max_length=_LONGEST)


class Beside(AuthenticateWebAuthnForm):
    """The second step of a sign-in."""

    def clean_credential(self) -> Authenticator:
        """The passkey, if it is one of the user's."""
        with _told(self.user.user):
            return super().clean_credential()


class Again(ReauthenticateWebAuthnForm):
    """Signing in again with a passkey."""

    def clean_credential(self) -> Authenticator:
        """The passkey, if it is one of the user's."""
        with _told(self.user.user):
            return super().clean_credential()


class Alone(LoginWebAuthnForm):
    """Signing in with a passkey and nothing else."""

    def clean_credential(self) -> Authenticator:
        """The passkey, if it is one of a user of this agency, and has verified who holds it."""
        with _told(None):
            sent = self.cleaned_data["credential"]
            response = auth.parse_authentication_response(sent).response
            passkey = auth.complete_authentication(_whose(response.user_handle), sent)
            # The library does not look: what was asked of the browser may have been asked for a second step, where
            # whoever holds a key need not show who they are.
            if not response.authenticator_data.is_user_verified():
                raise ValidationError(_NOT_ALONE, code="passkey")
            return passkey


def _whose(handle: bytes | None) -> Account:
    account = Account.objects.filter(
        user__agency=requests.agency(context.request), handle=(handle or b"").hex()
    ).first()
    if account is None:
        raise _not_accepted()
    return account
