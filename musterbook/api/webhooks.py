"""Webhooks: read, add, change and remove them, rotate their secrets, and send messages again."""

from dataclasses import replace
from http import HTTPStatus
from typing import Literal, Self

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from musterbook.accounts import tokens
from musterbook.api import access
from musterbook.api.access import needs
from musterbook.api.problems import FieldError, ProblemError
from musterbook.api.schemas import Page, Strict, Time, answers
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import webhook_values, webhooks
from musterbook.directory.agency.webhook_values import InvalidWebhook
from musterbook.directory.apply import snapshot_queries

router = Router()
MANAGE = webhooks.PERMISSION
_KINDS = "Kinds of messages. `user.*` is all that begin so, `*` is all."


class Webhook(Schema):
    """A webhook. `problem`: why the last attempt failed, or why it was disabled."""

    name: str
    address: str
    kinds: list[str]
    state: Literal["fine", "failing", "paused", "disabled"]
    problem: str
    created_at: Time
    last_sent_at: Time | None
    next_attempt_at: Time | None = Field(description="Until when it rests after several failures")
    failing_since: Time | None


class NewSecret(Schema):
    """A webhook with its new secret, which is shown only once."""

    webhook: Webhook
    secret: str


class NewWebhook(Strict):
    """A webhook to add."""

    name: str = Field(description="Lowercase letters, digits and hyphens. It never changes.")
    address: str = Field(description="Where the receiver takes messages: a URL with https")
    kinds: list[str] = Field(description=_KINDS)


class WebhookChange(Strict):
    """The settings to change. Others stay."""

    address: str = Field("", description="The new address")
    kinds: list[str] = Field(default_factory=list, description=_KINDS)


class Rotation(Strict):
    """The hours for which the former secret signs messages too."""

    hours: Literal[0, 1, 24, 168] = webhooks.USUAL_OVERLAP


class Attempt(Schema):
    """An attempt to deliver a message. `status`: of the answer, 0 without one."""

    at: Time
    status: int
    ms: int
    problem: str

    @classmethod
    def of(cls, attempt: webhook_values.Attempt) -> Self:
        """Return an attempt of the log."""
        return cls(at=attempt.at, status=attempt.status, ms=attempt.milliseconds, problem=attempt.problem)


class Message(Schema):
    """A message. `body`: exactly the text that is signed and sent."""

    id: str
    type: str
    at: Time
    state: Literal["waiting", "delivered", "given up"]
    ended_at: Time | None
    next_attempt_at: Time | None
    attempts: list[Attempt]
    body: str


class SentAgain(Schema):
    """How many messages will be sent again."""

    messages: int


class MessageSearch(Schema):
    """The parameters of a list of messages."""

    given_up: bool = Field(False, description="Only messages that were given up")
    cursor: str = Field("", pattern="^[0-9]{0,18}$", description="The member `next` of the page before")


def _find_operator(request: HttpRequest) -> Operator:
    """Return the creator of the token, with the permissions of the token."""
    token = access.get_token(request)
    maker = snapshot_queries.read_operator(token.agency, token.maker.external_id)
    return replace(maker, permissions=tokens.get_permissions(token))


def _find(request: HttpRequest, name: str) -> tuple[models.WebhookEndpoint, Operator]:
    by = _find_operator(request)
    return webhooks.find_webhook(access.get_agency(request), name, by), by


def _show(endpoint: models.WebhookEndpoint) -> Webhook:
    return Webhook(
        name=endpoint.name, address=endpoint.address, kinds=endpoint.kinds, state=endpoint.state,
        problem=endpoint.disabled_why or endpoint.problem, created_at=endpoint.created_at,
        last_sent_at=endpoint.served_at, next_attempt_at=endpoint.next_attempt_at, failing_since=endpoint.failing_since,
    )  # fmt: skip


def _show_message(message: models.WebhookMessage) -> Message:
    state: Literal["waiting", "delivered", "given up"] = (
        "delivered" if message.delivered else "given up" if message.ended_at else "waiting"
    )
    return Message(
        id=message.webhook_id, type=message.kind, at=message.at, state=state, ended_at=message.ended_at,
        next_attempt_at=message.next_attempt_at, body=message.body,
        attempts=[Attempt.of(attempt) for attempt in webhook_values.list_attempts(message)],
    )  # fmt: skip


def _refuse(unfit: InvalidWebhook) -> ProblemError:
    errors = [FieldError(f"/{name}", "invalid-value", sentence) for name, sentence in unfit.errors]
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(unfit), "invalid-value", errors)


@router.get(
    "", auth=needs(MANAGE), response=answers(Page[Webhook]), operation_id="listWebhooks", summary="List the webhooks"
)
def list_webhooks(request: HttpRequest) -> Page[Webhook]:
    """Return the webhooks that the token may see, by name. There are so few that one page has them all."""
    found = webhooks.list_webhooks(access.get_agency(request), _find_operator(request))
    return Page(items=[_show(endpoint) for endpoint in found])


@router.post(
    "", auth=needs(MANAGE), response=answers(NewSecret, 201), operation_id="addWebhook", summary="Add a webhook"
)
def add(request: HttpRequest, given: NewWebhook) -> Status[NewSecret]:
    """Add a webhook. The response has its secret, which is never shown again."""
    values = given.model_dump()
    try:
        endpoint, secret = webhooks.add(
            access.get_agency(request), values, access.make_context(request), _find_operator(request)
        )
    except InvalidWebhook as unfit:
        raise _refuse(unfit) from None
    return Status(HTTPStatus.CREATED, NewSecret(webhook=_show(endpoint), secret=secret))


