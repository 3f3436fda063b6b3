"""The worker that sends: in threads of its own, so that no slow receiver delays another one or an import."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from django.db import OperationalError, connections

from musterbook import jobs
from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.webhooks import backlog, claims, sending
from tests.directory import cast
from tests.webhooks.conftest import Clock, Hook, make_hook
from tests.webhooks.receiver import Arrived, Receiver, answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_PAUSE", "_PAUSE_AFTER_ERROR", "_LOOK_EVERY", "_FEEDS_EVERY", "_WEBHOOKS_EVERY"):
        monkeypatch.setattr(jobs, pause, 0.02)


def run_until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let a worker run until this holds, and end it."""
    stop = threading.Event()

    def work() -> None:
        try:
            jobs.work(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        meanwhile()
        for _ in range(1500):
            if holds():
                break
            time.sleep(0.02)
        else:
            raise AssertionError("it never came to hold")
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def clock() -> Clock:
    """The real time, which the worker has."""
    return Clock(jobs.now())


def test_a_worker_sends_what_is_written_while_it_runs(hook: Hook, receiver: Receiver) -> None:
    run_until(lambda: receiver.kinds == ["webhook.test"], hook.test)
    assert hook.again().worker == ""


def test_a_receiver_that_hangs_delays_no_other_and_no_import(hook: Hook, receiver: Receiver, clock: Clock) -> None:
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler, one: Arrived) -> None:
        release.wait(20)
        answer(204)(handler, one)

    receiver.respond = hang
    with Receiver() as other:
        quick = make_hook("shelbyville", other.address, clock)
        hook.apply(*cast.people(*range(1, 20)))
        for _ in range(3):
            quick.test()

        def is_done() -> bool:
            done = len(other.arrived) == 3 and len(receiver.arrived) >= sending.LANES
            if done:
                assert hook.messages(delivered=True) == []
                release.set()
            return done

        run_until(is_done)


def test_a_worker_that_ends_finishes_what_it_sends_and_leaves_the_rest(hook: Hook, receiver: Receiver) -> None:
    def slowly(handler: BaseHTTPRequestHandler, one: Arrived) -> None:
        time.sleep(0.05)
        answer(204)(handler, one)

    receiver.respond = slowly
    hook.apply(*cast.people(*range(1, 100)))
    run_until(lambda: len(receiver.arrived) >= 5)
    noted = hook.messages(delivered=True)
    assert len(noted) == len(receiver.arrived) < 100
    assert hook.again().lease_until is None


def test_a_database_that_fails_for_a_moment_ends_no_worker(
    hook: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = sending.serve, [1]

    def serve(*arguments: object) -> int:
        if failures:
            failures.pop()
            claims.release(arguments[0])  # type: ignore[arg-type]  # the endpoint
            raise OperationalError("gone")
        return real(*arguments)  # type: ignore[arg-type]  # the same

    monkeypatch.setattr(sending, "serve", serve)
    run_until(lambda: bool(receiver.arrived), hook.test)


def test_a_webhook_that_cannot_be_released_is_free_when_its_lease_ends(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: models.WebhookEndpoint) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(claims, "release", fail)
    hook.test()
    hook.clock.at = jobs.now()
    assert hook.work() == 1
    assert "could not be released" in caplog.text


def test_a_worker_has_only_so_many_endpoints_at_once(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_ENDPOINTS_AT_ONCE", 0)
    hook.test()
    loop = jobs._WebhookLoop("worker", threading.Event())
    assert loop.round() == jobs._LOOK_EVERY
    assert claims.claim_next("worker", jobs.now()) is not None


def test_a_worker_that_runs_once_sends_what_is_due(hook: Hook, receiver: Receiver) -> None:
    hook.test()
    jobs.run_once()
    assert receiver.kinds == ["webhook.test"]


def test_the_backlog_counts_webhooks_and_messages(hook: Hook, receiver: Receiver, clock: Clock) -> None:
    assert backlog.read_backlog(clock.at) == (0, 0, 0)
    hook.test()
    clock.go(seconds=7)
    assert backlog.read_backlog(clock.at) == (1, 0, 7)
    webhooks.pause(hook.endpoint, hook.context(), None)
    assert backlog.count_endpoints() == {"paused": 1}
    models.WebhookMessage.objects.update(ended_at=clock.at)
    assert backlog.read_backlog(clock.at) == (0, 1, 0)
