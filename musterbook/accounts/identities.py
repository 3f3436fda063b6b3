"""The binding of users to their identities at identity providers.

The first sign-in by a provider binds the user, and from then on no other identity can sign in as this user. So no one
else can sign in as this user with an address that a provider reassigns, or that another provider of the agency vouches
for.
"""

import hashlib
import json
from datetime import datetime

from django.db import transaction

from musterbook.accounts.models import Identity
from musterbook.directory.agency.sign_on_file import Provider, get_authority
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, User


class BoundToAnother(Exception):
    """The error for a user who is bound to another identity of a provider."""


def find_user(agency: Agency, provider: Provider, subject: str) -> User | None:
    """Return the user who is bound to this identity of the provider, or None."""
    matches = Identity.objects.filter(agency=agency, key=_key(provider, subject)).select_related(
        "user__agency", "user__role", "user__account"
    )
    identity = matches.first()
    return identity.user if identity else None


def bind(user: User, provider: Provider, subject: str, context: AuditContext) -> None:
    """Bind the user to this identity of the provider, unless that is done already. Raise BoundToAnother.

    Call this in a transaction. A binding by a provider that the agency no longer has does not count.
    """
    key = _key(provider, subject)
    bound = Identity.objects.filter(user=user).first()
    if bound is not None and bound.key == key:
        return
    if bound is not None and bound.authority in {_digest(get_authority(entry)) for entry in user.agency.sign_on}:
        raise BoundToAnother
    Identity.objects.filter(user=user).delete()
    Identity.objects.create(
        agency=user.agency, user=user, provider=provider["slug"], authority=_digest(get_authority(provider)), key=key,
        bound_at=context.at,
    )  # fmt: skip
    changes = {"provider": ("", provider["slug"]), "person there": ("", subject)}
    trail.record_event(user.agency, context, EventKind.USER_SIGN_ON_BOUND, user, changes)


def find_binding(user: User) -> tuple[str, datetime] | None:
    """Return the provider that the user is bound by, and the time of the binding.

    Return None if the user is not bound, or if the agency no longer has the provider.
    """
    identity = Identity.objects.filter(user=user).first()
    provider = find_provider(user) if identity else None
    return (str(provider["name"]), identity.bound_at) if identity and provider else None


def find_provider(user: User) -> Provider | None:
    """Return the provider that the user is bound by.

    Return None if the user is not bound, or if the agency no longer has the provider.
    """
    identity = Identity.objects.filter(user=user).first()
    ours: list[Provider] = user.agency.sign_on
    return next((entry for entry in ours if identity and _digest(get_authority(entry)) == identity.authority), None)


def release(user: User, context: AuditContext) -> bool:
    """Delete the user's binding, and return whether there was one.

    The next sign-in by a provider binds the user again.
    """
    with transaction.atomic():
        identity = Identity.objects.filter(user=user).first()
        if identity is None:
            return False
        identity.delete()
        trail.record_event(
            user.agency, context, EventKind.USER_SIGN_ON_RELEASED, user, {"provider": (identity.provider, "")}
        )
    return True


def _key(provider: Provider, subject: str) -> str:
    return _digest(json.dumps([get_authority(provider), subject]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
