"""Invitation, registration, and new passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from musterbook.accounts import links, lockout, unauthenticated_events
from musterbook.accounts.models import Account, PastPassword
from musterbook.accounts.passwords import HISTORY_LENGTH, normalize
from musterbook.core.values import keys
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import FAILED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, Mail, User
from musterbook.directory.storage import locks
from musterbook.directory.storage.clocks import is_recent

MIN_ADDRESS_AGE = timedelta(days=1)
"""The lowest age of an address for a reset that a user requests. A person who changed the address could use the reset
to sign in."""
_AGAIN_AFTER = timedelta(minutes=5)
"""The time within which a repeated request for a reset sends no second email."""
_MANY = 5
"""After this many emails within a day, another is sent only when the link of the last one has expired. So no mailbox
is filled."""


class CannotInvite(Exception):
    """The error for inviting a user who is Inactive or has registered; the message states which."""


class CannotReset(Exception):
    """The error for a reset of a user who is Inactive or has never registered; the message states which."""


def find_by_name(agency: Agency, name: str) -> User | None:
    """Return the user of the agency with that email address, or else with that username.

    No import gives one user the address of another as a username (M4). If an older version did, the address decides.
    """
    # No database holds the character NUL, and PostgreSQL does not accept it in a query.
    key = keys.make_key(name.strip().replace("\0", "\1"))
    matches = User.objects.filter(agency=agency).filter(Q(username_key=key) | Q(email_key=key))
    users = sorted(matches.select_related("agency", "role", "account")[:2], key=lambda user: user.email_key != key)
    return users[0] if users else None


def invite(user: User, context: AuditContext) -> None:
    """Add a new invitation to the outbox. Raise CannotInvite.

    Earlier invitations become invalid when it leaves.
    """
    _check_invitable(user)
    queue_mail(user, "invitation", context.at)


def issue_invitation(user: User, context: AuditContext) -> str:
    """Create the user's invitation, and return its URL. Raise CannotInvite.

    This invalidates earlier invitations. Call it in a transaction.
    """
    _check_invitable(user)
    mark_invited(user, context.at)
    trail.record_event(user.agency, context, EventKind.USER_INVITED, user)
    return links.make_url(user, "invitation")


def _check_invitable(user: User) -> None:
    if user.registered_at:
        raise CannotInvite(
            _("%(external_id)s has already registered. Reset their credentials so that they can choose a new password.")
            % {"external_id": user.external_id}
        )
    if not user.active:
        raise CannotInvite(_("%(external_id)s is Inactive. Reactivate them first.") % {"external_id": user.external_id})


def check_resettable(user: User) -> None:
    """Raise CannotReset unless the user may choose a new password."""
    if not user.active:
        raise CannotReset(_("%(external_id)s is Inactive. Reactivate them first.") % {"external_id": user.external_id})
    if not user.registered_at:
        raise CannotReset(
            _("%(external_id)s has not registered yet. Invite them instead.") % {"external_id": user.external_id}
        )


def mark_invited(user: User, at: datetime) -> None:
    """Mark the user as invited at that time."""
    user.invited_at, user.invitation_expires_at = at, at + timedelta(days=user.agency.invitation_days)
    user.save(update_fields=["invited_at", "invitation_expires_at"])


def queue_mail(user: User, kind: str, at: datetime) -> None:
    """Add an email to the user to the outbox."""
    Mail.objects.create(agency=user.agency, user=user, kind=kind, to=user.email, created_at=at)


def register(agency: Agency, token: str, password: str, context: AuditContext) -> Account:
    """Create the account of the user whose invitation this is.

    Raise links.Void, or ValidationError for the password.
    """
    account = Account(user=links.find_user(agency, "invitation", token, context.at))
    _set_password(account, password, context.at)
    with _lock_link(agency, "invitation", token, context) as user:
        # A user who has signed in by single sign-on before has an account already.
        Account.objects.filter(user=user).delete()
        account.user = user
        account.save()
        user.registered_at, user.invitation_expires_at = context.at, None
        user.save(update_fields=["registered_at", "invitation_expires_at"])
        trail.record_event(agency, with_actor(user, context), EventKind.USER_REGISTERED, user)
        # Attackers may have guessed at the name before. A user who has the link from the email is not guessing.
        lockout.unlock(user, with_actor(user, context))
        if "welcome" not in agency.mails_off:
            queue_mail(user, "welcome", context.at)
    return account


def request_reset(agency: Agency, name: str, context: AuditContext) -> None:
    """Send a link to choose a new password to the user with that username or address.

    A user who never registered gets a new invitation instead. Raise AgencyPaused.
    """
    user = find_by_name(agency, name)
    can = user is not None and _may_request(user, context.at)
    unauthenticated_events.record_event(
        agency, context, EventKind.USER_RESET_ASKED, user, outcome="" if can else FAILED
    )
    if user is None or not can:
        return
    kind = "reset" if user.registered_at else "invitation"
    with transaction.atomic():
        locks.lock_row(agency)
        if not _has_recent_mail(user, kind, context.at):
            queue_mail(user, kind, context.at)


def _has_recent_mail(user: User, kind: str, at: datetime) -> bool:
    """Return whether an email of that kind was sent just now.

    Also return True if many were sent within a day, and the link of the last one is still valid.
    """
    mails = Mail.objects.filter(user=user, kind=kind)
    is_many = mails.filter(is_recent("created_at", at, timedelta(days=1))).count() >= _MANY
    return mails.filter(is_recent("created_at", at, links.RESET_LIFETIME if is_many else _AGAIN_AFTER)).exists()


def _may_request(user: User, at: datetime) -> bool:
    """Return whether a reset that was requested at the sign-in page may go to the user's address."""
    changed = user.email_changed_at
    return user.active and not (user.registered_at and changed and changed + MIN_ADDRESS_AGE > at)


