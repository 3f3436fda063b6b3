"""Second factors: who needs one, how the library of accounts keeps and asks for them, and what failing costs."""

from typing import Any
from urllib.parse import urlsplit

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Form

from musterbook import secrecy
from musterbook.accounts import kinds, lockout, registration, requests
from musterbook.accounts.models import Account
from musterbook.directory import trail
from musterbook.directory.models import User
from musterbook.directory.trail import Act

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""What is a factor by itself; recovery codes only stand in for one."""


def lacks(account: Account) -> bool:
    """Whether the user's role asks for a second factor, and the account has none."""
    return account.user.role.second_factor and not has(account)


def has(account: Account) -> bool:
    """Whether the account has a second factor."""
    return bool(Authenticator.objects.filter(user=account, type__in=_FACTORS).exists())


def remove_all(user: User, act: Act) -> bool:
    """Removes all second factors of a user who has lost them; tells whether there were any."""
    with transaction.atomic():
        removed, _ = Authenticator.objects.filter(user__user=user).delete()
        if removed:
            trail.tell(user.agency, act, kinds.SECOND_FACTOR_REMOVED, user, {"factor": ("all", "")})
            registration.post(user, "second-factor", act.at)
    return bool(removed)


class Adapter(DefaultMFAAdapter):
    """How the library keeps second factors here."""

    def encrypt(self, text: str) -> str:
        """A secret as it is kept."""
        return secrecy.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """A kept secret."""
        return secrecy.unseal(encrypted_text)

    def get_totp_label(self, user: Account) -> str:
        """What an app calls the account."""
        return user.user.username

    def get_totp_issuer(self) -> str:
        """What an app calls us."""
        return f"Musterbook {requests.agency(self.request).name}"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whether the role's demand is met without it too."""
        others = Authenticator.objects.filter(user=authenticator.user, type__in=_FACTORS).exclude(pk=authenticator.pk)
        return not authenticator.user.user.role.second_factor or others.exists()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Whom passkeys are for: the public address, whatever a request says of its host."""
        return {"id": urlsplit(settings.MUSTER_URL).hostname or "", "name": "Musterbook"}

    def get_public_key_credential_user_entity(self, user: Account) -> dict[str, Any]:
        """Whose passkey it is: a handle that says nothing, and names for the user to tell passkeys by."""
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return entity | {"name": f"{user.user.username} ({user.user.agency.name})"}


class _Counted(Form):
    """A form for codes: a wrong one counts as a failed sign-in, and a locked account takes none."""

    user: Account

    def clean_code(self) -> str:
        """The code, if it is right."""
        act = requests.act(context.request)
        if lockout.is_locked(self.user.user, act.at):
            raise ValidationError("Too many wrong codes: this account is locked for now.", code="locked")
        try:
            code: str = super().clean_code()  # type: ignore[misc]
        except ValidationError:
            with transaction.atomic():
                told = {"factor": ("", "code")}
                trail.tell(self.user.user.agency, act, kinds.SIGN_IN_FAILED, self.user.user, told, outcome=kinds.FAILED)
                lockout.count_failure(self.user.user, act)
            raise
        return code


class Code(_Counted, AuthenticateForm):
    """The second step of a sign-in."""


class CodeAgain(_Counted, ReauthenticateForm):
    """Signing in again with a code."""
