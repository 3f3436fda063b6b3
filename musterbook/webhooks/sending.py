"""The sending to one endpoint: several messages at once, each about another subject, and what follows from each answer.

A message is sent at least once. If the worker ends between sending and noting, it is sent again with the same ID.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime

from django.db import Error

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhook_secrets
from musterbook.directory.agency.webhook_values import describe_address
from musterbook.directory.audit.webhook_messages import KEPT_TRYING
from musterbook.directory.imports import webhook_notices
from musterbook.directory.storage import isolation, locks
from musterbook.webhooks import claims, requests, schedule
from musterbook.webhooks.claims import Clock, EndCheck
from musterbook.webhooks.requests import GONE, Answer

_LOG = logging.getLogger(__name__)
LANES = 4
"""The most requests to one endpoint at the same time."""
_BATCH = 32
"""The most messages that are sent under one renewal of the lease."""
_TURN = 20.0
"""The seconds after which other endpoints have their turn."""
_MARGIN = 5.0
"""A request is begun only if it ends this many seconds before the lease."""
_FIRST_KEPT, _LAST_KEPT = 5, 15
"""The attempts of a message that its log keeps."""


Sent = Iterable[tuple[models.WebhookMessage, Answer]]


def serve(endpoint: models.WebhookEndpoint, now: Clock, ending: EndCheck = lambda: False) -> int:
    """Send what can be sent to an endpoint that this worker has claimed, and release it. Return the number of attempts."""
    with isolation.limit_to(endpoint.agency_id):
        try:
            return _serve(endpoint, now, ending)
        finally:
            try:
                claims.release(endpoint)
            except Error:  # its lease ends by itself
                _LOG.warning("A webhook could not be released", exc_info=True)


def _serve(endpoint: models.WebhookEndpoint, now: Clock, ending: EndCheck) -> int:
    began, attempts = time.monotonic(), 0
    with ThreadPoolExecutor(LANES, thread_name_prefix="webhook") as lanes:
        while not ending() and time.monotonic() - began < _TURN:
            done = _send_batch(endpoint, lanes, now, ending)
            attempts += done
            if not done:
                break
    return attempts


def _send_batch(endpoint: models.WebhookEndpoint, lanes: ThreadPoolExecutor, now: Clock, ending: EndCheck) -> int:
    begun = time.monotonic()
    at = now()
    with locks.write_transaction(lambda: None):
        is_ours = claims.renew(endpoint, at)
    if not is_ours or claims.is_resting(endpoint, at):
        return 0
    most = 1 if endpoint.failures else _BATCH
    messages = list(claims.select_messages(at).filter(endpoint=endpoint).order_by("pk")[:most])
    if not messages:
        return 0
    last_begin = begun + claims.LEASE.total_seconds() - requests.SECONDS - _MARGIN
    valid = webhook_secrets.unseal_valid(endpoint.secrets, at)

    def send(message: models.WebhookMessage) -> Answer:
        return requests.send(endpoint.address, valid, message.webhook_id, message.body, now())

    waiting, attempts, flying = deque(messages), 0, dict[Future[Answer], models.WebhookMessage]()
    while True:
        while waiting and len(flying) < LANES and not ending() and time.monotonic() < last_begin:
            message = waiting.popleft()
            flying[lanes.submit(send, message)] = message
        if not flying:
            return attempts
        ended, _ = wait(flying, return_when=FIRST_COMPLETED)
        sent = [(flying.pop(one), one.result()) for one in [*flying] if one in ended]
        attempts += len(sent)
        if not note(endpoint, sent, now()):
            waiting.clear()


def note(endpoint: models.WebhookEndpoint, sent: Sent, at: datetime) -> bool:
    """Note the answers, in one transaction. Return False if nothing more should be sent to the endpoint now.

    What was delivered is noted in any case. A failure is noted only if the worker still has the endpoint, and no person has
    changed or resumed it meanwhile.
    """
    goes_on, why = True, ""
    with locks.write_transaction(lambda: None):
        is_ours = claims.hold(endpoint, at)
        for message, answer in sent:
            if not answer.problem:
                _note_delivered(message, answer, at)
                _note_health(endpoint, failures=0, failing_since=None, problem="", next_attempt_at=None)
            elif is_ours:
                _note_failed(message, answer, at)
                goes_on = _note_failure(endpoint, answer, at) and goes_on
                why = _find_end(endpoint, answer, at) or why
    if why:
        _disable(endpoint, why, at)
    return goes_on and is_ours and not why


def _note_delivered(message: models.WebhookMessage, answer: Answer, at: datetime) -> None:
    _update(message, answer, ended_at=at, delivered=True, next_attempt_at=None)


def _note_failed(message: models.WebhookMessage, answer: Answer, at: datetime) -> None:
    message.attempts += 1
    following = schedule.find_next(message, at)
    _update(message, answer, next_attempt_at=following, ended_at=None if following else at, attempts=message.attempts)


def _update(message: models.WebhookMessage, answer: Answer, **fields: object) -> None:
    entry = {
        "at": answer.at.isoformat(timespec="seconds"), "status": answer.status, "ms": answer.milliseconds,
        "problem": answer.problem,
    }  # fmt: skip
    log = [*message.log, entry]
    if len(log) > _FIRST_KEPT + _LAST_KEPT:
        log = [*log[:_FIRST_KEPT], *log[-_LAST_KEPT:]]
    models.WebhookMessage.objects.filter(pk=message.pk, ended_at=None).update(log=log, **fields)


def _note_failure(endpoint: models.WebhookEndpoint, answer: Answer, at: datetime) -> bool:
    """Note a failure of the endpoint. Return whether more messages can be tried now."""
    failures, since = endpoint.failures + 1, endpoint.failing_since or at
    rest = schedule.find_end_of_rest(failures, at)
    _note_health(endpoint, failures=failures, failing_since=since, problem=answer.problem, next_attempt_at=rest)
    return rest is None


def _find_end(endpoint: models.WebhookEndpoint, answer: Answer, at: datetime) -> str:
    """Return why nothing more is sent to the endpoint after this failure, or ""."""
    if answer.status == GONE:
        return webhook_problems.GONE
    since = endpoint.failing_since
    return webhook_problems.AWAY if since and at - since >= KEPT_TRYING else ""


def _disable(endpoint: models.WebhookEndpoint, why: str, at: datetime) -> None:
    """Disable the endpoint, in a transaction of its own: those of users lock the agency before the endpoint too.

    If the worker ends before, or the agency was paused meanwhile, the next failure has the same result.
    """
    try:
        with locks.write_transaction(lambda: None):
            is_disabled = webhook_notices.disable(endpoint, why, at)
    except locks.AgencyPaused:
        return
    if is_disabled:
        _LOG.warning("A webhook was disabled: %s %s", endpoint.name, describe_address(endpoint.address))


def _note_health(endpoint: models.WebhookEndpoint, **fields: object) -> None:
    if any(getattr(endpoint, name) != value for name, value in fields.items()):
        for name, value in fields.items():
            setattr(endpoint, name, value)
        claims.write(endpoint, **fields)
