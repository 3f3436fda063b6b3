"""Webhooks by programs, through real requests."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.webhooks import claims, sending
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.webhooks.receiver import Receiver, answer

HERE = "/springfield/api/v1/webhooks"
MAY = ("api.manage", "users.view", "users.import", "users.synchronize")
NEW = {"name": "payroll", "address": "https://payroll.example.org/hook", "kinds": ["user.*", "import.held"]}


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that may manage all webhooks."""
    return make_token(springfield, *MAY)[1]


def call(secret: str, method: str, path: str = "", data: Any = None, status: int = 200) -> Any:
    """What the API answers to a program, with this status."""
    body = b"" if data is None else json.dumps(data).encode()
    headers = {"Authorization": f"Bearer {secret}"}
    found = Client().generic(method, f"{HERE}{path}", body, content_type="application/json", headers=headers)
    assert found.status_code == status, found.content
    return json.loads(found.content) if found.content else None


def work() -> None:
    """Send what can be sent now."""
    while endpoint := claims.claim_next("worker", datetime.now(UTC)):
        sending.serve(endpoint, lambda: datetime.now(UTC))


def test_a_program_adds_reads_changes_and_removes_a_webhook(springfield: Springfield, secret: str) -> None:
    made = call(secret, "POST", data=NEW, status=201)
    assert made["secret"].startswith("whsec_")
    kinds = ["user.added", "user.updated", "user.deactivated", "user.reactivated", "import.held"]
    assert (made["webhook"]["kinds"], made["webhook"]["state"]) == (kinds, "fine")
    assert call(secret, "GET")["items"] == [made["webhook"]]
    assert call(secret, "GET", "/payroll") == made["webhook"]
    assert call(secret, "PATCH", "/payroll", {"kinds": ["feed.*"]})["kinds"][0] == "feed.added"
    assert call(secret, "POST", "/payroll:pause")["state"] == "paused"
    assert call(secret, "POST", "/payroll:test", status=422)["code"] == "invalid-value"
    assert call(secret, "POST", "/payroll:resume")["state"] == "fine"
    rotated = call(secret, "POST", "/payroll:rotate", {"hours": 0})
    assert rotated["secret"] not in {made["secret"], ""}
    assert len(models.WebhookEndpoint.objects.get().secrets) == 1
    call(secret, "POST", "/payroll:rotate")
    assert len(models.WebhookEndpoint.objects.get().secrets) == 2
    call(secret, "DELETE", "/payroll", status=204)
    assert call(secret, "GET", "/payroll", status=404)["code"] == "not-found"
    through = models.Event.objects.filter(kind__startswith="webhook.").values_list("through", flat=True)
    assert set(through) == {"api"}


def test_all_errors_of_a_webhook_are_named_with_their_place(secret: str) -> None:
    wrong = {"name": "Pay Roll", "address": "ftp://x", "kinds": ["user.gone"]}
    found = call(secret, "POST", data=wrong, status=422)
    assert [one["pointer"] for one in found["errors"]] == ["/name", "/address", "/kinds"]
    call(secret, "POST", data=NEW, status=201)
    assert [one["pointer"] for one in call(secret, "POST", data=NEW, status=422)["errors"]] == ["/name"]
    found = call(secret, "PATCH", "/payroll", {"address": "nonsense"}, status=422)
    assert [one["pointer"] for one in found["errors"]] == ["/address"]
    assert call(secret, "PATCH", "/payroll", {"name": "other"}, status=422)["code"] == "invalid-request"


def test_a_program_follows_a_test_message_and_sends_messages_again(secret: str) -> None:
    with Receiver(answer(410)) as receiver:
        call(secret, "POST", data=NEW | {"address": receiver.address}, status=201)
        message = call(secret, "POST", "/payroll:test", status=202)
        assert (message["type"], message["state"], message["attempts"]) == ("webhook.test", "waiting", [])
        work()
        found = call(secret, "GET", f"/payroll/messages/{message['id']}")
        assert (found["attempts"][0]["status"], found["state"]) == (410, "waiting")
        assert call(secret, "GET", "/payroll")["state"] == "disabled"
        receiver.respond = answer(204)
        call(secret, "POST", "/payroll:resume")
        models.WebhookMessage.objects.update(next_attempt_at=None)
        work()
        assert call(secret, "GET", "/payroll/messages")["items"][0]["state"] == "delivered"
        assert call(secret, "GET", "/payroll/messages?given_up=true")["items"] == []
        assert call(secret, "POST", "/payroll:send-again", status=202) == {"messages": 0}
        call(secret, "POST", f"/payroll/messages/{message['id']}:send-again", status=202)
        work()
        assert receiver.ids == [message["id"]] * 3
    call(secret, "POST", "/payroll/messages/msg_1_a:send-again", status=404)
    assert len(call(secret, "GET", "/payroll/messages?cursor=1")["items"]) == 0


def test_a_token_sees_only_webhooks_about_what_it_may_see(springfield: Springfield, secret: str) -> None:
    call(secret, "POST", data=NEW, status=201)
    call(secret, "POST", data=NEW | {"name": "feeds", "kinds": ["feed.*"]}, status=201)
    Token.objects.update(name="earlier")
    _, less = make_token(springfield, "api.manage", "users.synchronize")
    assert [one["name"] for one in call(less, "GET")["items"]] == ["feeds"]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", ":rotate"), ("POST", ":test"), ("GET", "/messages")):
        assert call(less, method, f"/payroll{path}", status=403)["code"] == "not-allowed"
    call(less, "POST", data=NEW | {"name": "mine"}, status=403)
    call(less, "PATCH", "/feeds", {"kinds": ["user.added"]}, status=403)
    Token.objects.filter(name="HR").update(name="later")
    _, none = make_token(springfield, "users.view", "users.synchronize")
    call(none, "GET", status=403)


def test_a_token_of_another_agency_finds_nothing(
    springfield: Springfield, shelbyville: Springfield, secret: str
) -> None:
    call(secret, "POST", data=NEW, status=201)
    _, other = make_token(shelbyville, *MAY)
    call(other, "GET", "/payroll", status=401)
    found = Client().get("/shelbyville/api/v1/webhooks", headers={"Authorization": f"Bearer {other}"})
    assert json.loads(found.content)["items"] == []
