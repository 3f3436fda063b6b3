"""Webhooks as an agency keeps them: find, add, change, pause and remove them, rotate their secrets, and send again.

A user who may manage programs (`api.manage`) manages webhooks, but only those whose messages report nothing that the user
may not see: `users.view` for messages about users, `users.import` for those about imports, `users.synchronize` for feeds.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import webhook_secrets, webhook_values
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit import trail, webhook_messages
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.directory.storage import locks

PERMISSION = "api.manage"
MOST = 20
"""The most webhooks of one agency."""
OVERLAPS = (0, 1, 24, 168)
"""The hours for which a former secret can stay valid."""
USUAL_OVERLAP: Final = 24
PAGE = 50
MOST_TESTS = 20
"""The most test messages of one webhook that wait."""
_MOST_COUNTED = 10_000


class UnknownWebhook(Exception):
    """The agency has no webhook with this name."""


class UnknownMessage(Exception):
    """The webhook has no message with this ID, or it was forgotten."""


def list_webhooks(agency: models.Agency, by: Operator | None) -> list[models.WebhookEndpoint]:
    """Return the agency's webhooks that the operator may see, by name."""
    endpoints = models.WebhookEndpoint.objects.filter(agency=agency).select_related("maker").order_by("name")
    for endpoint in endpoints:
        endpoint.agency = agency
    return [endpoint for endpoint in endpoints if not list_lacking(endpoint.kinds, by)]


def count_webhooks(agency: models.Agency) -> int:
    """Return the number of all webhooks of the agency."""
    return models.WebhookEndpoint.objects.filter(agency=agency).count()


def find_webhook(agency: models.Agency, name: str, by: Operator | None) -> models.WebhookEndpoint:
    """Return the agency's webhook with this name. Raise UnknownWebhook, and NotAllowed if the operator may not see it."""
    endpoints = models.WebhookEndpoint.objects.filter(agency=agency).select_related("maker")
    endpoint = endpoints.filter(name=name).first() if webhook_values.is_name(name) else None
    if endpoint is None:
        raise UnknownWebhook(name[: webhook_values.NAME_LONGEST])
    check_allowed(endpoint.kinds, by)
    endpoint.agency = agency
    return endpoint


def list_lacking(kinds: Collection[str], by: Operator | None) -> list[str]:
    """Return the permissions that the operator lacks to manage a webhook with these kinds of messages. None: the system."""
    needed = {PERMISSION, *(kind.permission for kind in WebhookKind if kind in kinds)}
    return [] if by is None else sorted(needed - by.permissions)


def check_allowed(kinds: Collection[str], by: Operator | None) -> None:
    """Raise NotAllowed if the operator may not manage a webhook with these kinds of messages."""
    lacking = list_lacking(kinds, by)
    if lacking:
        raise NotAllowed(
            _("Your role lacks %(permissions)s, which this webhook needs.") % {"permissions": ", ".join(lacking)}
        )


def add(
    agency: models.Agency, values: Mapping[str, Any], context: AuditContext, by: Operator | None
) -> tuple[models.WebhookEndpoint, str]:
    """Add a webhook with this `name`, `address` and `kinds`. Return it, and its secret, which is shown once.

    Raise InvalidWebhook and NotAllowed.
    """
    read = webhook_values.read_webhook(values, required=True)
    check_allowed(read["kinds"], by)
    secret = webhook_secrets.make_secret()
    with transaction.atomic():
        locks.lock_row(agency)
        present = models.WebhookEndpoint.objects.filter(agency=agency)
        if present.filter(name=read["name"]).exists():
            text = _("There is a webhook named %(name)s. Choose another name.")
            raise webhook_values.InvalidWebhook([("name", text % {"name": read["name"]})])
        if present.count() >= MOST:
            text = _("There are %(most)s webhooks, which is the maximum.")
            raise webhook_values.InvalidWebhook([("name", text % {"most": MOST})])
        endpoint = models.WebhookEndpoint.objects.create(
            agency=agency, maker_id=by.id if by else None, created_at=context.at,
            secrets=webhook_secrets.seal_first(secret), **read,
        )  # fmt: skip
        _record(endpoint, context, EventKind.WEBHOOK_ADDED, _compare({}, webhook_values.describe(endpoint)))
    return endpoint, secret


def change(
    endpoint: models.WebhookEndpoint, values: Mapping[str, Any], context: AuditContext, by: Operator | None
) -> bool:
    """Change the `address` or the `kinds`; what `values` does not have stays. Return whether anything changed.

    Raise InvalidWebhook, NotAllowed and UnknownWebhook.
    """
    read = webhook_values.read_webhook(values)
    if read.pop("name", endpoint.name) != endpoint.name:
        text = _("The name of a webhook never changes. Add another webhook.")
        raise webhook_values.InvalidWebhook([("name", text)])
    check_allowed(read.get("kinds", ()), by)
    with _changing(endpoint, by):
        before = webhook_values.describe(endpoint)
        for name, value in read.items():
            setattr(endpoint, name, value)
        changes = _compare(before, webhook_values.describe(endpoint))
        if changes:
            if "address" in changes:
                _forget_failures(endpoint)
            endpoint.save(update_fields=["address", "kinds", *_HEALTH])
            _record(endpoint, context, EventKind.WEBHOOK_CHANGED, changes)
        return bool(changes)


