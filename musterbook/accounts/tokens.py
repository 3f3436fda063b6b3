"""Tokens: the credentials of an agency's programs.

Each token may do what it was created for, as far as its creator may do it now.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext

from musterbook.accounts import unauthenticated_events
from musterbook.accounts.models import Token
from musterbook.core.domain.policy import Operator
from musterbook.core.values.keys import fold
from musterbook.directory import permissions
from musterbook.directory.agency import networks, vocabularies
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit import cross_checks, trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency, Event, Passage, User
from musterbook.directory.storage import locks

PERMISSION = "api.manage"
DAYS = (7, 30, 90, 180, 365)
"""The days for which a token can be valid."""
USUAL_DAYS = 90
MOST = 100
"""The most valid tokens of one agency at once. Then some must be revoked."""
_PREFIX = "muster_"
_SECRET = re.compile(r"muster_[0-9a-f]{64}")
_ENDED_SHOWN = 50


class UnknownToken(Exception):
    """The error for a token that the agency does not have."""


class TokenRefused(Exception):
    """The error for a token that gives no access; the message states the reason to its holder.

    `token`: the token, or None if it is not ours.
    """

    def __init__(self, why: str, token: Token | None) -> None:
        super().__init__(why)
        self.token = token


@dataclass(frozen=True, slots=True)
class TokenData:
    """The data of a new token: its name, its permissions, the days for which it is valid, and the networks that may use it.

    `addresses`: such as 192.0.2.7 or 192.0.2.0/24; none for all.
    """

    name: str
    permissions: frozenset[str]
    days: int
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token in the list: its present permissions, those that it lacks by now, and why it gives no access.

    `explain_refusal` is "" if the token gives access.
    """

    token: Token
    granted: tuple[str, ...]
    withheld: tuple[str, ...]
    why_not: str


def create_token(
    agency: Agency, data: TokenData, context: AuditContext, by: Operator, within: Sequence[str] = ()
) -> tuple[Token, str]:
    """Create a token of the operator; return it, and its secret, which is stored nowhere.

    `within`: the networks of the token that creates it; the new token has these, or some of their addresses. Raise
    InvalidValue or NotAllowed.
    """
    lacking = sorted({PERMISSION, *data.permissions} - by.permissions)
    if lacking:
        raise NotAllowed(
            gettext("Your own role lacks %(permissions)s, so your token cannot have that either.")
            % {"permissions": ", ".join(lacking)}
        )
    secret, addresses = f"{_PREFIX}{secrets.token_hex(32)}", networks.check_networks(data.addresses, within)
    with transaction.atomic():
        locks.lock_row(agency)
        token = Token.objects.create(
            agency=agency, name=_check_name(agency, data, context.at), digest=_hash_secret(secret), ending=secret[-4:],
            permissions=sorted(data.permissions), maker_id=by.id, made_at=context.at,
            expires_at=context.at + timedelta(days=data.days), addresses=addresses,
        )  # fmt: skip
        also = {
            "permissions": ("", ", ".join(token.permissions)),
            "expires": ("", token.expires_at.isoformat(timespec="seconds")),
            **({"addresses": ("", ", ".join(addresses))} if addresses else {}),
        }
        trail.record_event(
            agency, context, EventKind.API_TOKEN_MADE, token.maker, {"token": ("", _describe(token)), **also}
        )
    return token, secret


def _check_name(agency: Agency, data: TokenData, at: datetime) -> str:
    """Return the name, if no valid token has it. Raise InvalidValue.

    So a form that is sent twice creates one token.
    """
    name = vocabularies.clean_text(data.name, "name")
    if not data.permissions:
        raise InvalidValue("permissions", gettext("Choose at least one permission."))
    if data.days not in DAYS:
        raise InvalidValue("days", gettext("Choose one of the listed numbers of days."))
    names = list(Token.objects.filter(agency=agency, revoked_at=None, expires_at__gt=at).values_list("name", flat=True))
    if fold(name) in map(fold, names):
        raise InvalidValue(
            "name",
            gettext("There is already a token named %(name)s. Choose another name, or revoke that token.")
            % {"name": name},
        )
    if len(names) >= MOST:
        message = gettext("There are %(number)d tokens, which is the maximum. Revoke those that nobody uses.")
        raise InvalidValue("name", message % {"number": MOST})
    return name


def _hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _describe(token: Token) -> str:
    return f"{token.name} (…{token.ending})"


def find_token(agency: Agency, number: int) -> Token:
    """Return the token with that number. Raise UnknownToken."""
    token = Token.objects.filter(agency=agency, pk=number).select_related("agency", "maker__role").first()
    if token is None:
        raise UnknownToken(number)
    return token


def revoke(token: Token, context: AuditContext) -> bool:
    """Revoke the token permanently, and return whether it was not revoked before."""
    with transaction.atomic():
        if not Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=context.at):
            return False
        trail.record_event(
            token.agency, context, EventKind.API_TOKEN_REVOKED, token.maker, {"token": (_describe(token), "")}
        )
    return True


