"""What the tests of webhooks share: an agency with an administrator, a receiver, and a clock of the test's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.audit.trail import AuditContext
from musterbook.webhooks import claims, sending
from tests.directory import cast
from tests.webhooks.receiver import Receiver


@dataclass
class Clock:
    """A clock that goes only when it is set."""

    at: datetime = cast.NOW

    def __call__(self) -> datetime:
        """The time now."""
        return self.at

    def go(self, **parts: float) -> None:
        """Let so much time pass."""
        self.at += timedelta(**parts)


@dataclass
class Hook:
    """An agency with a webhook, its secret, and a worker that sends."""

    agency: models.Agency
    endpoint: models.WebhookEndpoint
    secret: str
    clock: Clock

    def context(self, actor: str = "") -> AuditContext:
        """What a user does now."""
        return AuditContext(self.clock.at, actor, "cli")

    def work(self, worker: str = "worker") -> int:
        """Send all that can be sent now; give the number of attempts."""
        attempts = 0
        while endpoint := claims.claim_next(worker, self.clock.at):
            attempts += sending.serve(endpoint, self.clock)
        return attempts

    def messages(self, **having: Any) -> list[models.WebhookMessage]:
        """The messages, in the order in which they were written."""
        return list(models.WebhookMessage.objects.filter(endpoint=self.endpoint, **having).order_by("pk"))

    def again(self) -> models.WebhookEndpoint:
        """The endpoint as it is stored now."""
        self.endpoint.refresh_from_db()
        return self.endpoint

    def test(self) -> models.WebhookMessage:
        """A test message, which waits."""
        return webhooks.send_test(self.endpoint, self.context(), None)

    def apply(self, *rows: cast.Row, **more: Any) -> None:
        """Import these rows now."""
        cast.apply_rows(self.agency, rows, at=self.clock.at, **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def hook(transactional_db: None, receiver: Receiver, clock: Clock) -> Hook:
    """An agency whose webhook gets all kinds of messages."""
    return make_hook("springfield", receiver.address, clock)


def make_hook(slug: str, address: str, clock: Clock, kinds: tuple[str, ...] = ("*",), name: str = "payroll") -> Hook:
    """A webhook of the agency with this slug, which is made if it is not there."""
    agency = models.Agency.objects.filter(slug=slug).first() or cast.agency(slug, limits=cast.unlimited())
    values = {"name": name, "address": address, "kinds": list(kinds)}
    endpoint, secret = webhooks.add(agency, values, AuditContext(clock.at, "", "cli"), None)
    return Hook(agency, endpoint, secret, clock)