_HEALTH = ("next_attempt_at", "failures", "failing_since", "problem")


def _forget_failures(endpoint: models.WebhookEndpoint) -> None:
    """Let the next message be tried at once."""
    endpoint.next_attempt_at, endpoint.failures, endpoint.failing_since, endpoint.problem = None, 0, None, ""


def rotate(endpoint: models.WebhookEndpoint, hours: int, context: AuditContext, by: Operator | None) -> str:
    """Return a new secret, which is shown once. The former one stays valid for this many hours.

    Raise InvalidValue, NotAllowed and UnknownWebhook.
    """
    if hours not in OVERLAPS:
        text = _("Choose one of these numbers of hours: %(hours)s.")
        raise InvalidValue("hours", text % {"hours": ", ".join(map(str, OVERLAPS))})
    secret = webhook_secrets.make_secret()
    with _changing(endpoint, by):
        endpoint.secrets = webhook_secrets.rotate(endpoint.secrets, secret, context.at, timedelta(hours=hours))
        endpoint.save(update_fields=["secrets"])
        _record(endpoint, context, EventKind.WEBHOOK_SECRET_ROTATED, {"former secret valid": ("", f"{hours} h")})
    return secret


def pause(endpoint: models.WebhookEndpoint, context: AuditContext, by: Operator | None) -> None:
    """Send nothing until it is resumed. Messages wait. Raise NotAllowed and UnknownWebhook."""
    with _changing(endpoint, by):
        if endpoint.paused_at is None:
            endpoint.paused_at = context.at
            endpoint.save(update_fields=["paused_at"])
            _record(endpoint, context, EventKind.WEBHOOK_PAUSED)


def resume(endpoint: models.WebhookEndpoint, context: AuditContext, by: Operator | None) -> None:
    """Send again, if it was paused or disabled, and do not wait if it rests. Raise NotAllowed and UnknownWebhook."""
    with _changing(endpoint, by):
        was = endpoint.disabled_why
        changed = endpoint.paused_at is not None or endpoint.disabled_at is not None
        endpoint.paused_at, endpoint.disabled_at, endpoint.disabled_why = None, None, ""
        _forget_failures(endpoint)
        endpoint.save(update_fields=["paused_at", "disabled_at", "disabled_why", *_HEALTH])
        if changed:
            _record(endpoint, context, EventKind.WEBHOOK_RESUMED, {"disabled": (was, "")} if was else {})


def remove(endpoint: models.WebhookEndpoint, context: AuditContext, by: Operator | None) -> None:
    """Remove the webhook and its messages, including those that wait. Raise NotAllowed and UnknownWebhook."""
    with _changing(endpoint, by):
        _record(endpoint, context, EventKind.WEBHOOK_REMOVED, _compare(webhook_values.describe(endpoint), {}))
        models.WebhookEndpoint.objects.filter(pk=endpoint.pk).delete()


def send_test(endpoint: models.WebhookEndpoint, context: AuditContext, by: Operator | None) -> models.WebhookMessage:
    """Write a test message, which a worker sends, and return it. It waits for no other message.

    Raise InvalidValue, NotAllowed and UnknownWebhook.
    """
    with _changing(endpoint, by):
        _check_sends(endpoint)
        waiting = models.WebhookMessage.objects.filter(endpoint=endpoint, kind=WebhookKind.TEST, ended_at=None)
        if waiting[:MOST_TESTS].count() >= MOST_TESTS:
            raise InvalidValue("test", _("Enough test messages wait already. Wait until they are sent."))
        data = {"agency": endpoint.agency.slug, "webhook": endpoint.name}
        subject = f"test:{secrets.token_hex(8)}"
        pk = webhook_messages.queue_for(endpoint.pk, WebhookKind.TEST, subject, context.at, data)
        _record(endpoint, context, EventKind.WEBHOOK_TESTED)
        return models.WebhookMessage.objects.get(pk=pk)


def _check_sends(endpoint: models.WebhookEndpoint) -> None:
    if endpoint.paused_at or endpoint.disabled_at:
        raise InvalidValue("paused", _("The webhook is paused or disabled. Resume it first."))


def send_again(
    endpoint: models.WebhookEndpoint, webhook_id: str, context: AuditContext, by: Operator | None
) -> models.WebhookMessage:
    """Have a worker send a message again that was delivered or given up. It keeps its ID.

    Raise InvalidValue, NotAllowed, UnknownMessage and UnknownWebhook.
    """
    with _changing(endpoint, by):
        _check_sends(endpoint)
        message = find_message(endpoint, webhook_id)
        if message.ended_at is None:
            raise InvalidValue("message", _("The message is waiting already, and is sent as soon as possible."))
        _reopen(models.WebhookMessage.objects.filter(pk=message.pk), context.at)
        _record(endpoint, context, EventKind.WEBHOOK_SENT_AGAIN, {"message": ("", message.webhook_id)})
        message.refresh_from_db()
        return message


