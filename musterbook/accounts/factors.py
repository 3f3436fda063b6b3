"""Second factors: the users who need one, the users who have one, and their storage in the account library."""

from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from musterbook.accounts import kinds, recovery, registration, requests
from musterbook.accounts.models import Account
from musterbook.config import encryption
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import User

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""The types that are factors by themselves. Recovery codes only replace one."""

WORDS = {
    Authenticator.Type.TOTP: "one-time codes",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
"""The name of each type of factor in the audit trail."""


def required(user: User) -> bool:
    """Return whether the user's agency or role requires a second factor."""
    return user.agency.second_factor or user.role.second_factor


def has(account: Account) -> bool:
    """Return whether the account has a second factor."""
    return bool(_of(account).exists())


def lacks(account: Account) -> bool:
    """Return whether the user must have a second factor, but the account has none.

    A user whose factors were removed must also have one.
    """
    return (account.factor_due or required(account.user)) and not has(account)


def added(account: Account) -> None:
    """Record that the user has set up a second factor."""
    Account.objects.filter(pk=account.pk, factor_due=True).update(factor_due=False)


def _of(account: Account) -> "QuerySet[Authenticator]":
    found: QuerySet[Authenticator] = Authenticator.objects.filter(user=account, type__in=_FACTORS)
    return found


def without(users: "QuerySet[User]", most: int = 10_000) -> int:
    """Return how many of these users are active and have no second factor.

    Return `most` + 1 if there are more than `most`.
    """
    theirs = Authenticator.objects.filter(user__user=OuterRef("pk"), type__in=_FACTORS)
    return users.filter(~Exists(theirs), active=True).order_by()[: most + 1].count()


def remove_all(user: User, act: Act, reason: str = "") -> bool:
    """Remove all second factors of a user who has lost them, and return whether there were any.

    `reason`: how the administrator knows that the request is the user's own; the event contains it. The user must set
    up a new factor before anything else, whether or not one is required.
    """
    with transaction.atomic():
        theirs = Authenticator.objects.filter(user__user=user)
        names = ", ".join(WORDS[kind] for kind in sorted(set(theirs.values_list("type", flat=True))))
        theirs.delete()
        if names:
            Account.objects.filter(user=user).update(factor_due=True)
            told = {"factor": (names, "")} | ({"reason": ("", reason)} if reason else {})
            trail.tell(user.agency, act, kinds.SECOND_FACTOR_REMOVED, user, told)
            registration.post(user, "second-factor", act.at)
    return bool(names)


class Adapter(DefaultMFAAdapter):
    """The adapter of the library's second factors."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is not right, or has been used already. Wait for the next one, and type that.",
        "cannot_delete_authenticator": (
            "You must have a second factor, and this is your last. Set up another one first; then you can remove this one."
        ),
        "cannot_generate_recovery_codes": "Recovery codes stand in for a second factor. Set up one first.",
    }

    def encrypt(self, text: str) -> str:
        """Return the secret as it is stored."""
        return encryption.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret.

        Of recovery codes only digests are stored, each of which equals its code.
        """
        if encrypted_text.startswith(recovery.MARK):
            return recovery.Kept(encrypted_text)
        return encryption.unseal(encrypted_text)

    def get_totp_label(self, user: Account) -> str:
        """Return the name of the account in an authenticator app."""
        return user.user.username

    def get_totp_issuer(self) -> str:
        """Return our name in an authenticator app."""
        return f"Musterbook {requests.agency(self.request).name}"

    def build_totp_svg(self, url: str) -> str:
        """Return the QR code on white, because a camera could not read it on a dark page otherwise."""
        drawn: str = super().build_totp_svg(url)
        return drawn.replace("<path", '<rect width="100%" height="100%" fill="#fff"/><path', 1)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Return whether the user meets the requirements without this authenticator too."""
        account = authenticator.user
        return not required(account.user) or _of(account).exclude(pk=authenticator.pk).exists()

    def generate_authenticator_name(self, user: Account, type: Authenticator.Type) -> str:  # noqa: A002  (the library's)
        """Return the name for a passkey that its user does not name."""
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the relying party of passkeys: the public address, regardless of the request's host."""
        return {"id": urlsplit(settings.MUSTER_URL).hostname or "", "name": "Musterbook"}

    def get_public_key_credential_user_entity(self, user: Account) -> dict[str, Any]:
        """Return the user of a passkey.

        The handle reveals nothing. The names let the user identify the passkey.
        """
        name = f"{user.user.username} ({user.user.agency.name})"
        return {"id": bytes.fromhex(user.handle), "display_name": str(user), "name": name}