def reset_password(agency: Agency, token: str, password: str, context: AuditContext) -> Account:
    """Set a new password for the user whose link this is, and return the account.

    Raise links.Void or ValidationError.
    """
    account = Account.objects.get_or_create(user=links.find_user(agency, "reset", token, context.at))[0]
    before = account.password
    _set_password(account, password, context.at)
    with _lock_link(agency, "reset", token, context) as user:
        _save_password(account, before, context)
        user.reset_at = None
        user.save(update_fields=["reset_at"])
        lockout.unlock(user, with_actor(user, context))
    return account


def change_password(account: Account, password: str, context: AuditContext) -> None:
    """Set a new password for the account; its other sessions end. Raise ValidationError."""
    before = account.password
    _set_password(account, password, context.at)
    with transaction.atomic():
        locks.lock_row(account.user.agency)
        _save_password(account, before, context)


def _set_password(account: Account, password: str, at: datetime) -> None:
    """Set the password if it is good. Raise ValidationError.

    This is slow by design, so call it outside a transaction.
    """
    password = normalize(password)
    validate_password(password, account)
    account.set_password(password)
    account.password_at = at


def _save_password(account: Account, before: str, context: AuditContext) -> None:
    if before:
        PastPassword.objects.create(account=account, password=before, chosen_at=context.at)
    old = account.past_passwords.order_by("-chosen_at", "-pk").values_list("pk", flat=True)[HISTORY_LENGTH - 1 :]
    PastPassword.objects.filter(pk__in=list(old)).delete()
    account.save(update_fields=["password", "password_at"])
    trail.record_event(
        account.user.agency, with_actor(account.user, context), EventKind.USER_PASSWORD_CHANGED, account.user
    )
    queue_mail(account.user, "password-changed", context.at)


@contextmanager
def _lock_link(agency: Agency, kind: links.LinkKind, token: str, context: AuditContext) -> Iterator[User]:
    """Open a transaction in which no one else uses the link.

    Raise links.Void if the link was used already.
    """
    with transaction.atomic():
        locks.lock_row(agency)
        yield links.find_user(agency, kind, token, context.at)


def with_actor(user: User, context: AuditContext) -> AuditContext:
    """Return the context with the user as its actor."""
    return replace(context, actor=user.external_id)
