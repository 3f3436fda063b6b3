"""Second factors: who needs one, who has one, and how the library of accounts keeps them."""

from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from musterbook import secrecy
from musterbook.accounts import kinds, recovery, registration, requests
from musterbook.accounts.models import Account
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import User

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""What is a factor by itself; recovery codes only stand in for one."""

WORDS = {
    Authenticator.Type.TOTP: "one-time codes",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
"""What the trail calls each kind of factor."""


def required(user: User) -> bool:
    """Whether the user's agency, or their role, asks for a second factor."""
    return user.agency.second_factor or user.role.second_factor


def has(account: Account) -> bool:
    """Whether the account has a second factor."""
    return bool(_of(account).exists())


def lacks(account: Account) -> bool:
    """Whether the user must have a second factor, or had some that were removed, and the account has none."""
    return (account.factor_due or required(account.user)) and not has(account)


def added(account: Account) -> None:
    """Notes that the user has set up a second factor."""
    Account.objects.filter(pk=account.pk, factor_due=True).update(factor_due=False)


def _of(account: Account) -> "QuerySet[Authenticator]":
    found: QuerySet[Authenticator] = Authenticator.objects.filter(user=account, type__in=_FACTORS)
    return found


def without(users: "QuerySet[User]", most: int = 10_000) -> int:
    """How many of these users are active and have no second factor; `most` + 1 if they are more than that."""
    theirs = Authenticator.objects.filter(user__user=OuterRef("pk"), type__in=_FACTORS)
    return users.filter(~Exists(theirs), active=True).order_by()[: most + 1].count()


def remove_all(user: User, act: Act, reason: str = "") -> bool:
    """Removes all second factors of a user who has lost them; says whether there were any.

    `reason`: how the administrator knows that it is the user who asks; it is in the event. The user has to set up a new
    factor before anything else, whether or not one is required of them.
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
    """How the library keeps second factors here."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is not right, or has been used already. Wait for the next one, and type that.",
        "cannot_delete_authenticator": (
            "You must have a second factor, and this is your last. Set up another one first; then you can remove this one."
        ),
        "cannot_generate_recovery_codes": "Recovery codes stand in for a second factor. Set up one first.",
    }

    def encrypt(self, text: str) -> str:
        """A secret as it is kept."""
        return secrecy.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """A kept secret; of recovery codes only digests are kept, each of which equals its code."""
        if encrypted_text.startswith(recovery.MARK):
            return recovery.Kept(encrypted_text)
        return secrecy.unseal(encrypted_text)

    def get_totp_label(self, user: Account) -> str:
        """What an app calls the account."""
        return user.user.username

    def get_totp_issuer(self) -> str:
        """What an app calls us."""
        return f"Musterbook {requests.agency(self.request).name}"

    def build_totp_svg(self, url: str) -> str:
        """The QR code, on white: on a dark page no camera could read it otherwise."""
        drawn: str = super().build_totp_svg(url)
        return drawn.replace("<path", '<rect width="100%" height="100%" fill="#fff"/><path', 1)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whether what is demanded of the user is met without it too."""
        account = authenticator.user
        return not required(account.user) or _of(account).exclude(pk=authenticator.pk).exists()

    def generate_authenticator_name(self, user: Account, type: Authenticator.Type) -> str:  # noqa: A002  (the library's)
        """What to call a passkey that its user does not name."""
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Whom passkeys are for: the public address, whatever a request says of its host."""
        return {"id": urlsplit(settings.MUSTER_URL).hostname or "", "name": "Musterbook"}

    def get_public_key_credential_user_entity(self, user: Account) -> dict[str, Any]:
        """Whose passkey it is: a handle that says nothing, and names for the user to tell passkeys by."""
        name = f"{user.user.username} ({user.user.agency.name})"
        return {"id": bytes.fromhex(user.handle), "display_name": str(user), "name": name}
