"""Single-use links to register or to choose a new password.

A link contains the user's number, and a signature over everything that it depends on. It becomes invalid once it is
used, sent again or expired, and after a deactivation or a change of address. So no record of sent links is needed.
"""

from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import base36_to_int, int_to_base36

from musterbook.core.values import emails
from musterbook.directory.models import Agency, User

LinkKind = Literal["invitation", "reset"]
RESET_LIFETIME = timedelta(hours=4)
PATHS = {"invitation": "register", "reset": "reset"}
"""The page of each kind."""


class InvalidLink(Exception):
    """The error for a link that is not ours or is no longer valid. It does not reveal which."""


def make_url(user: User, kind: LinkKind) -> str:
    """Return the full URL of the user's link, which begins with the public address of this installation."""
    return f"{settings.MUSTER_URL}/{user.agency.slug}/{PATHS[kind]}/{make_token(user, kind)}"


def make_token(user: User, kind: LinkKind) -> str:
    """Return the end of the user's link of that kind, for the present state of the user."""
    return f"{int_to_base36(user.pk)}-{_sign(user, kind)}"


def _sign(user: User, kind: LinkKind, key: str | None = None) -> str:
    """Return the signature by the current key, or by the given one."""
    facts = [user.agency_id, user.pk, emails.to_mailbox(user.email), user.access_ended_at]
    if kind == "invitation":
        facts += [user.invited_at, user.invitation_expires_at]
    else:
        account = getattr(user, "account", None)
        facts += [user.reset_at, account.password if account else ""]
    text = "\x1f".join(fact.isoformat() if isinstance(fact, datetime) else str(fact) for fact in facts)
    return salted_hmac(f"musterbook.accounts.links.{kind}", text, key, algorithm="sha256").hexdigest()


def find_user(agency: Agency, kind: LinkKind, text: str, at: datetime) -> User:
    """Return the user of the agency that the link belongs to. Raise InvalidLink."""
    number, _, signature = text.partition("-")
    try:
        key = base36_to_int(number)
    except ValueError:
        raise InvalidLink from None
    user = User.objects.filter(agency=agency, pk=key).select_related("agency", "role", "account").first()
    if user is None or not _is_open(user, kind, at) or not _is_signed(signature, user, kind):
        raise InvalidLink
    return user


def _is_signed(signature: str, user: User, kind: LinkKind) -> bool:
    """Return whether the current key signed the link, or an old key that is still accepted (`secret_keys.Fallbacks`)."""
    signed = [_sign(user, kind, key) for key in (None, *settings.SECRET_KEY_FALLBACKS)]
    return any(constant_time_compare(signature, candidate) for candidate in signed)


def _is_open(user: User, kind: LinkKind, at: datetime) -> bool:
    if not user.active:
        return False
    if kind == "invitation":
        expires = user.invitation_expires_at
        return user.registered_at is None and expires is not None and expires > at
    return user.registered_at is not None and user.reset_at is not None and user.reset_at + RESET_LIFETIME > at
