"""The adapter of the library's second factors: storage, names, and the rules for removing one."""

from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.accounts import factors, recovery
from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.http import request_context


class Adapter(DefaultMFAAdapter):
    """The adapter of the library's second factors."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy(
            "This code is wrong or has already been used. Wait for the next code and enter it."
        ),
        "cannot_delete_authenticator": gettext_lazy(
            "Your agency requires a second factor, and this is your last one. Set up another one before you remove it."
        ),
        "cannot_generate_recovery_codes": gettext_lazy(
            "Recovery codes replace a second factor. Set up a second factor first."
        ),
    }

    def encrypt(self, text: str) -> str:
        """Return the secret as it is stored."""
        return encryption.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret.

        Of recovery codes only digests are stored, each of which equals its code.
        """
        if encrypted_text.startswith(recovery.DIGEST_PREFIX):
            return recovery.RecoveryCodeDigest(encrypted_text)
        return encryption.unseal(encrypted_text)

    def get_totp_label(self, user: Account) -> str:
        """Return the name of the account in an authenticator app."""
        return user.user.username

    def get_totp_issuer(self) -> str:
        """Return our name in an authenticator app."""
        return f"Musterbook {request_context.agency(self.request).name}"

    def build_totp_svg(self, url: str) -> str:
        """Return the QR code on white, because a camera could not read it on a dark page otherwise."""
        drawn: str = super().build_totp_svg(url)
        return drawn.replace("<path", '<rect width="100%" height="100%" fill="#fff"/><path', 1)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Return whether the user meets the requirements without this authenticator too."""
        return not factors.is_required(authenticator.user.user) or not factors.is_last(authenticator)

    def generate_authenticator_name(self, user: Account, type: Authenticator.Type) -> str:  # noqa: A002  (the library's)
        """Return the name for a passkey that its user does not name."""
        return _("Passkey %(number)d") % {"number": factors.count_factors(user, type) + 1}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the relying party of passkeys: the public address, regardless of the request's host."""
        return {"id": urlsplit(settings.MUSTER_URL).hostname or "", "name": "Musterbook"}

    def get_public_key_credential_user_entity(self, user: Account) -> dict[str, Any]:
        """Return the user of a passkey.

        The handle reveals nothing. The names let the user identify the passkey.
        """
        name = f"{user.user.username} ({user.user.agency.name})"
        return {"id": bytes.fromhex(user.handle), "display_name": str(user), "name": name}
