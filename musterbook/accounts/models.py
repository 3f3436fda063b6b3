"""What users sign in with: columns and constraints, and what Django asks an account for."""

import secrets

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import CASCADE
from django.utils.crypto import salted_hmac

from musterbook.directory.models import Agency, User


def new_handle() -> str:
    """A name for an account that says nothing of its user."""
    return secrets.token_hex(16)


class Account(AbstractBaseUser):
    """What a user of the directory signs in with. Made at registration, or by the first single sign-on."""

    user = models.OneToOneField(User, CASCADE, related_name="account")
    handle = models.CharField(max_length=32, unique=True, default=new_handle)
    password_at = models.DateTimeField(null=True)
    """When the password was chosen."""
    time_zone = models.CharField(max_length=64, default="", blank=True)
    factor_due = models.BooleanField(default=False, db_default=False)
    """Whether a second factor has to be set up first: an administrator removed those there were."""

    USERNAME_FIELD = "handle"

    def __str__(self) -> str:
        """What other parts of a page call the user."""
        return f"{self.user.first_name} {self.user.last_name}"

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django has a constant
        """Whether the user may come in: the directory says it, and nothing else."""
        return self.user.active

    @property
    def email(self) -> str:
        """The address of the directory."""
        return self.user.email

    def get_session_auth_hash(self) -> str:
        """What a session must bear to be good: another after a new password, and after access was taken away once."""
        return self._session_hash()

    def get_session_auth_fallback_hash(self) -> list[str]:
        """None: a secret key that has been changed ends all sessions."""
        return []

    def _session_hash(self) -> str:
        ended = self.user.access_ended_at
        told = f"{self.password}|{ended.isoformat() if ended else ''}"
        return salted_hmac("musterbook.accounts.session", told, algorithm="sha256").hexdigest()


class PastPassword(models.Model):
    """The hash of a password that an account had, so that it is not chosen again."""

    account = models.ForeignKey(Account, CASCADE, related_name="past_passwords")
    password = models.CharField(max_length=128)
    chosen_at = models.DateTimeField()


class Failure(models.Model):
    """A failed sign-in; enough of them in a quarter of an hour lock a place (`lockout`). No user: it counts for nobody."""

    user = models.ForeignKey(User, CASCADE, null=True, related_name="+")
    at = models.DateTimeField()
    place = models.CharField(max_length=64, default="")
    """Where it came from: a known browser, or a keyed hash of an address."""
    pending = models.BooleanField(default=False)
    """The password has not been checked yet."""


class Lock(models.Model):
    """A place from which a user takes no password (`lockout`)."""

    user = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    place = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "place"], name="lock_once")]


class ResetRequest(models.Model):
    """Somebody has asked for a new password, for whoever has that name; the worker looks for who that is."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    at = models.DateTimeField()
    address = models.CharField(max_length=64)
    agent = models.CharField(max_length=255)


class Attempts(models.Model):
    """How often something was asked for within a span, and when that ends (`limits`)."""

    rate = models.CharField(max_length=40)
    key = models.CharField(max_length=64)
    """A keyed hash of whose attempts they are, so that no address can be read here."""
    count = models.PositiveIntegerField()
    ends = models.BigIntegerField(db_index=True)
    """Seconds since 1970."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rate", "key"], name="attempts_once")]


class UsedCode(models.Model):
    """The last one-time code of a device that was used, as its time step; it and those before it open nothing (`once`)."""

    authenticator = models.OneToOneField("mfa.Authenticator", CASCADE, primary_key=True, related_name="+")
    step = models.BigIntegerField()


class Repeated(models.Model):
    """An event of people who are not signed in, and how often it happened within a minute (`strangers`)."""

    key = models.CharField(max_length=64, unique=True)
    """A hash of the columns that distinguish it."""
    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    outcome = models.CharField(max_length=10)
    subject = models.ForeignKey(User, CASCADE, null=True, related_name="+", db_index=False)
    through = models.CharField(max_length=10)
    place = models.CharField(max_length=64)
    why = models.CharField(max_length=255)
    count = models.PositiveIntegerField()
    since = models.BigIntegerField(db_index=True)
    """The minute in which it happened, as seconds since 1970."""


class Identity(models.Model):
    """Which person of a provider of single sign-on a user is (`identities`)."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    user = models.OneToOneField(User, CASCADE, related_name="+")
    provider = models.CharField(max_length=63)
    """The short name that the provider had."""
    authority = models.CharField(max_length=64)
    """A hash of who vouches: the issuer and our name there. Another short name is the same authority."""
    key = models.CharField(max_length=64)
    """A hash of the authority and of what it calls the person."""
    bound_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "key"], name="identity_once")]


class Token(models.Model):
    """What a program of an agency signs in with: its secret is not here, only what that is found by."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+")
    name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the secret, which is 256 bits of chance: nothing slower is needed."""
    ending = models.CharField(max_length=4)
    """The last characters of the secret, by which people tell one that they find."""
    permissions = models.JSONField()
    """What it was made to do; no more of it than its maker may do now."""
    maker = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    used_on = models.DateField(null=True)
    used_from = models.CharField(max_length=64, default="", blank=True)
