"""Single sign-on: the user of the agency who has an identity at a provider, and whether they may sign in.

The first sign-in finds the user by the external ID that the provider states, or by the email address that it vouches
for. It binds the user to this identity. From then on the identity decides (`identities`).
"""

from django.conf import settings
from django.db import transaction

from musterbook.accounts import identities, registration
from musterbook.accounts.claims import PersonClaims
from musterbook.accounts.models import Account
from musterbook.accounts.sign_on_attempts import SignOnAttempt
from musterbook.config import outbound_requests
from musterbook.core.values import emails, keys
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, User
from musterbook.directory.storage import locks

LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""

UNKNOWN = "nobody with an Active account is meant"
BOUND = "the user is linked to another person of a provider"
WEAK = "the provider did not sign the user in as strongly as is asked for"
OLD = "the provider does not say that the user has signed in recently enough"
OTHER = "somebody else signed in than the user who was asked to sign in again"


class SignOnRefused(Exception):
    """The error for a genuine answer of a provider that lets no user sign in.

    `reason` is one of the sentences above.
    """

    def __init__(self, reason: str, user: User | None = None) -> None:
        super().__init__(reason)
        self.reason, self.user = reason, user


def find_provider(agency: Agency, kind: str, slug: str) -> Provider | None:
    """Return the agency's provider of that kind and short name, or None.

    Providers of other agencies do not exist here.
    """
    return next((entry for entry in agency.sign_on if entry["kind"] == kind and entry["slug"] == slug), None)


def build_base_url(agency: Agency, provider: Provider) -> str:
    """Return the beginning of our URLs for the provider: our public address, regardless of the request's host."""
    return f"{settings.MUSTER_URL}/{agency.slug}/sign-in/with/{provider['kind']}/{provider['slug']}"


def list_origins(agency: Agency) -> tuple[str, ...]:
    """Return the origins that the sign-in form leads to.

    They go into a header, so only what is plainly an address counts.
    """
    addresses = [provider.get("server") or provider.get("sso_url") or "" for provider in agency.sign_on]
    addresses += [f"https://{host}" for entry in agency.sign_on for host in entry.get("hosts", "").split()]
    return tuple(target.origin for target in map(outbound_requests.parse_url, addresses) if target)


def check_strength(provider: Provider, attempt: SignOnAttempt, person: PersonClaims, context: AuditContext) -> None:
    """Check that the user has signed in at the provider as strongly and as recently as required. Raise SignOnRefused."""
    contexts, methods = provider.get("acr", "").split(), provider.get("amr", "").split()
    if (contexts and not set(contexts) & set(person.contexts)) or not set(methods) <= set(person.methods):
        raise SignOnRefused(WEAK)
    minutes = provider.get("max_age_minutes")
    oldest = attempt.at if attempt.again else context.at.timestamp() - minutes * 60 if minutes else None
    if oldest is not None and (person.at is None or person.at < oldest - LEEWAY):
        raise SignOnRefused(OLD)


def resolve_account(agency: Agency, provider: Provider, person: PersonClaims, context: AuditContext) -> Account:
    """Return the account of the user that the answer means. Raise SignOnRefused.

    The first sign-in creates the account, and is the registration.
    """
    with transaction.atomic():
        locks.lock_row(agency)
        user, subject = _find_user(agency, provider, person)
        if not user.active:
            raise SignOnRefused(UNKNOWN, user)
        account = _ensure_account(user, context)
        try:
            identities.bind(user, provider, subject, registration.with_actor(user, context))
        except identities.BoundToAnother:
            raise SignOnRefused(BOUND, user) from None
        return account


def _find_user(agency: Agency, provider: Provider, person: PersonClaims) -> tuple[User, str]:
    """Return the user who is bound to the identity, or else the user who fits the provider's answer.

    Also return the provider's identifier of the person.
    """
    fits = _match_user(agency, provider, person)
    subject = person.subject or (f"{provider['match']} {_make_identifier(provider, fits)}" if fits else "")
    bound = identities.find_user(agency, provider, subject) if subject else None
    if bound is not None and fits is not None and bound != fits:
        raise SignOnRefused(BOUND, fits)
    user = bound or fits
    if user is None:
        raise SignOnRefused(UNKNOWN)
    return user, subject


def _make_identifier(provider: Provider, user: User) -> str:
    """Return the identifier of the user at a provider that has no identifiers of its own."""
    return user.external_id if provider["match"] == "external_id" else user.email_key


def _match_user(agency: Agency, provider: Provider, person: PersonClaims) -> User | None:
    """Return the user with the external ID that the provider states, or with the address that it vouches for."""
    users = User.objects.filter(agency=agency).select_related("agency", "role", "account")
    if provider["match"] == "external_id":
        return users.filter(external_id=person.external_id).first() if person.external_id else None
    vouched = provider["kind"] == "saml" or provider["trust_email"]
    addresses = [address.email for address in person.addresses if address.verified or vouched]
    match = users.filter(email_key=keys.make_key(addresses[0])).first() if addresses else None
    # Two addresses with one key may be different mailboxes, and belong to different people at the provider.
    return match if match and emails.to_mailbox(addresses[0]) == emails.to_mailbox(match.email) else None


def _ensure_account(user: User, context: AuditContext) -> Account:
    account, is_new = Account.objects.get_or_create(user=user)
    if is_new:
        account.set_unusable_password()
        account.save(update_fields=["password"])
    new = User.objects.filter(pk=user.pk, registered_at=None)
    if new.update(registered_at=context.at, invitation_expires_at=None):
        trail.record_event(user.agency, registration.with_actor(user, context), EventKind.USER_REGISTERED, user)
    return account
