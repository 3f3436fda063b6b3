"""Attacks on *Forgotten password*: who exists, told by time or by work; and mailboxes filled by strangers."""

import itertools
import random
import statistics
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from musterbook import jobs
from musterbook.accounts import registration, reset_requests
from musterbook.accounts.models import Attempts, ResetRequest
from musterbook.directory import models
from tests.accounts.conftest import Springfield, context
from tests.directory.cast import NOW

PAGE = "/springfield/forgotten-password"


@pytest.mark.django_db
def test_the_page_does_the_same_for_everybody(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    client.post(PAGE, {"name": "warm up"})
    work = {}
    for name in ("user.2", "user.1", "user.3", "nobody"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.post(PAGE, {"name": name})
        work[name] = [query["sql"].replace(name, "")[:40] for query in queries]
    assert work["user.2"] == work["user.1"] == work["user.3"] == work["nobody"]
    assert not any(
        "directory_user" in sql or "directory_event" in sql or "directory_mail" in sql for sql in work["user.2"]
    )


@pytest.mark.django_db
@pytest.mark.any_database
def test_the_time_of_an_answer_reveals_nothing(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    names = ["user.2", "nobody"] * 150
    random.shuffle(names)
    # The time of the processor: what else the machine does meanwhile says nothing.
    took: dict[str, list[float]] = {"user.2": [], "nobody": []}
    for name in names:
        Attempts.objects.all().delete()
        start = time.thread_time()
        client.post(PAGE, {"name": name})
        took[name].append(time.thread_time() - start)
    known, unknown = (statistics.median(took[name]) * 1000 for name in ("user.2", "nobody"))
    print(f"medians: {known:.2f} ms, {unknown:.2f} ms")  # noqa: T201  (for who measures: pytest -s)
    assert abs(known - unknown) < max(known, unknown) * 0.15


@pytest.mark.django_db(transaction=True)
def test_the_worker_answers_each_request_once(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    for name in ("user.2", "nobody", "user.2"):
        client.post(PAGE, {"name": name})
    assert springfield.mails() == ["welcome"]
    stale = ResetRequest.objects.order_by("pk")[0]
    assert reset_requests.answer_requests() == 3
    assert not reset_requests._answer_request(stale)
    assert springfield.mails() == ["welcome", "reset"]
    asked = models.Event.objects.filter(kind="user.reset-asked").order_by("id")
    assert [(event.subject_external_id, event.outcome, event.address) for event in asked] == [
        ("E-2", "", "127.0.0.1"), ("", "failed", "127.0.0.1"),
    ]  # fmt: skip
    client.post(PAGE, {"name": "user.1"})
    jobs.run_once()
    assert not ResetRequest.objects.exists()


@pytest.mark.django_db
def test_strangers_cannot_fill_a_mailbox_and_a_link_that_works_is_always_in_it(springfield: Springfield) -> None:
    springfield.registered(2)
    for minute in range(0, 24 * 60, 6):
        registration.request_reset(springfield.agency, "user.2", context(minute))
    sent = list(models.Mail.objects.filter(kind="reset").order_by("created_at").values_list("created_at", flat=True))
    assert 8 <= len(sent) <= 11
    assert max(after - before for before, after in itertools.pairwise(sent)) <= timedelta(hours=4, minutes=6)


@pytest.mark.django_db(transaction=True)
def test_a_request_whose_agency_is_paused_meanwhile_waits_and_disturbs_no_other(
    springfield: Springfield, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    springfield.registered(2)
    client.post(PAGE, {"name": "user.2"})
    usual = registration.request_reset

    def pause(*args: Any) -> None:
        models.Agency.objects.update(paused_at=NOW)
        usual(*args)

    with monkeypatch.context() as patch:
        patch.setattr(registration, "request_reset", pause)
        assert reset_requests.answer_requests() == 0
    assert ResetRequest.objects.count() == 1
    assert springfield.mails() == ["welcome"]
    models.Agency.objects.update(paused_at=None)
    assert reset_requests.answer_requests() == 1
    assert springfield.mails() == ["welcome", "reset"]
