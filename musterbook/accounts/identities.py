"""Which person of a provider a user is: bound at the first sign-in by it, and from then on no other person is this user.

So an address that a provider gives to somebody else, or that another provider of the agency vouches for, does not let anybody
in as this user.
"""

import hashlib
import json
from datetime import datetime

from django.db import transaction

from musterbook.accounts import kinds
from musterbook.accounts.models import Identity
from musterbook.directory.agency.sign_on_file import Provider, authority
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.models import Agency, User


class BoundToAnother(Exception):
    """The user is bound to another person of a provider."""


def user_of(agency: Agency, provider: Provider, subject: str) -> User | None:
    """The user who is this person of the provider; None if nobody is yet."""
    found = Identity.objects.filter(agency=agency, key=_key(provider, subject)).select_related(
        "user__agency", "user__role", "user__account"
    )
    identity = found.first()
    return identity.user if identity else None


def bind(user: User, provider: Provider, subject: str, act: Act) -> None:
    """Binds the user to this person of the provider, unless they are already. In a transaction. Raises BoundToAnother.

    Whoever was bound by a provider that the agency has no more is not bound.
    """
    key = _key(provider, subject)
    bound = Identity.objects.filter(user=user).first()
    if bound is not None and bound.key == key:
        return
    if bound is not None and bound.authority in {_digest(authority(one)) for one in user.agency.sign_on}:
        raise BoundToAnother
    Identity.objects.filter(user=user).delete()
    Identity.objects.create(
        agency=user.agency, user=user, provider=provider["slug"], authority=_digest(authority(provider)), key=key,
        bound_at=act.at,
    )  # fmt: skip
    told = {"provider": ("", provider["slug"]), "person there": ("", subject)}
    trail.tell(user.agency, act, kinds.SIGN_ON_BOUND, user, told)


def bound(user: User) -> tuple[str, datetime] | None:
    """By which provider the user is bound, and since when; None if they are not, or the agency has it no more."""
    identity = Identity.objects.filter(user=user).first()
    provider = provider_of(user) if identity else None
    return (str(provider["name"]), identity.bound_at) if identity and provider else None


def provider_of(user: User) -> Provider | None:
    """The provider by which the user is bound; None if they are not, or the agency has it no more."""
    identity = Identity.objects.filter(user=user).first()
    ours: list[Provider] = user.agency.sign_on
    return next((one for one in ours if identity and _digest(authority(one)) == identity.authority), None)


def release(user: User, act: Act) -> bool:
    """Lets the next sign-in by a provider bind the user anew; tells whether they were bound."""
    with transaction.atomic():
        identity = Identity.objects.filter(user=user).first()
        if identity is None:
            return False
        identity.delete()
        trail.tell(user.agency, act, kinds.SIGN_ON_RELEASED, user, {"provider": (identity.provider, "")})
    return True


def _key(provider: Provider, subject: str) -> str:
    return _digest(json.dumps([authority(provider), subject]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