def list_tokens(agency: Agency, at: datetime) -> tuple[list[ListedToken], list[ListedToken]]:
    """Return the agency's valid tokens, and the latest of the revoked or expired ones; the newest first."""
    every = Token.objects.filter(agency=agency).select_related("maker__role").order_by("-made_at", "-pk")
    good = every.filter(revoked_at=None, expires_at__gt=at)
    ended = every.exclude(pk__in=good.values("pk"))[:_ENDED_SHOWN]
    return [describe_token(token, at) for token in good], [describe_token(token, at) for token in ended]


def describe_token(token: Token, at: datetime) -> ListedToken:
    """Return the token as the list shows it."""
    granted = get_permissions(token)
    return ListedToken(
        token,
        _sort_permissions(granted),
        _sort_permissions(set(token.permissions) - granted),
        explain_refusal(token, at),
    )


def _sort_permissions(names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in permissions.PERMISSIONS if name in names)


def get_permissions(token: Token) -> frozenset[str]:
    """Return the permissions of the token: those at its creation that its creator has now."""
    return frozenset(token.permissions) & permissions.get_permissions(token.maker.role)


def explain_refusal(token: Token, at: datetime) -> str:
    """Return why the token gives no access, or "" if it does."""
    if token.revoked_at is not None:
        return "It was revoked."
    if token.expires_at <= at:
        return "It has expired."
    return "" if _has_access(token.maker, token.made_at) else "The user who made it has lost access since."


def _has_access(maker: User, since: datetime) -> bool:
    return maker.active and (maker.access_ended_at is None or maker.access_ended_at < since)


def check_secret(agency: Agency, secret: str, at: datetime, address: str) -> Token:
    """Return the token with that secret, if it gives access to the agency from that address. Raise TokenRefused."""
    if not _SECRET.fullmatch(secret):
        raise TokenRefused("This is not a token.", None)
    # The lookup is by hash, so its time reveals nothing about any secret.
    found = list(Token.objects.filter(agency=agency, digest=_hash_secret(secret)).select_related("maker__role")[:1])
    if not found:
        raise TokenRefused("This agency has no such token.", None)
    token = found[0]
    token.agency = agency
    why = explain_refusal(token, at)
    if not why and not networks.may_use(token.addresses, address):
        why = "It may not be used from this address."
    if why:
        raise TokenRefused(why, token)
    return token


def record_use(token: Token, context: AuditContext) -> None:
    """Record the day and the address of the token's last use.

    They are written once a day, unless the address changes.
    """
    today = context.at.date()
    if (token.used_on, token.used_from) != (today, context.address):
        Token.objects.filter(pk=token.pk).update(used_on=today, used_from=context.address)


def record_refusal(agency: Agency, token: Token | None, context: AuditContext, why: str) -> None:
    """Record in the audit trail that a program was refused."""
    changes = {"token": ("", _describe(token) if token else "unknown"), "why": ("", why)}
    unauthenticated_events.record_each_event(
        agency, context, EventKind.API_TOKEN_REFUSED, token.maker if token else None, changes
    )


def find_unrecorded(agency: Agency) -> str:
    """Return how the tokens differ from the audit trail (`cross_checks`), or "".

    A token differs if it was created, widened or made valid again without an event.
    """
    created, revoked = set[tuple[object, ...]](), set[tuple[int | None, str]]()
    # Each event is recorded alone, so its run has one event. Runs are found by their kind.
    runs = Passage.objects.filter(agency=agency, kind__in=(EventKind.API_TOKEN_MADE, EventKind.API_TOKEN_REVOKED))
    events = Event.objects.filter(agency=agency, pk__in=runs.values("first"))
    for kind, at, maker, changes in events.values_list("kind", "at", "subject", "changes").iterator():
        facts = json.loads(changes)
        if kind == EventKind.API_TOKEN_MADE:
            addresses = facts.get("addresses", ("", ""))[1]
            created.add((at, maker, facts["token"][1], facts["permissions"][1], facts["expires"][1], addresses))
        else:
            revoked.add((maker, facts["token"][0]))
    tokens = Token.objects.filter(agency=agency).order_by("pk")
    wrong = [
        token.name
        for token in tokens
        if _list_facts(token) not in created or (not token.revoked_at and (token.maker_id, _describe(token)) in revoked)
    ]
    return f"these API tokens differ from the trail: {cross_checks.list_names(wrong)}" if wrong else ""


def _list_facts(token: Token) -> tuple[object, ...]:
    """Return the facts that the event of the token's creation records."""
    expires = token.expires_at.isoformat(timespec="seconds")
    permissions_, addresses = ", ".join(token.permissions), ", ".join(token.addresses)
    return token.made_at, token.maker_id, _describe(token), permissions_, expires, addresses