@router.get(
    "/{slug:name}", auth=needs(MANAGE), response=answers(Webhook), operation_id="readWebhook", summary="Read a webhook"
)
def read(request: HttpRequest, name: str) -> Webhook:
    """Return the webhook. Its secret is never shown."""
    return _show(_find(request, name)[0])


@router.patch(
    "/{slug:name}", auth=needs(MANAGE), response=answers(Webhook), operation_id="changeWebhook",
    summary="Change a webhook",
)  # fmt: skip
def change(request: HttpRequest, name: str, given: WebhookChange) -> Webhook:
    """Change the address or the kinds of messages. Messages that wait go to the new address."""
    endpoint, by = _find(request, name)
    try:
        webhooks.change(endpoint, given.model_dump(exclude_unset=True), access.make_context(request), by)
    except InvalidWebhook as unfit:
        raise _refuse(unfit) from None
    return _show(endpoint)


@router.delete(
    "/{slug:name}", auth=needs(MANAGE), response=answers(None, 204), operation_id="removeWebhook",
    summary="Remove a webhook",
)  # fmt: skip
def remove(request: HttpRequest, name: str) -> Status[None]:
    """Remove the webhook and its messages, including those that wait."""
    endpoint, by = _find(request, name)
    webhooks.remove(endpoint, access.make_context(request), by)
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/{slug:name}:rotate", auth=needs(MANAGE), response=answers(NewSecret), operation_id="rotateWebhookSecret",
    summary="Rotate the secret of a webhook",
)  # fmt: skip
def rotate(request: HttpRequest, name: str, given: Rotation | None = None) -> NewSecret:
    """Make a new secret. Until the former one ends, each message has both signatures."""
    endpoint, by = _find(request, name)
    hours = (given or Rotation()).hours
    secret = webhooks.rotate(endpoint, hours, access.make_context(request), by)
    return NewSecret(webhook=_show(endpoint), secret=secret)


@router.post(
    "/{slug:name}:pause", auth=needs(MANAGE), response=answers(Webhook), operation_id="pauseWebhook",
    summary="Pause a webhook",
)  # fmt: skip
def pause(request: HttpRequest, name: str) -> Webhook:
    """Send nothing until it is resumed. Messages wait for up to three days."""
    endpoint, by = _find(request, name)
    webhooks.pause(endpoint, access.make_context(request), by)
    return _show(endpoint)


@router.post(
    "/{slug:name}:resume", auth=needs(MANAGE), response=answers(Webhook), operation_id="resumeWebhook",
    summary="Resume a webhook",
)  # fmt: skip
def resume(request: HttpRequest, name: str) -> Webhook:
    """Send again, if it was paused or disabled, and do not wait if it rests."""
    endpoint, by = _find(request, name)
    webhooks.resume(endpoint, access.make_context(request), by)
    return _show(endpoint)


@router.post(
    "/{slug:name}:test", auth=needs(MANAGE), response=answers(Message, 202), operation_id="testWebhook",
    summary="Send a test message",
)  # fmt: skip
def send_test(request: HttpRequest, response: HttpResponse, name: str) -> Status[Message]:
    """Send a test message. Read the message at the address in `Location` for its result."""
    endpoint, by = _find(request, name)
    return _accept(request, response, name, webhooks.send_test(endpoint, access.make_context(request), by))


def _accept(request: HttpRequest, response: HttpResponse, name: str, message: models.WebhookMessage) -> Status[Message]:
    agency = access.get_agency(request)
    response["Location"] = f"/{agency.slug}/api/v1/webhooks/{name}/messages/{message.webhook_id}"
    return Status(HTTPStatus.ACCEPTED, _show_message(message))


@router.post(
    "/{slug:name}:send-again", auth=needs(MANAGE), response=answers(SentAgain, 202), operation_id="sendWebhookAgain",
    summary="Send all messages again that were given up",
)  # fmt: skip
def send_all_again(request: HttpRequest, name: str) -> Status[SentAgain]:
    """Send all messages again that were given up. They keep their IDs."""
    endpoint, by = _find(request, name)
    number = webhooks.send_all_again(endpoint, access.make_context(request), by)
    return Status(HTTPStatus.ACCEPTED, SentAgain(messages=number))


@router.get(
    "/{slug:name}/messages", auth=needs(MANAGE), response=answers(Page[Message]), operation_id="listWebhookMessages",
    summary="List the messages of a webhook",
)  # fmt: skip
def list_messages(request: HttpRequest, name: str, search: Query[MessageSearch]) -> Page[Message]:
    """Return the messages, the latest first."""
    page = webhooks.read_page(_find(request, name)[0], int(search.cursor or 0), given_up=search.given_up)
    return Page(items=[_show_message(one) for one in page.messages], next=str(page.before) if page.before else None)


@router.get(
    "/{slug:name}/messages/{slug:message}", auth=needs(MANAGE), response=answers(Message),
    operation_id="readWebhookMessage", summary="Read a message",
)  # fmt: skip
def read_message(request: HttpRequest, name: str, message: str) -> Message:
    """Return the message with its attempts."""
    return _show_message(webhooks.find_message(_find(request, name)[0], message))


@router.post(
    "/{slug:name}/messages/{slug:message}:send-again", auth=needs(MANAGE), response=answers(Message, 202),
    operation_id="sendWebhookMessageAgain", summary="Send a message again",
)  # fmt: skip
def send_again(request: HttpRequest, response: HttpResponse, name: str, message: str) -> Status[Message]:
    """Send one message again that was delivered or given up. It keeps its ID."""
    endpoint, by = _find(request, name)
    return _accept(request, response, name, webhooks.send_again(endpoint, message, access.make_context(request), by))
