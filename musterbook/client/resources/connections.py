"""Tokens and webhooks: how other systems and the agency reach each other."""

from typing import Literal, Unpack

from musterbook.client.answering import Page
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import CreatedToken, Message, NewSecret, SentAgain, Token, Webhook
from musterbook.client.operations import Listing, Operation, Resource, S


class Tokens(Resource[S]):
    """The tokens of the agency. `token`: the `id` of a token."""

    @Operation
    def list_all(self, state: Literal["valid", "ended"] = "valid") -> Steps[list[Token]]:
        """Return the valid tokens, or those that ended lately, the newest first."""
        return (yield from self._ask(routes.LIST_TOKENS, query={"state": state})).items

    @Operation
    def create(self, **values: Unpack[bodies.NewToken]) -> Steps[CreatedToken]:
        """Create a token. Its `secret` is shown only now."""
        return self._ask(routes.CREATE_TOKEN, body=values)

    @Operation
    def read(self, token: int) -> Steps[Token]:
        """Return a token."""
        return self._ask(routes.READ_TOKEN, {"number": token})

    @Operation
    def revoke(self, token: int) -> Steps[None]:
        """Revoke a token permanently."""
        return self._ask(routes.REVOKE_TOKEN, {"number": token}, is_repeatable=True)


class Webhooks(Resource[S]):
    """The webhooks and their messages. `webhook`: the name of a webhook. `message`: the `id` of a message."""

    @Listing
    def search(self) -> Call[Page[Webhook]]:
        """Iterate over the webhooks by name."""
        return make_call(routes.LIST_WEBHOOKS)

    @Operation
    def add(self, **values: Unpack[bodies.NewWebhook]) -> Steps[NewSecret]:
        """Add a webhook. Its `secret` is shown only now."""
        return self._ask(routes.ADD_WEBHOOK, body=values)

    @Operation
    def read(self, webhook: str) -> Steps[Webhook]:
        """Return a webhook."""
        return self._ask(routes.READ_WEBHOOK, {"name": webhook})

    @Operation
    def change(self, webhook: str, **values: Unpack[bodies.WebhookChange]) -> Steps[Webhook]:
        """Change the address or the kinds of messages."""
        return self._ask(routes.CHANGE_WEBHOOK, {"name": webhook}, body=values)

    @Operation
    def remove(self, webhook: str) -> Steps[None]:
        """Remove a webhook and its messages, including those that wait."""
        return self._ask(routes.REMOVE_WEBHOOK, {"name": webhook})

    @Operation
    def rotate(self, webhook: str, hours: Literal[0, 1, 24, 168] | None = None) -> Steps[NewSecret]:
        """Make a new secret. `hours`: for how long the former one signs messages too; without it, the usual time."""
        body = {} if hours is None else {"hours": hours}
        return self._ask(routes.ROTATE_WEBHOOK_SECRET, {"name": webhook}, body=body)

    @Operation
    def pause(self, webhook: str) -> Steps[Webhook]:
        """Send nothing until it is resumed."""
        return self._ask(routes.PAUSE_WEBHOOK, {"name": webhook}, is_repeatable=True)

    @Operation
    def resume(self, webhook: str) -> Steps[Webhook]:
        """Send again, if it was paused or disabled."""
        return self._ask(routes.RESUME_WEBHOOK, {"name": webhook}, is_repeatable=True)

    @Operation
    def test(self, webhook: str) -> Steps[Message]:
        """Send a test message. Read the message for its result."""
        return self._ask(routes.TEST_WEBHOOK, {"name": webhook})

    @Operation
    def send_all_again(self, webhook: str) -> Steps[SentAgain]:
        """Send all messages again that were given up."""
        return self._ask(routes.SEND_WEBHOOK_AGAIN, {"name": webhook})

    @Listing
    def messages(self, webhook: str, **options: Unpack[bodies.ListWebhookMessagesOptions]) -> Call[Page[Message]]:
        """Iterate over the messages, the latest first."""
        return make_call(routes.LIST_WEBHOOK_MESSAGES, {"name": webhook}, query=options)

    @Operation
    def read_message(self, webhook: str, message: str) -> Steps[Message]:
        """Return a message with its attempts."""
        return self._ask(routes.READ_WEBHOOK_MESSAGE, {"name": webhook, "message": message})

    @Operation
    def send_again(self, webhook: str, message: str) -> Steps[Message]:
        """Send one message again."""
        return self._ask(routes.SEND_WEBHOOK_MESSAGE_AGAIN, {"name": webhook, "message": message})
