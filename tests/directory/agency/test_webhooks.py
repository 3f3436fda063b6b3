"""Webhooks as an agency keeps them: what is accepted, who may do what, and what the trail says."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import translation
from pytest_django import Settings

from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhook_values, webhooks
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.agency.webhook_values import InvalidWebhook
from musterbook.directory.agency.webhooks import UnknownMessage, UnknownWebhook
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.audit.webhook_kinds import CHOICES
from tests.directory import cast
from tests.directory.cast import NOW

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(NOW, "E-1", "page")
NEW = {"name": "payroll", "address": "https://payroll.example.org/hook?key=hush", "kinds": ["user.*"]}


@pytest.fixture(autouse=True)
def _only_public(settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()


@pytest.fixture
def made() -> models.Agency:
    return cast.agency()


def add(made: models.Agency, by: Operator | None = None, **values: Any) -> models.WebhookEndpoint:
    return webhooks.add(made, NEW | values, CONTEXT, by)[0]


def may(*permissions: str) -> Operator:
    return Operator(7, "E-7", frozenset(permissions))


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "a" * 64}, ["name"]),
        ({"name": 7}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"address": ""}, ["address"]),
        ({"address": "https://a.example/" + "a" * 2000}, ["address"]),
        ({"address": "https://localhost/"}, ["address"]),
        ({"address": "https://10.0.0.1/"}, ["address"]),
        ({"address": "https://[::ffff:10.0.0.1]/"}, ["address"]),
        ({"address": "http://93.184.215.14/"}, ["address"]),
        ({"kinds": []}, ["kinds"]),
        ({"kinds": "user.added"}, ["kinds"]),
        ({"kinds": ["user.gone", "webhook.test"]}, ["kinds", "kinds"]),
        ({"kinds": ["user.*"] * 200}, ["kinds"]),
        ({"name": "X", "address": "x", "kinds": ["x"], "secret": "y"}, ["secret", "name", "address", "kinds"]),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_all_reasons(
    made: models.Agency, values: dict[str, Any], wrong: list[str]
) -> None:
    with pytest.raises(InvalidWebhook) as refused:
        add(made, **values)
    assert [setting for setting, _sentence in refused.value.errors] == wrong
    assert not models.WebhookEndpoint.objects.exists()


def test_a_host_that_the_installation_does_not_allow_is_refused(made: models.Agency, settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_HOSTS = ["*.hr.example"]
    with pytest.raises(InvalidWebhook, match="MUSTER_OUTSIDE_HOSTS"):
        add(made)
    add(made, address="https://a.hr.example/")


def test_kinds_can_be_named_in_groups_and_are_stored_one_by_one(made: models.Agency) -> None:
    assert add(made, kinds=["import.late", "user.*"]).kinds == [
        "user.added", "user.updated", "user.deactivated", "user.reactivated", "import.late"
    ]  # fmt: skip
    assert add(made, name="all", kinds=["*"]).kinds == [kind.value for kind in CHOICES]


def test_a_name_is_used_once_and_an_agency_has_only_so_many(made: models.Agency) -> None:
    add(made)
    with pytest.raises(InvalidWebhook, match="Choose another name"):
        add(made)
    add(cast.agency("shelbyville"))
    for number in range(webhooks.MOST - 1):
        add(made, name=f"more-{number}")
    with pytest.raises(InvalidWebhook, match="maximum"):
        add(made, name="one-more")


def test_a_user_needs_the_permissions_for_what_it_reports_before_and_after(made: models.Agency) -> None:
    with pytest.raises(NotAllowed, match=r"users\.view"):
        add(made, may("api.manage"))
    with pytest.raises(NotAllowed, match=r"api\.manage"):
        add(made, may("users.view"))
    clerk, endpoint = may("api.manage", "users.view"), add(made)
    webhooks.change(endpoint, {"address": "https://other.example/"}, CONTEXT, clerk)
    with pytest.raises(NotAllowed, match=r"users\.import"):
        webhooks.change(endpoint, {"kinds": ["import.held"]}, CONTEXT, clerk)
    webhooks.change(endpoint, {"kinds": ["import.held"]}, CONTEXT, None)
    for act in (webhooks.pause, webhooks.resume, webhooks.remove, webhooks.send_test, webhooks.send_all_again):
        with pytest.raises(NotAllowed):
            act(endpoint, CONTEXT, clerk)
    with pytest.raises(NotAllowed):
        webhooks.rotate(endpoint, 24, CONTEXT, clerk)
    with pytest.raises(NotAllowed):
        webhooks.find_webhook(made, "payroll", clerk)
    assert webhooks.list_webhooks(made, clerk) == []
    assert webhooks.list_webhooks(made, None) == [endpoint]


def test_a_webhook_that_was_removed_meanwhile_is_unknown(made: models.Agency) -> None:
    endpoint = add(made)
    webhooks.remove(endpoint, CONTEXT, None)
    for act in (webhooks.pause, webhooks.resume, webhooks.remove, webhooks.send_test):
        with pytest.raises(UnknownWebhook):
            act(endpoint, CONTEXT, None)
    for name in ("payroll", "No Name", "a" * 64):
        with pytest.raises(UnknownWebhook):
            webhooks.find_webhook(made, name, None)


def test_the_trail_has_no_secret_and_no_path_of_an_address_but_notices_each_change(made: models.Agency) -> None:
    endpoint, secret = webhooks.add(made, NEW, CONTEXT, None)
    assert not webhooks.change(endpoint, dict(NEW), CONTEXT, None)
    assert webhooks.change(endpoint, {"address": "https://payroll.example.org/other"}, CONTEXT, None)
    new = webhooks.rotate(endpoint, 1, CONTEXT, None)
    webhooks.pause(endpoint, CONTEXT, None)
    webhooks.pause(endpoint, CONTEXT, None)
    webhooks.resume(endpoint, CONTEXT, None)
    webhooks.resume(endpoint, CONTEXT, None)
    assert webhooks.disable(endpoint, webhook_problems.GONE, CONTEXT)
    assert not webhooks.disable(endpoint, webhook_problems.GONE, CONTEXT)
    webhooks.resume(endpoint, CONTEXT, None)
    webhooks.remove(endpoint, CONTEXT, None)
    events = list(models.Event.objects.filter(kind__startswith="webhook.").order_by("pk"))
    assert [event.kind.partition(".")[2] for event in events] == [
        "added", "changed", "secret-rotated", "paused", "resumed", "disabled", "resumed", "removed"
    ]  # fmt: skip
    texts = "".join(event.changes for event in events)
    for hidden in (secret, secret[6:], new, "/hook", "hush", "/other"):
        assert hidden not in texts
    assert json.loads(events[1].changes)["address"][0] != json.loads(events[1].changes)["address"][1]
    cast.assert_whole(made)


def test_the_name_never_changes_and_only_some_overlaps_are_possible(made: models.Agency) -> None:
    endpoint = add(made)
    with pytest.raises(InvalidWebhook, match="never changes"):
        webhooks.change(endpoint, {"name": "other"}, CONTEXT, None)
    with pytest.raises(InvalidValue, match="24"):
        webhooks.rotate(endpoint, 25, CONTEXT, None)


def test_only_so_many_test_messages_wait(made: models.Agency) -> None:
    endpoint = add(made)
    for _ in range(webhooks.MOST_TESTS):
        webhooks.send_test(endpoint, CONTEXT, None)
    with pytest.raises(InvalidValue, match="Enough"):
        webhooks.send_test(endpoint, CONTEXT, None)
    assert webhooks.count_messages(endpoint) == (webhooks.MOST_TESTS, 0)


def test_messages_are_found_by_their_id_only_at_their_webhook(made: models.Agency) -> None:
    endpoint, other = add(made), add(made, name="other")
    message = webhooks.send_test(endpoint, CONTEXT, None)
    assert webhooks.find_message(endpoint, message.webhook_id) == message
    for found, name in ((other, message.webhook_id), (endpoint, message.webhook_id[:-1] + "x"), (endpoint, "msg_1")):
        with pytest.raises(UnknownMessage):
            webhooks.find_message(found, name)
    with pytest.raises(InvalidValue, match="waiting already"):
        webhooks.send_again(endpoint, message.webhook_id, CONTEXT, None)
    assert webhooks.send_all_again(endpoint, CONTEXT, None) == 0


def test_messages_are_read_page_by_page(made: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAGE", 2)
    endpoint = add(made)
    written = [webhooks.send_test(endpoint, CONTEXT, None) for _ in range(5)]
    models.WebhookMessage.objects.filter(pk=written[0].pk).update(ended_at=NOW + timedelta(days=3))
    page = webhooks.read_page(endpoint)
    found = page.messages
    while page.before:
        page = webhooks.read_page(endpoint, page.before)
        found += page.messages
    assert found == written[::-1]
    assert webhooks.read_page(endpoint, given_up=True).messages == written[:1]


def test_problems_are_stored_in_english_and_shown_in_the_language_of_the_reader() -> None:
    assert webhook_problems.describe_status(204) == ""
    for status, spanish in ((500, "El receptor respondió"), (302, "No se siguen las redirecciones")):
        problem = webhook_problems.describe_status(status)
        assert webhook_problems.translate_problem(problem) == problem
        with translation.override("es"):
            assert spanish in webhook_problems.translate_problem(problem)
    with translation.override("es"):
        assert "ya no existe" in webhook_problems.translate_problem(webhook_problems.GONE)
        assert webhook_problems.translate_problem("OSError: no route") == "OSError: no route"


def test_an_address_is_described_by_its_origin_and_a_mark() -> None:
    first, second = (webhook_values.describe_address(f"https://a.example:8443/{path}") for path in ("a", "b"))
    assert first.startswith("https://a.example:8443 (") and first != second
    assert webhook_values.describe_address("nonsense").startswith(" (")
