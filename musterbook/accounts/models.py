"""Accounts and credentials: columns, constraints, and the methods that Django requires of an account."""

import secrets

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import CASCADE
from django.utils.crypto import salted_hmac

from musterbook.directory.models import Agency, User


def new_handle() -> str:
    """Return a random account name that reveals nothing about its user."""
    return secrets.token_hex(16)


class Account(AbstractBaseUser):
    """The credentials of a user of the directory.

    Registration, or the first single sign-on, creates the account.
    """

    user = models.OneToOneField(User, CASCADE, related_name="account")
    handle = models.CharField(max_length=32, unique=True, default=new_handle)
    password_at = models.DateTimeField(null=True)
    """The time when the password was chosen."""
    language = models.CharField(max_length=8, default="", db_default="", blank=True)
    """The language that the user chose; "": the browser's."""
    time_zone = models.CharField(max_length=64, default="", blank=True)
    """The zone that the user chose; "": the agency's, or the browser's."""
    shortcuts = models.BooleanField(default=True, db_default=True)
    """Whether single keys do something on pages. WCAG 2.1.4 requires that users can turn this off."""
    factor_due = models.BooleanField(default=False, db_default=False)
    """Whether the user must set up a second factor first, because an administrator removed the previous ones."""

    USERNAME_FIELD = "handle"

    def __str__(self) -> str:
        """Return the name that other parts of a page show for the user."""
        return f"{self.user.first_name} {self.user.last_name}"

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django has a constant
        """Return whether the user may sign in. Only the directory decides this."""
        return self.user.active

    @property
    def email(self) -> str:
        """Return the address from the directory."""
        return self.user.email

    def get_session_auth_hash(self) -> str:
        """Return the hash that a valid session must contain.

        It changes with a new password, and when the user's access ends, even if access is restored later.
        """
        return self._session_hash()

    def get_session_auth_fallback_hash(self) -> list[str]:
        """Return no hashes: a changed secret key ends all sessions."""
        return []

    def _session_hash(self) -> str:
        ended = self.user.access_ended_at
        text = f"{self.password}|{ended.isoformat() if ended else ''}"
        return salted_hmac("musterbook.accounts.session", text, algorithm="sha256").hexdigest()


class PastPassword(models.Model):
    """The hash of a previous password of an account, kept to prevent its reuse."""

    account = models.ForeignKey(Account, CASCADE, related_name="past_passwords")
    password = models.CharField(max_length=128)
    chosen_at = models.DateTimeField()


class Failure(models.Model):
    """A failed sign-in. Enough of them within 15 minutes lock a place (`lockout`).

    Without a user, it counts toward no user's lock.
    """

    user = models.ForeignKey(User, CASCADE, null=True, related_name="+")
    at = models.DateTimeField()
    place = models.CharField(max_length=64, default="")
    """The source of the attempt: a known browser, or a keyed hash of an address."""
    pending = models.BooleanField(default=False)
    """The password has not been checked yet."""


class Lock(models.Model):
    """A place from which a user cannot sign in with a password (`lockout`)."""

    user = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    place = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "place"], name="lock_once")]


class ResetRequest(models.Model):
    """A request for a new password for the user with that name; the worker finds the user."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    at = models.DateTimeField()
    address = models.CharField(max_length=64)
    agent = models.CharField(max_length=255)


class Attempts(models.Model):
    """The number of attempts at an action within a time span, and the end of the span (`limits`)."""

    rate = models.CharField(max_length=40)
    key = models.CharField(max_length=64)
    """A keyed hash of the source of the attempts, so that no address is readable here."""
    count = models.PositiveIntegerField()
    ends = models.BigIntegerField(db_index=True)
    """Seconds since 1970."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rate", "key"], name="attempts_once")]


class UsedCode(models.Model):
    """The time step of the last one-time code that was used on a device.

    That code and the codes before it are rejected (`one_time_use`).
    """

    authenticator = models.OneToOneField("mfa.Authenticator", CASCADE, primary_key=True, related_name="+")
    step = models.BigIntegerField()


class Repeated(models.Model):
    """An event of an unauthenticated client, and how often it happened within a minute (`unauthenticated_events`)."""

    key = models.CharField(max_length=64, unique=True)
    """A hash of the columns that distinguish the event."""
    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    outcome = models.CharField(max_length=10)
    subject = models.ForeignKey(User, CASCADE, null=True, related_name="+", db_index=False)
    through = models.CharField(max_length=10)
    place = models.CharField(max_length=64)
    why = models.CharField(max_length=255)
    count = models.PositiveIntegerField()
    since = models.BigIntegerField(db_index=True)
    """The minute of the event, as seconds since 1970."""


class Identity(models.Model):
    """The identity at an identity provider that a user is bound to (`identities`)."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    user = models.OneToOneField(User, CASCADE, related_name="+")
    provider = models.CharField(max_length=63)
    """The short name of the provider when the user was bound."""
    authority = models.CharField(max_length=64)
    """A hash of the authority: the issuer, and our name there. A provider with a new short name is the same
    authority."""
    key = models.CharField(max_length=64)
    """A hash of the authority and of its identifier for the person."""
    bound_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "key"], name="identity_once")]


class Token(models.Model):
    """The credential of a program of an agency.

    The table does not contain the secret, only the digest that finds the token.
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+")
    name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the secret. The secret has 256 random bits, so no slower hash is needed."""
    ending = models.CharField(max_length=4)
    """The last characters of the secret, so that people can identify a token that they find."""
    permissions = models.JSONField()
    """The permissions at creation. The token never has more of them than its creator has now."""
    maker = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    addresses = models.JSONField(default=list)
    """The networks that may use it (`agency.networks`), none for all."""
    revoked_at = models.DateTimeField(null=True)
    used_on = models.DateField(null=True)
    used_from = models.CharField(max_length=64, default="", blank=True)