def send_all_again(endpoint: models.WebhookEndpoint, context: AuditContext, by: Operator | None) -> int:
    """Have a worker send all messages again that were given up, and return their number.

    Raise InvalidValue, NotAllowed and UnknownWebhook.
    """
    with _changing(endpoint, by):
        _check_sends(endpoint)
        number = _reopen(_select_given_up(endpoint), context.at)
        if number:
            _record(endpoint, context, EventKind.WEBHOOK_SENT_AGAIN, {"messages": ("", str(number))})
        return number


def _reopen(messages: "QuerySet[models.WebhookMessage]", at: datetime) -> int:
    until = at + webhook_messages.KEPT_TRYING
    return messages.update(ended_at=None, delivered=False, next_attempt_at=None, until=until, attempts=0)


def find_message(endpoint: models.WebhookEndpoint, webhook_id: str) -> models.WebhookMessage:
    """Return the message with this ID. Raise UnknownMessage."""
    pk = webhook_values.parse_message_id(webhook_id)
    message = models.WebhookMessage.objects.filter(pk=pk, endpoint=endpoint, webhook_id=webhook_id).first()
    if message is None:
        raise UnknownMessage(webhook_id[:64])
    return message


def _select_given_up(endpoint: models.WebhookEndpoint) -> "QuerySet[models.WebhookMessage]":
    return models.WebhookMessage.objects.filter(endpoint=endpoint, ended_at__isnull=False, delivered=False)


@dataclass(frozen=True, slots=True)
class MessagePage:
    """A page of messages, the latest first. `before`: the cursor of the next page (0: there is none)."""

    messages: list[models.WebhookMessage]
    before: int


def read_page(endpoint: models.WebhookEndpoint, before: int = 0, *, given_up: bool = False) -> MessagePage:
    """Return a page of the webhook's messages: only those with a lower id than `before` (0: from the latest).

    `given_up`: only those that were not delivered.
    """
    messages = _select_given_up(endpoint) if given_up else models.WebhookMessage.objects.filter(endpoint=endpoint)
    found = list(messages.filter(Q(pk__lt=before) if before else Q()).order_by("-pk")[: PAGE + 1])
    return MessagePage(found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else 0)


def count_messages(endpoint: models.WebhookEndpoint) -> tuple[int, int]:
    """Return how many messages wait, and how many were given up. Each is counted up to 10,000 only."""
    waiting = models.WebhookMessage.objects.filter(endpoint=endpoint, ended_at=None)
    return waiting[:_MOST_COUNTED].count(), _select_given_up(endpoint)[:_MOST_COUNTED].count()


def is_sending(endpoint: models.WebhookEndpoint) -> bool:
    """Return whether messages wait for their first attempt, and nothing keeps them from it."""
    if endpoint.state not in {"fine", "failing"} or endpoint.next_attempt_at:
        return False
    return models.WebhookMessage.objects.filter(endpoint=endpoint, ended_at=None, next_attempt_at=None).exists()


def list_former_ends(endpoint: models.WebhookEndpoint, at: datetime) -> list[datetime]:
    """Return the time at which each former secret stops signing messages too."""
    valid = webhook_secrets.list_valid(endpoint.secrets, at)
    return [datetime.fromisoformat(one["until"]) for one in valid if one["until"]]


def disable(endpoint: models.WebhookEndpoint, why: str, context: AuditContext) -> bool:
    """Send nothing more to an address that takes no messages, as the system, in the caller's transaction.

    Return False if it is disabled already, or has another address now.
    """
    found = models.WebhookEndpoint.objects.filter(pk=endpoint.pk, address=endpoint.address, disabled_at=None)
    if not found.update(disabled_at=context.at, disabled_why=why):
        return False
    endpoint.disabled_at, endpoint.disabled_why = context.at, why
    _record(endpoint, context, EventKind.WEBHOOK_DISABLED, {"reason": ("", why)})
    return True


def _record(
    endpoint: models.WebhookEndpoint,
    context: AuditContext,
    kind: EventKind,
    changes: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Record an event about the webhook, which names it."""
    name = (endpoint.name, "") if kind is EventKind.WEBHOOK_REMOVED else ("", endpoint.name)
    trail.record_event(endpoint.agency, context, kind, changes={"webhook": name, **(changes or {})})


def _compare(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    pairs = {name: (before.get(name, ""), after.get(name, "")) for name in {**before, **after}}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}


@contextmanager
def _changing(endpoint: models.WebhookEndpoint, by: Operator | None) -> Iterator[None]:
    """Read the webhook again and hold it, in one transaction and under its agency's lock.

    Raise UnknownWebhook, and NotAllowed if the operator may not manage it as it is now.
    """
    agency = endpoint.agency
    with transaction.atomic():
        locks.lock_row(agency)
        try:
            held = models.WebhookEndpoint.objects.select_for_update(of=("self",), no_key=True)
            endpoint.refresh_from_db(from_queryset=held)
        except models.WebhookEndpoint.DoesNotExist:
            raise UnknownWebhook(endpoint.name) from None
        endpoint.agency = agency
        check_allowed(endpoint.kinds, by)
        yield
