"""`muster webhook`: webhooks as the command line adds, shows, tests, changes and removes them. Secrets are shown once."""

import re
import shlex
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from musterbook.directory import models
from musterbook.webhooks import claims, sending
from tests.cli.conftest import CommandResult, Muster, build_directory, row
from tests.webhooks.receiver import Receiver, answer

OF = ("--agency", "springfield-pd")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "receive-a-webhook.md"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def hooked(springfield: Muster, receiver: Receiver) -> Muster:
    """The agency with a webhook that gets everything."""
    done = springfield("webhook", "add", "payroll", *OF, "--address", receiver.address)
    assert done.status == 0, done.err
    return springfield


def work() -> None:
    """Send what can be sent now."""
    while endpoint := claims.claim_next("worker", datetime.now(UTC)):
        sending.serve(endpoint, lambda: datetime.now(UTC))


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a worker send while the command waits."""
    monkeypatch.setattr(time, "sleep", lambda _: work())
    return work


def test_the_commands_of_the_how_to_work_as_they_are_written(
    springfield: Muster, receiver: Receiver, working: object
) -> None:
    text = HOW_TO.read_text(encoding="utf-8").replace("https://payroll.example.org/hook", receiver.address)
    lines = re.findall(r"^muster (webhook .*)$", text, re.MULTILINE)
    done = [springfield(*shlex.split(line)) for line in lines]
    assert [(one.status, line) for one, line in zip(done, lines, strict=True) if one.status] == []
    assert len(done) == 2 and receiver.kinds == ["webhook.test"]
    (secret,) = SECRET.findall(done[0].text)
    assert receiver.arrived[0].is_signed_with(secret)


def test_a_secret_is_printed_once(springfield: Muster) -> None:
    done = springfield(
        "webhook", "add", "payroll", *OF, "--address", "https://payroll.example.org/", "--output", "json"
    )
    assert done.status == 0 and SECRET.fullmatch(done.json["secret"])
    assert done.json["state"] == "fine" and "user.added" in done.json["kinds"]
    for command in (("list", *OF), ("show", "payroll", *OF)):
        for output in ("text", "json"):
            shown = springfield("webhook", *command, "--output", output)
            assert shown.status == 0 and "payroll" in shown.text and not SECRET.search(shown.text + shown.err)
    new = springfield("webhook", "rotate", "payroll", *OF, "--hours", "0")
    assert SECRET.findall(new.text) and SECRET.findall(new.text) != [done.json["secret"]]
    assert springfield("webhook", "rotate", "payroll", *OF, "--hours", "5").status == 3


def test_a_test_message_shows_what_the_receiver_answered(hooked: Muster, receiver: Receiver, working: object) -> None:
    done = hooked("webhook", "test", "payroll", *OF)
    assert done.status == 0 and "status 204" in done.err
    receiver.respond = answer(500)
    done = hooked("webhook", "test", "payroll", *OF)
    assert done.status == 5 and "status 500" in done.err
    done = hooked("webhook", "test", "payroll", *OF, "--output", "json")
    assert done.status == 5 and done.json["status"] == 500 and done.json["state"] == "waiting"
    assert "failing" in hooked("webhook", "list", *OF).text


def test_without_a_worker_a_test_message_waits(hooked: Muster) -> None:
    done = hooked("webhook", "test", "payroll", *OF, "--wait", "0")
    assert done.status == 5 and "muster worker" in done.err


def test_messages_are_listed_and_sent_again(hooked: Muster, receiver: Receiver) -> None:
    hooked("webhook", "test", "payroll", *OF, "--wait", "0")
    work()
    (message,) = hooked("webhook", "show", "payroll", *OF, "--output", "json").json["messages"]
    assert message["state"] == "delivered" and message["id"] in hooked("webhook", "show", "payroll", *OF).text
    done = hooked("webhook", "send-again", "payroll", message["id"], *OF)
    assert done.status == 0 and "1 message will be sent again." in done.err
    work()
    assert receiver.ids == [message["id"]] * 2
    models.WebhookMessage.objects.update(delivered=False)
    assert hooked("webhook", "send-again", "payroll", *OF, "--output", "json").json["sent_again"] == 1
    done = hooked("webhook", "send-again", "payroll", "msg_7_x", *OF)
    assert done.status == 2 and "no message" in done.err


def test_a_webhook_is_changed_paused_resumed_and_removed(hooked: Muster) -> None:
    def run(*arguments: str) -> CommandResult:
        done = hooked("webhook", *arguments, *OF)
        assert done.status == 0, done.err
        return done

    assert "were changed" in run("set", "payroll", "--kind", "user.added", "--kind", "feed.*").err
    assert "Nothing was changed" in run("set", "payroll", "--kind", "user.added", "--kind", "feed.*").err
    assert run("set", "payroll", "--kind", "user.added", "--output", "json").json["kinds"] == ["user.added"]
    assert "paused" in run("pause", "payroll").text
    assert hooked("webhook", "test", "payroll", *OF).status == 3
    assert run("resume", "payroll", "--output", "json").json["state"] == "fine"
    models.WebhookEndpoint.objects.update(disabled_at=datetime.now(UTC), disabled_why="why")
    assert "disabled: why" in run("list").text
    assert "was removed" in run("remove", "payroll").err
    assert "no webhook yet" in run("list").err
    for name in ("show", "pause", "remove", "test", "rotate", "send-again"):
        done = hooked("webhook", name, "payroll", *OF)
        assert done.status == 2 and "There is no webhook “payroll”" in done.err
    hooked("webhook", "add", "b", *OF, "--address", "https://payroll.example.org/")
    assert run("remove", "b", "--output", "json").json == {"webhook": "b", "agency": "springfield-pd", "removed": True}


def test_wrong_calls_say_what_to_write(springfield: Muster) -> None:
    done = springfield("webhook", "add", "Pay Roll", *OF, "--address", "ftp://x", "--kind", "user.gone")
    assert done.status == 3 and done.err.count("\n- ") == 3 and "user.added" in done.err
    assert springfield("webhook", "add", "payroll", *OF).status == 3
    springfield("webhook", "add", "payroll", *OF, "--address", "https://payroll.example.org/")
    done = springfield("webhook", "set", "payroll", *OF)
    assert done.status == 2 and "--address or --kind" in done.err


def test_a_user_acts_with_their_permissions(springfield: Muster) -> None:
    build_directory((row("ann", role="Admin"), row("cy", role="Clerk")), also=("--no-mail",))
    add = ("webhook", "add", "payroll", *OF, "--address", "https://payroll.example.org/", "--as")
    done = springfield(*add, "E-cy")
    assert done.status == 2 and "api.manage" in done.err
    assert springfield(*add, "E-ann").status == 0
    assert models.WebhookEndpoint.objects.get().maker == models.User.objects.get(external_id="E-ann")
    assert springfield("webhook", "show", "payroll", *OF, "--as", "E-cy").status == 2
    assert springfield("webhook", "list", *OF, "--as", "E-cy", "--output", "json").json == []
