"""The pages of webhooks: the list, one webhook with its messages, its forms, and what can be done with it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhooks
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats, webhook_notices
from musterbook.webhooks import claims, sending
from tests import worker
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414  # used by being here
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import enter
from tests.web.looks import barriers
from tests.webhooks.receiver import Receiver, answer

HOOKS = "/springfield/webhooks/"
HOOK = f"{HOOKS}payroll/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


@built_once
def _build() -> Springfield:
    made = Springfield(cast.agency(limits=cast.unlimited()))
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), person(3))
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def springfield(db: None, monkeypatch: pytest.MonkeyPatch) -> Springfield:
    worker.at_hand(monkeypatch)
    return _build()


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    """A browser of the administrator."""
    signed_in(client, "user.1")
    return client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def chief(*permissions: str) -> Client:
    """A browser of somebody whose role has these permissions."""
    models.Role.objects.filter(name="Chief").update(permissions=list(permissions))
    client = Client()
    signed_in(client, "user.2")
    return client


def now(hours: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def add_webhook(
    agency: models.Agency, address: str, *kinds: str, name: str = "payroll"
) -> tuple[models.WebhookEndpoint, str]:
    values = {"name": name, "address": address, "kinds": list(kinds or ("*",))}
    return webhooks.add(agency, values, AuditContext(now(), "", "cli"), None)


def work(hours: float = 0) -> None:
    """Send what can be sent, so many hours from now."""
    while endpoint := claims.claim_next("worker", now(hours)):
        sending.serve(endpoint, lambda: now(hours))


def read(client: Client, path: str = HOOK) -> str:
    found = client.get(path)
    assert found.status_code == 200
    return str(found.content.decode())


def test_a_user_adds_a_webhook_and_sees_its_secret_once(springfield: Springfield, boss: Client) -> None:
    sent = {"name": "payroll", "address": "https://payroll.example.org/hook", "kinds": ["user.added", "feed.late"]}
    refused = boss.post(f"{HOOKS}add", sent)
    assert refused.status_code == 422
    made = boss.post(f"{HOOKS}add", sent | {"kinds": ["user.added", "import.late"]})
    assert made.status_code == 200 and "no-store" in made["Cache-Control"]
    (secret,) = set(SECRET.findall(made.content.decode()))
    endpoint = models.WebhookEndpoint.objects.get()
    assert (endpoint.kinds, endpoint.maker) == (["user.added", "import.late"], springfield.user(1))
    for path in (HOOKS, HOOK, f"{HOOK}change", f"{HOOK}rotate", f"{HOOK}remove", "/springfield/audit/"):
        assert secret not in read(boss, path) and not SECRET.search(read(boss, path))
    assert secret not in repr(list(models.Event.objects.values())) + repr(endpoint.secrets)
    assert "/hook" not in repr(list(models.Event.objects.values()))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "Pay Roll", "lowercase letters"),
        ("address", "http://payroll.example.org/", "begins with https://"),
        ("address", "https://user:pass@payroll.example.org/", "has no user"),
        ("address", "https://10.1.2.3/hook", "internal network"),
        ("address", "https://[fd00::1]/hook", "internal network"),
        ("address", "https://169.254.169.254/latest/meta-data/", "internal network"),
        ("kinds", [], "Choose at least one"),
    ],
)
def test_an_unfit_webhook_is_refused_with_the_reason(boss: Client, field: str, value: Any, says: str) -> None:
    sent = {"name": "payroll", "address": "https://payroll.example.org/", "kinds": ["user.added"]} | {field: value}
    found = boss.post(f"{HOOKS}add", sent)
    assert found.status_code == 422 and says in found.content.decode()
    assert not models.WebhookEndpoint.objects.exists()


def test_a_test_message_is_sent_and_its_result_is_shown(
    springfield: Springfield, boss: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_webhook(springfield.agency, receiver.address)
    monkeypatch.setattr(heartbeats, "has_live_worker", lambda: True)
    page = boss.post(f"{HOOK}test", follow=True).content.decode()
    assert "A test message will be sent now" in page and "Messages are being sent." in page
    part = boss.get(HOOK, headers={"HX-Request": "true"})
    assert "Messages are being sent." in part.content.decode()
    work()
    assert boss.get(HOOK, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    page = read(boss)
    assert "webhook.test" in page and ">Delivered</span>" in page and "204" in page
    assert receiver.kinds == ["webhook.test"]


def test_without_a_worker_the_page_says_that_nothing_is_sent_yet(
    springfield: Springfield, boss: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_webhook(springfield.agency, receiver.address)
    monkeypatch.setattr(heartbeats, "has_live_worker", lambda: False)
    assert "No worker is running" in boss.post(f"{HOOK}test", follow=True).content.decode()


def test_what_was_given_up_is_listed_and_sent_again(springfield: Springfield, boss: Client, receiver: Receiver) -> None:
    endpoint, _ = add_webhook(springfield.agency, receiver.address)
    receiver.respond = answer(500)
    boss.post(f"{HOOK}test")
    work()
    page = read(boss)
    assert ">Failing</span>" in page and "The receiver answered with status 500." in page
    assert ">Will be tried again</span>" in page
    for hours in (1, 2, 73):
        work(hours)
    message = models.WebhookMessage.objects.get()
    assert message.ended_at and not message.delivered
    endpoint.refresh_from_db()
    assert endpoint.disabled_why == webhook_problems.AWAY
    page = read(boss, f"{HOOK}?show=given-up")
    assert "1 message was given up" in read(boss) and ">Given up</span>" in page and ">Disabled</span>" in page
    assert "Resume it first" in boss.post(f"{HOOK}send-again", follow=True).content.decode()
    receiver.respond = answer(204)
    boss.post(f"{HOOK}resume")
    page = boss.post(f"{HOOK}send-again", follow=True).content.decode()
    assert "1 message will be sent again." in page
    work(74)
    page = boss.post(f"{HOOK}send-again", {"message": message.webhook_id}, follow=True).content.decode()
    assert "The message will be sent again now." in page
    assert (
        "is waiting already"
        in boss.post(f"{HOOK}send-again", {"message": message.webhook_id}, follow=True).content.decode()
    )
    work(75)
    assert receiver.ids[-2:] == [message.webhook_id] * 2
    assert boss.post(f"{HOOK}send-again", {"message": "msg_1_no"}).status_code == 404


def test_a_user_changes_rotates_pauses_resumes_and_removes_it(springfield: Springfield, boss: Client) -> None:
    _, secret = add_webhook(springfield.agency, "https://payroll.example.org/a")
    page = boss.post(
        f"{HOOK}change", {"address": "https://payroll.example.org/b", "kinds": ["user.added"]}, follow=True
    ).content.decode()
    assert "The settings were saved." in page and "https://payroll.example.org/b" in page
    assert boss.post(f"{HOOK}change", {"address": "nonsense", "kinds": ["user.added"]}).status_code == 422
    page = boss.post(f"{HOOK}rotate", {"hours": "24"}).content.decode()
    assert SECRET.findall(page) != [secret] and "24 more hours" in page
    assert "A former secret is valid until" in read(boss)
    assert "not valid any more" in boss.post(f"{HOOK}rotate", {"hours": "0"}).content.decode()
    assert boss.post(f"{HOOK}rotate", {"hours": "999"}).status_code == 422
    assert ">Paused</span>" in boss.post(f"{HOOK}pause", follow=True).content.decode()
    assert "Resume it first" in boss.post(f"{HOOK}test", follow=True).content.decode()
    assert ">Fine</span>" in boss.post(f"{HOOK}resume", follow=True).content.decode()
    assert "You cannot undo this" in read(boss, f"{HOOK}remove")
    assert "was removed" in boss.post(f"{HOOK}remove", follow=True).content.decode()
    assert boss.get(HOOK).status_code == 404
    kinds = models.Event.objects.filter(kind__startswith="webhook.").order_by("pk").values_list("kind", flat=True)
    acts = ["added", "changed", "secret-rotated", "secret-rotated", "paused", "resumed", "removed"]
    assert list(kinds) == [f"webhook.{act}" for act in acts]


def test_nobody_manages_a_webhook_about_what_their_role_does_not_show(springfield: Springfield) -> None:
    add_webhook(springfield.agency, "https://payroll.example.org/", "user.added")
    add_webhook(springfield.agency, "https://feeds.example.org/", "feed.added", name="feeds")
    client = chief("api.manage", "users.synchronize")
    page = read(client, HOOKS)
    assert "feeds" in page and "payroll" not in page and "1 webhook is not shown" in page
    assert "user.added" not in read(client, f"{HOOKS}add")
    for path in ("", "change", "rotate", "remove"):
        assert client.get(HOOK + path).status_code == 403
    for path in ("change", "rotate", "remove", "test", "pause", "resume", "send-again"):
        assert client.post(HOOK + path).status_code == 403
    sent = {"name": "mine", "address": "https://mine.example.org/", "kinds": ["user.added"]}
    assert client.post(f"{HOOKS}add", sent).status_code == 403
    sent = {"address": "https://mine.example.org/", "kinds": ["user.added", "feed.added"]}
    assert client.post(f"{HOOKS}feeds/change", sent).status_code == 403
    assert models.Event.objects.filter(kind="act.refused").count() >= 12
    assert models.WebhookEndpoint.objects.filter(kinds=["feed.added"]).exists()
    assert chief("users.view", "users.import").get(HOOKS).status_code == 403


def test_an_agency_never_sees_the_webhook_of_another(
    springfield: Springfield, boss: Client, shelbyville: Springfield
) -> None:
    add_webhook(shelbyville.agency, "https://payroll.example.org/")
    assert "payroll" not in read(boss, HOOKS)
    for path in ("", "change", "rotate", "remove"):
        assert boss.get(HOOK + path).status_code == 404
    add_webhook(springfield.agency, "https://payroll.example.org/")
    other = models.WebhookEndpoint.objects.select_related("agency").get(agency=shelbyville.agency)
    message = webhooks.send_test(other, AuditContext(now(), "", "cli"), None)
    assert boss.post(f"{HOOK}send-again", {"message": message.webhook_id}).status_code == 404


def test_the_notice_of_a_disabled_webhook_goes_to_those_who_manage_webhooks(springfield: Springfield) -> None:
    endpoint, _ = add_webhook(springfield.agency, "https://payroll.example.org/")
    webhook_notices.disable(endpoint, webhook_problems.GONE, now())
    webhook_notices.disable(endpoint, webhook_problems.GONE, now())
    assert models.Mail.objects.filter(kind="webhook-disabled").values_list("to", flat=True).get() == (
        "user1@agency.example"
    )
    page = read(chief("api.manage"), "/springfield/notices/")
    assert "Webhook disabled" in page and f'href="{HOOK}"' in page and "status 410" in page
    assert "Webhook disabled" not in read(chief("users.import"), "/springfield/notices/")


def test_the_pages_of_webhooks_have_no_barriers(springfield: Springfield, page: Page, receiver: Receiver) -> None:
    context = AuditContext(now(), "", "cli")
    for name in ("fine", "failing", "paused", "disabled"):
        endpoint, _ = add_webhook(springfield.agency, receiver.address, "*", name=name)
        receiver.respond = answer({"failing": 500, "disabled": 410}.get(name, 204))
        webhooks.send_test(endpoint, context, None)
        webhooks.rotate(endpoint, 24, context, None)
        work()
        if name == "paused":
            webhooks.pause(endpoint, context, None)
    enter(page, "user.1", "webhooks/")
    found = {"list": barriers(page)}
    for name in ("fine", "failing", "paused", "disabled"):
        page.goto(f"/springfield/webhooks/{name}/")
        for details in page.locator("summary").all():
            details.click()
        found[name] = barriers(page)
    for path in ("add", "fine/change", "fine/rotate", "fine/remove"):
        page.goto(f"/springfield/webhooks/{path}")
        found[path] = barriers(page)
    page.goto("/springfield/webhooks/add")
    page.get_by_role("button", name="Add webhook").click()
    found["errors"] = barriers(page)
    page.goto("/springfield/webhooks/fine/rotate")
    page.get_by_role("button", name="Rotate the secret").click()
    found["secret"] = barriers(page)
    assert {name: bars for name, bars in found.items() if bars} == {}
