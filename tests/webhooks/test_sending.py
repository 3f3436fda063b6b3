"""Messages arrive: signed, once by ID, in order for each subject, and whatever a receiver does disturbs nobody else."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.imports import records
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.models import NoticeKind
from musterbook.webhooks import claims, requests, schedule, sending, upkeep
from tests.directory import cast
from tests.socket_servers import server
from tests.webhooks.conftest import Clock, Hook, make_hook
from tests.webhooks.receiver import Receiver, answer


def test_a_test_message_arrives_signed_with_the_secret(hook: Hook, receiver: Receiver) -> None:
    message = hook.test()
    assert hook.work() == 1
    (arrived,) = receiver.arrived
    assert (arrived.id, arrived.kind, arrived.path) == (message.webhook_id, "webhook.test", "/hook")
    assert arrived.headers["content-type"] == "application/json"
    assert arrived.is_signed_with(hook.secret)
    assert not arrived.is_signed_with("whsec_" + "A" * 44)
    (kept,) = hook.messages()
    assert kept.delivered
    assert kept.ended_at == cast.NOW
    assert [entry["status"] for entry in kept.log] == [204]


def test_an_import_sends_a_message_for_each_user_and_one_for_itself(hook: Hook, receiver: Receiver) -> None:
    hook.apply(*cast.people(1, 2, 3))
    hook.work()
    assert sorted(receiver.kinds) == ["import.applied", "user.added", "user.added", "user.added"]
    added = {one.data["external_id"]: one.data for one in receiver.arrived if one.kind == "user.added"}
    user, record = cast.user(hook.agency, 1), models.Import.objects.get()
    assert added["E-1"]["link"].endswith(f"/springfield/users/{user.pk}/")
    assert added["E-1"]["import"] == record.number
    assert {"FIRST_NAME", "EMAIL", "STATUS"} <= set(added["E-1"]["changed"])
    assert "First 1" not in json.dumps(added)
    assert "user1@" not in json.dumps(added)


def test_a_receiver_that_was_away_for_an_hour_gets_everything_in_order_and_once(
    hook: Hook, receiver: Receiver, clock: Clock
) -> None:
    receiver.stop()
    for number, name in enumerate(("Adams", "Brown", "Clark")):
        hook.apply(*cast.people(1, 2, 3, LAST_NAME=f"{name} {number}"))
        hook.work()
        clock.go(minutes=20)
        hook.work()
    assert len(hook.messages(ended_at=None)) == 12
    receiver.start()
    clock.go(hours=2)
    for _ in range(20):
        hook.work()
    assert hook.messages(ended_at=None) == []
    assert sorted(receiver.ids) == sorted({message.webhook_id for message in hook.messages()})
    of_one = [one for one in receiver.arrived if one.data.get("external_id") == "E-1"]
    assert [one.kind for one in of_one] == ["user.added", "user.updated", "user.updated"]
    assert [int(one.id.split("_")[1]) for one in of_one] == sorted(int(one.id.split("_")[1]) for one in of_one)


def test_another_attempt_does_not_wait_for_the_time_of_a_clock_that_was_set_back(
    hook: Hook, receiver: Receiver, clock: Clock
) -> None:
    for _ in range(3):
        hook.test()
    receiver.stop()
    clock.go(hours=26)
    hook.work()
    hook.work()
    assert hook.again().next_attempt_at
    receiver.start()
    clock.go(hours=-26)
    hook.work()
    assert [message.delivered for message in hook.messages()] == [True, True, True]


def test_a_message_waits_for_the_earlier_one_about_its_subject_and_for_no_other(
    hook: Hook, receiver: Receiver, clock: Clock
) -> None:
    hook.apply(*cast.people(1, 2))
    refused = hook.messages(subject=f"user:{cast.user(hook.agency, 1).pk}")[0].webhook_id
    receiver.respond = lambda handler, one: answer(500 if one.id == refused else 204)(handler, one)
    clock.go(seconds=1)
    hook.apply(*cast.people(1, 2, LAST_NAME="Brown"))
    hook.work()
    delivered = {one.data.get("external_id") for one in receiver.arrived if one.id != refused}
    assert "E-1" not in delivered
    assert [one.kind for one in receiver.arrived if one.data.get("external_id") == "E-2"] == [
        "user.added",
        "user.updated",
    ]
    receiver.respond = answer(204)
    clock.go(minutes=1)
    hook.work()
    hook.work()
    of_one = [one for one in receiver.arrived if one.data.get("external_id") == "E-1"]
    assert [one.kind for one in of_one] == ["user.added"] * (len(of_one) - 1) + ["user.updated"]
    assert hook.messages(ended_at=None) == []


def test_a_message_is_tried_for_three_days_less_and_less_often_and_then_given_up(
    hook: Hook, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "RESTS_AFTER", 10**6)
    receiver.respond = answer(503)
    began = clock.at
    message, times = hook.test(), []
    while message.ended_at is None:
        assert hook.work() == 1
        times.append(clock.at)
        message.refresh_from_db()
        clock.at = message.next_attempt_at or clock.at
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[-1] == began + timedelta(days=3)
    for wait, least in zip(waits, schedule.WAITS, strict=False):
        assert least <= wait <= least * 1.2
    assert max(waits) <= timedelta(hours=1.2)
    assert set(receiver.ids) == {message.webhook_id}
    assert not message.delivered
    assert len(message.log) == 20
    assert hook.again().disabled_at is not None


def test_an_endpoint_that_takes_nothing_rests_so_that_others_have_their_turn(
    hook: Hook, receiver: Receiver, clock: Clock
) -> None:
    receiver.respond = answer(500)
    hook.apply(*cast.people(*range(1, 30)))
    for _ in range(10):
        hook.work()
    assert len(receiver.arrived) <= schedule.RESTS_AFTER + sending.LANES
    assert hook.again().failures >= schedule.RESTS_AFTER
    tried = len(receiver.arrived)
    rests_until = hook.endpoint.next_attempt_at
    assert rests_until is not None and rests_until > clock.at
    clock.at = rests_until
    hook.work()
    assert len(receiver.arrived) == tried + 1
    receiver.respond = answer(204)
    clock.go(hours=2)
    hook.work()
    clock.go(hours=2)
    hook.work()
    assert hook.messages(ended_at=None) == []
    assert (hook.again().failures, hook.endpoint.failing_since, hook.endpoint.problem) == (0, None, "")


def test_a_receiver_that_says_that_it_is_gone_is_disabled_with_an_event_and_a_notice(
    hook: Hook, receiver: Receiver
) -> None:
    receiver.respond = answer(410)
    hook.test()
    hook.work()
    assert hook.again().disabled_at == cast.NOW
    assert "410" in hook.endpoint.disabled_why
    (notice,) = models.Notice.objects.all()
    assert (notice.kind, notice.permission) == (NoticeKind.WEBHOOK, "api.manage")
    assert notice.facts["webhook"] == "payroll"
    assert models.Event.objects.filter(kind="webhook.disabled", agency=hook.agency).count() == 1
    hook.apply(*cast.people(1))
    assert len(hook.messages()) == 1  # it gets no new ones
    receiver.respond = answer(204)
    webhooks.resume(hook.endpoint, hook.context(), None)
    hook.work()
    hook.clock.go(minutes=1)
    hook.work()
    assert hook.messages(delivered=False) == []
    cast.assert_whole(hook.agency)


def test_a_webhook_whose_agency_is_paused_meanwhile_sends_nothing_more_and_is_disabled_later(
    hook: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sending._find_end

    def pause(*args: Any) -> str:
        models.Agency.objects.update(paused_at=cast.NOW)
        return usual(*args)

    receiver.respond = answer(410)
    hook.test()
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_find_end", pause)
        assert hook.work() == 1
    assert (hook.again().disabled_at, hook.endpoint.worker, hook.endpoint.lease_until) == (None, "", None)
    assert not models.Notice.objects.exists()
    models.Agency.objects.update(paused_at=None)
    hook.clock.go(minutes=5)
    hook.work()
    assert hook.again().disabled_at
    cast.assert_whole(hook.agency)


def work_meanwhile(
    hook: Hook, receiver: Receiver, status: int, act: Callable[[], object], *, rests: bool = True
) -> None:
    """Send to a webhook that rests, or is fine. A person acts while the receiver answers with the status, and later with 204."""

    def respond(handler: Any, arrived: Any) -> None:
        try:
            act()
        finally:
            connections.close_all()
        receiver.respond = answer(204)
        answer(status)(handler, arrived)

    if rests:
        models.WebhookEndpoint.objects.update(
            failures=schedule.RESTS_AFTER, failing_since=cast.NOW, problem="No answer."
        )
    hook.test()
    receiver.respond = respond
    hook.work()


@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize("status", [204, 410, 500])
def test_what_follows_at_a_former_address_says_nothing_of_the_new_one(
    hook: Hook, receiver: Receiver, status: int, rests: bool
) -> None:
    values = {"address": f"{receiver.address}/new"}

    def change() -> None:
        webhooks.change(models.WebhookEndpoint.objects.get(), values, hook.context(), None)

    work_meanwhile(hook, receiver, status, change, rests=rests)
    endpoint = hook.again()
    assert (endpoint.failures, endpoint.problem, endpoint.next_attempt_at) == (0, "", None)
    assert (endpoint.state, endpoint.worker, models.Notice.objects.count()) == ("fine", "", 0)
    (message,) = hook.messages()
    assert (message.delivered, message.attempts) == (True, 0)
    assert [one.path for one in receiver.arrived] == ["/hook"] + ["/hook/new"] * (status != 204)


@pytest.mark.parametrize("status", [410, 500])
def test_a_webhook_that_is_resumed_during_an_attempt_is_tried_again_at_once(
    hook: Hook, receiver: Receiver, status: int
) -> None:
    work_meanwhile(
        hook, receiver, status, lambda: webhooks.resume(models.WebhookEndpoint.objects.get(), hook.context(), None)
    )
    assert (hook.again().failures, hook.endpoint.state, hook.endpoint.next_attempt_at) == (0, "fine", None)
    assert [message.delivered for message in hook.messages()] == [True]


def test_a_webhook_that_gets_another_address_before_it_is_disabled_goes_on(
    hook: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sending._disable

    def change(*given: Any) -> None:
        receiver.respond = answer(204)
        webhooks.change(hook.again(), {"address": f"{receiver.address}/new"}, hook.context(), None)
        usual(*given)

    receiver.respond = answer(410)
    hook.test()
    monkeypatch.setattr(sending, "_disable", change)
    hook.work()
    assert (hook.again().disabled_at, models.Notice.objects.count()) == (None, 0)
    hook.clock.go(minutes=1)
    hook.work()
    assert hook.messages(delivered=False) == []


def test_a_pause_ends_the_sending_to_a_webhook_before_its_next_messages(hook: Hook) -> None:
    hook.test()
    endpoint = claims.claim_next("worker", hook.clock.at)
    assert endpoint
    models.Agency.objects.update(paused_at=cast.NOW)
    assert sending.serve(endpoint, hook.clock) == 0
    assert (hook.again().worker, len(hook.messages(ended_at=None))) == ("", 1)


def test_redirects_are_not_followed(hook: Hook, receiver: Receiver) -> None:
    receiver.respond = answer(302, Location=f"http://localhost:{receiver.port}/elsewhere")
    hook.test()
    hook.work()
    assert [one.path for one in receiver.arrived] == ["/hook"]
    assert "Redirects are not followed" in hook.messages()[0].log[0]["problem"]


def test_a_huge_answer_is_not_read(hook: Hook) -> None:
    sent = 0

    def flood(connection: object) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")  # type: ignore[attr-defined]  # a socket
        while True:
            sent += connection.send(b"x" * 65_536)  # type: ignore[attr-defined]  # a socket

    with server(flood) as (port, _):
        webhooks.change(hook.endpoint, {"address": f"http://localhost:{port}/"}, hook.context(), None)
        hook.test()
        hook.work()
    assert hook.messages()[0].delivered
    assert sent < 16 << 20


@pytest.mark.parametrize("behavior", ["hangs", "drips", "resets", "nonsense"])
def test_a_bad_receiver_costs_a_bounded_time(hook: Hook, monkeypatch: pytest.MonkeyPatch, behavior: str) -> None:
    monkeypatch.setattr(requests, "SECONDS", 0.5)

    def serve(connection: object) -> None:
        if behavior == "hangs":
            time.sleep(2)
        if behavior == "drips":
            for _ in range(20):
                connection.send(b"H")  # type: ignore[attr-defined]  # a socket
                time.sleep(0.1)
        if behavior == "nonsense":
            connection.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")  # type: ignore[attr-defined]  # a socket

    with server(serve) as (port, _):
        webhooks.change(hook.endpoint, {"address": f"http://localhost:{port}/"}, hook.context(), None)
        hook.test()
        began = time.monotonic()
        assert hook.work() == 1
        assert time.monotonic() - began < 1.8
    (message,) = hook.messages()
    assert message.log[0]["status"] == 0
    assert message.next_attempt_at is not None


def test_two_workers_never_send_one_message_at_the_same_time(hook: Hook, receiver: Receiver) -> None:
    release = threading.Event()

    def slowly(handler: object, one: object) -> None:
        release.wait(5)
        answer(204)(handler, one)  # type: ignore[arg-type]  # what the receiver gives

    receiver.respond = slowly
    hook.test()
    endpoint = claims.claim_next("one", hook.clock.at)
    assert endpoint is not None
    assert claims.claim_next("two", hook.clock.at) is None
    thread = threading.Thread(target=lambda: _serve(endpoint, hook.clock))
    thread.start()
    while not receiver.arrived:
        time.sleep(0.01)
    assert claims.claim_next("two", hook.clock.at) is None
    release.set()
    thread.join()
    assert len(receiver.arrived) == 1
    assert claims.claim_next("two", hook.clock.at) is None


def _serve(endpoint: models.WebhookEndpoint, clock: Clock) -> None:
    try:
        sending.serve(endpoint, clock)
    finally:
        connections.close_all()


def test_a_worker_whose_lease_was_taken_over_notes_no_failure_but_what_was_delivered(
    hook: Hook, receiver: Receiver, clock: Clock
) -> None:
    message = hook.test()
    slow = claims.claim_next("slow", clock.at)
    assert slow is not None
    clock.go(minutes=3)
    quick = claims.claim_next("quick", clock.at)
    assert quick is not None
    assert sending.serve(slow, clock) == 0
    failed = requests.Answer(500, "no", 1, clock.at)
    assert not sending.note(slow, [(message, failed)], clock.at)
    message.refresh_from_db()
    assert (message.log, message.ended_at) == ([], None)
    assert not sending.note(slow, [(message, requests.Answer(204, "", 1, clock.at))], clock.at)
    message.refresh_from_db()
    assert message.delivered
    assert sending.serve(quick, clock) == 0


def test_one_agency_takes_only_some_of_the_turns(hook: Hook, clock: Clock) -> None:
    for number in range(5):
        make_hook("springfield", hook.endpoint.address, clock, name=f"more-{number}").test()
    other = make_hook("shelbyville", hook.endpoint.address, clock)
    other.test()
    claimed = [one for _ in range(6) if (one := claims.claim_next("worker", clock.at))]
    assert [one.agency.slug for one in claimed].count("springfield") == claims.PER_AGENCY
    assert [one.agency.slug for one in claimed].count("shelbyville") == 1


def test_a_paused_webhook_keeps_its_messages_for_three_days(hook: Hook, receiver: Receiver, clock: Clock) -> None:
    webhooks.pause(hook.endpoint, hook.context(), None)
    hook.apply(*cast.people(1))
    assert hook.work() == 0
    clock.go(days=2)
    assert upkeep.give_up_old(clock.at) == 0
    webhooks.resume(hook.endpoint, hook.context(), None)
    assert hook.work() == 2
    webhooks.pause(hook.endpoint, hook.context(), None)
    hook.apply(*cast.people(1, LAST_NAME="Brown"))
    clock.go(days=4)
    assert upkeep.give_up_old(clock.at) == 1  # the import ended at the time of the real clock
    webhooks.resume(hook.endpoint, hook.context(), None)
    assert hook.work() == 1
    assert webhooks.count_messages(hook.endpoint) == (0, 1)
    assert webhooks.send_all_again(hook.endpoint, hook.context(), None) == 1
    assert hook.work() == 1
    assert webhooks.count_messages(hook.endpoint) == (0, 0)


def test_a_message_that_is_sent_again_keeps_its_id(hook: Hook, receiver: Receiver) -> None:
    message = hook.test()
    hook.work()
    webhooks.send_again(hook.endpoint, message.webhook_id, hook.context(), None)
    hook.work()
    assert receiver.ids == [message.webhook_id] * 2
    assert len(hook.messages()[0].log) == 2


def test_messages_are_forgotten_a_month_after_they_ended(hook: Hook, clock: Clock) -> None:
    hook.test()
    hook.work()
    waiting = hook.test()
    clock.go(days=31)
    assert upkeep.forget_old(clock.at) == 1
    assert [one.pk for one in hook.messages()] == [waiting.pk]


def test_both_secrets_sign_until_the_former_one_ends(hook: Hook, receiver: Receiver, clock: Clock) -> None:
    new = webhooks.rotate(hook.endpoint, 24, hook.context(), None)
    assert new != hook.secret
    hook.test()
    hook.work()
    assert receiver.arrived[0].is_signed_with(new)
    assert receiver.arrived[0].is_signed_with(hook.secret)
    clock.go(hours=25)
    hook.test()
    hook.work()
    assert receiver.arrived[1].is_signed_with(new)
    assert not receiver.arrived[1].is_signed_with(hook.secret)
    newest = webhooks.rotate(hook.endpoint, 0, hook.context(), None)
    hook.test()
    hook.work()
    assert receiver.arrived[2].is_signed_with(newest)
    assert not receiver.arrived[2].is_signed_with(new)


def test_nothing_is_sent_if_the_import_is_rolled_back(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "write_result", lambda *_: 1 / 0)
    with pytest.raises(ImportFailed):
        cast.run(hook.agency, cast.people(1))
    assert [message.kind for message in hook.messages()] == ["import.failed"]
    assert not models.User.objects.exists()
