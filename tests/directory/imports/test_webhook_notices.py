"""The notice and the email about a webhook that was disabled: to those who manage webhooks, once, without its address."""

from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook.accounts import outbox
from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhooks
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import notices, webhook_notices
from musterbook.directory.storage import locks
from tests.directory import cast
from tests.directory.cast import NOW, people, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint(settings: Settings, tmp_path: Path) -> models.WebhookEndpoint:
    """A webhook of an agency with an administrator (1), one who may import (2), and an officer (3)."""
    settings.MUSTER_HOME = tmp_path
    made = cast.agency()
    cast.apply_rows(made, [person(1, ROLE="Admin"), person(2, ROLE="Chief"), *people(3)])
    cast.register(made, 1, 2, 3)
    models.Mail.objects.all().delete()
    values = {"name": f"payroll-{'x' * 40}", "address": "https://payroll.example.org/hush", "kinds": ["*"]}
    return webhooks.add(made, values, AuditContext(NOW, "", "cli"), None)[0]


def disable(endpoint: models.WebhookEndpoint, why: str) -> None:
    """Disable the webhook in a transaction, as the worker does."""
    with locks.write_transaction(lambda: None):
        webhook_notices.disable(endpoint, why, NOW)


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_email_names_the_webhook_and_its_page_and_has_no_address(
    endpoint: models.WebhookEndpoint, language: str
) -> None:
    models.Agency.objects.update(language=language)
    for _ in range(2):
        disable(endpoint, webhook_problems.AWAY)
    assert outbox.send_due("worker", lambda: NOW + timedelta(minutes=1)) == 1
    (file,) = outbox.get_folder().glob("*.eml")
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body
    text = body.get_content()
    assert message["To"] == "user1@agency.example"
    assert len(message["Subject"]) <= 40 and "payroll-" in message["Subject"]
    assert f"/springfield/webhooks/{endpoint.name}/" in text and endpoint.name in text
    assert "payroll.example.org" not in text and "hush" not in text


def test_only_users_who_manage_webhooks_see_the_notice(endpoint: models.WebhookEndpoint) -> None:
    disable(endpoint, webhook_problems.GONE)
    made = endpoint.agency
    users = models.User.objects.select_related("role", "agency")
    seen = {
        user.external_id: [notice.kind for notice in notices.read_page(user).notices]
        for user in users.filter(agency=made)
    }
    assert seen == {"E-1": ["webhook-disabled"], "E-2": [], "E-3": []}
    models.Role.objects.filter(name="Chief").update(permissions=["api.manage"])
    assert [one.kind for one in notices.read_page(users.get(external_id="E-2")).notices] == ["webhook-disabled"]


def test_the_email_is_not_sent_to_a_user_who_has_lost_the_permission(endpoint: models.WebhookEndpoint) -> None:
    disable(endpoint, webhook_problems.GONE)
    models.User.objects.filter(external_id="E-1").update(role=models.Role.objects.get(name="Officer"))
    outbox.send_due("worker", lambda: NOW + timedelta(minutes=1))
    assert "may no longer see" in models.Mail.objects.get().problem
