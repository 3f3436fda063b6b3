"""A law: whatever a receiver answers and when, messages about one subject are delivered in order, each ID once or again."""

from contextlib import suppress
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhooks
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit import webhook_messages
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.webhooks import claims, sending, upkeep
from musterbook.webhooks.requests import Answer
from tests import examples
from tests.directory import cast

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "work", "wait", "resend", "pause", "resume", "tidy"]),
        st.integers(0, 3),
        st.lists(st.sampled_from([204, 204, 204, 500, 0, 410]), max_size=8),
    ),
    min_size=3,
    max_size=25,
)


class Order(TestCase):
    """The law, on a database of its own for each example."""

    @settings(max_examples=examples.examples(60), deadline=None)
    @given(steps=STEPS)
    def test_messages_about_one_subject_arrive_in_order(self, steps: list[tuple[str, int, list[int]]]) -> None:
        """Whatever happens in between, no message overtakes an earlier one that is still tried."""
        made, at = cast.agency(), cast.NOW
        context = AuditContext(at, "", "cli")
        values = {"name": "payroll", "address": "http://localhost:9/", "kinds": ["*"]}
        endpoint, _ = webhooks.add(made, values, context, None)
        arrived: list[models.WebhookMessage] = []
        for step, number, answers in steps:
            if step == "work":
                self._work(at, answers, arrived)
            elif step == "wait":
                at += (timedelta(seconds=11), timedelta(minutes=20), timedelta(hours=5), timedelta(days=2))[number]
            else:
                self._act(step, endpoint, number, at)
        webhooks.resume(endpoint, AuditContext(at, "", "cli"), None)
        for _ in range(40):
            if not models.WebhookMessage.objects.filter(ended_at=None).exists():
                break
            self._work(at, [], arrived)
            at += timedelta(hours=2)
        assert not models.WebhookMessage.objects.filter(ended_at=None).exists()
        delivered = [message for message in models.WebhookMessage.objects.order_by("pk") if message.delivered]
        assert {one.pk for one in arrived} >= {one.pk for one in delivered}

    def _act(self, step: str, endpoint: models.WebhookEndpoint, number: int, at: datetime) -> None:
        """What else may happen."""
        context = AuditContext(at, "", "cli")
        if step == "write":
            webhook_messages.queue_for(endpoint.pk, WebhookKind.TEST, f"user:{number}", at, {})
        elif step in {"pause", "resume"}:
            getattr(webhooks, step)(endpoint, context, None)
        elif step == "tidy":
            upkeep.give_up_old(at)
        elif step == "resend":
            with suppress(InvalidValue):  # it is paused or disabled
                webhooks.send_all_again(endpoint, context, None)

    def _work(self, at: datetime, answers: list[int], arrived: list[models.WebhookMessage]) -> None:
        """Send what can be sent, one after the other; a status for each, and then 204."""
        pending = list(answers)
        while endpoint := claims.claim_next("worker", at):
            messages = list(claims.select_messages(at).filter(endpoint=endpoint).order_by("pk"))
            assert len({one.subject for one in messages}) == len(messages)
            for message in messages[: 1 if endpoint.failures else 4]:
                earlier = models.WebhookMessage.objects.filter(
                    endpoint=endpoint, subject=message.subject, pk__lt=message.pk, ended_at=None
                )
                assert not earlier.exists()
                status = pending.pop(0) if pending else 204
                if 200 <= status < 300:
                    arrived.append(message)
                answer = Answer(status, webhook_problems.describe_status(status), 1, at)
                if not sending.note(endpoint, [(message, answer)], at):
                    break
            claims.release(endpoint)
